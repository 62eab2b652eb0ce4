"""The sparse arithmetic of rows against plain arrays of the size of the vocabulary."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.nodes.text.mask import Candidate, TrieMask, prefix_free
from volition.nodes.text.rows import STAGES, Rows
from volition.nodes.text.words import BOUNDARY, ENDS_LINE, SCRIPTS, Tilt, Words

PIECES = [b" a", b"b", b".", b"\n", b"<end>", " я".encode(), "ю".encode(), b" c", b"'d", b" 7"]
N = len(PIECES)
WORDS = Words(PIECES, np.array([4]))

seeds = st.integers(0, 2**32 - 1)
tilts = st.dictionaries(st.integers(0, N - 1), st.floats(-4, 4), max_size=5)
paths = st.sampled_from([(), (1,)])
log_vs = st.dictionaries(st.integers(0, N - 1), st.one_of(st.floats(-30, 30), st.just(-np.inf)), max_size=6)


def row_of(seed: int) -> np.ndarray:
    return np.log(np.random.default_rng(seed).dirichlet(np.full(N, 0.5)) * 0.999 + 0.001 / N)


def normalise(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def reference(row, path, bias, focus, script, log_v):
    """The five stages as dense arrays; evidence speaks about single tokens after ``path``."""
    p = np.exp(row)
    tilted = p.copy()
    for token, value in bias.items():
        tilted[token] *= np.exp(value)
    focused = tilted.copy()
    for token, value in focus.items():
        focused[token] *= np.exp(value)
    forbidden = (SCRIPTS[script] if script else 0) | (0 if path else ENDS_LINE)
    hard = focused * ((WORDS.flags & forbidden) == 0)
    v = np.ones(N)
    for token, value in log_v.items():
        v[token] = np.exp(value)
    posterior = normalise(hard) * v
    last = normalise(posterior) if posterior.sum() > 0 else normalise(hard)
    return [normalise(p), normalise(tilted), normalise(focused), normalise(hard), last]


def mask_of(row, path, bias, focus, script, log_v) -> TrieMask:
    prior = reference(row, path, bias, focus, script, {})[3]
    with np.errstate(divide="ignore"):
        tokens = {t: float(np.log(prior[t])) for t in log_v}
    # Where the path stands on the trie: its own tokens are certain.
    found = [Candidate((*path, t), (*(0.0 for _ in path), tokens[t]), v) for t, v in log_v.items()]
    return TrieMask(prefix_free(found))


@settings(max_examples=150, deadline=None)
@given(seeds, paths, tilts, tilts, st.sampled_from([None, "latin", "cyrillic"]), log_vs)
def test_each_stage_equals_the_dense_arithmetic(seed, path, bias, focus, script, log_v):
    row = row_of(seed)
    expected = reference(row, path, bias, focus, script, log_v)
    rows = Rows(WORDS, mask_of(row, path, bias, focus, script, log_v), Tilt.of(bias, focus), script)
    made = rows(path, row)
    stages = np.exp(np.array([made.stages(token) for token in range(N)]))
    for n, name in enumerate(STAGES):
        np.testing.assert_allclose(stages[:, n], expected[n], atol=1e-9, err_msg=name)
    np.testing.assert_allclose(np.exp(made.values(np.arange(N))), expected[-1], atol=1e-9)
    ends = (WORDS.flags & BOUNDARY) > 0
    np.testing.assert_allclose(np.exp(made.boundary), [stage[ends].sum() for stage in expected], atol=1e-9)
    assert made.ends == made.boundary[-1]
    some = np.array([0, 2, 5])
    assert np.exp(made.mass(some)) == pytest.approx(expected[-1][some].sum(), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(seeds, paths, tilts, log_vs, st.floats(-12, 0))
def test_the_likeliest_tokens_are_those_of_the_dense_arithmetic(seed, path, focus, log_v, least):
    row = row_of(seed)
    expected = reference(row, path, {}, focus, None, log_v)[-1]
    rows = Rows(WORDS, mask_of(row, path, {}, focus, None, log_v), Tilt.of({}, focus))
    made = rows(path, row)
    for among in (BOUNDARY, np.array([0, 1, 5, 7])):
        chosen = (
            set(np.flatnonzero((WORDS.flags & among) > 0).tolist()) if isinstance(among, int) else set(among.tolist())
        )
        best = sorted((t for t in chosen if expected[t] > np.exp(least)), key=lambda t: -expected[t])[:3]
        found = made.top(among, 3, least)
        np.testing.assert_allclose([np.exp(v) for _, v in found], expected[best], atol=1e-9)
        assert all(t in chosen for t, _ in found)


@settings(max_examples=60, deadline=None)
@given(seeds, paths, st.sampled_from([None, "latin", "cyrillic"]), st.sets(st.integers(0, N - 1)))
def test_something_always_stays_possible(seed, path, script, forbidden):
    row = row_of(seed)
    candidates = [Candidate((*path, t), (*(0.0 for _ in path), float(row[t])), -np.inf) for t in forbidden]
    made = Rows(WORDS, TrieMask(candidates), Tilt.of(), script)(path, row)
    assert np.exp(made.values(np.arange(N))).sum() == pytest.approx(1.0, abs=1e-6)


def test_a_script_that_no_token_has_is_no_limit():
    words = Words([b" a", b"b"], np.array([], dtype=np.int64))
    row = np.log(np.array([0.4, 0.6]))
    made = Rows(words, TrieMask(), Tilt.of(), "cyrillic")((0,), row)
    np.testing.assert_allclose(np.exp(made.values(np.arange(2))), [0.4, 0.6])


def test_float32_rows_keep_their_precision():
    rng = np.random.default_rng(0)
    n = 20_000
    words = Words([b" a", b"b", b"."] * (n // 3) + [b"x"] * (n % 3), np.array([], dtype=np.int64))
    exact = np.log(rng.dirichlet(np.full(n, 0.3)) + 1e-12)
    exact -= np.log(np.exp(exact).sum())
    tilt = Tilt.of({5: 1.0, 77: -2.0}, {3: 2.0})
    single = Rows(words, TrieMask(), tilt)((0,), exact.astype(np.float32))
    double = Rows(words, TrieMask(), tilt)((0,), exact)
    np.testing.assert_allclose(single.boundary, double.boundary, atol=3e-6)
    np.testing.assert_allclose(single.stages(3), double.stages(3), atol=3e-6)
