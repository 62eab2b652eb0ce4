import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.nodes.text.mask import Candidate, TrieMask, prefix_free

N = 4
LENGTH = 3

chains = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).dirichlet(np.ones(N), size=(N + 1)) * 0.99 + 0.01 / N
)
token_lists = st.lists(st.lists(st.integers(0, N - 1), min_size=1, max_size=LENGTH), min_size=1, max_size=5)


def probability(chain: np.ndarray, tokens: tuple[int, ...]) -> float:
    p, last = 1.0, N
    for token in tokens:
        p *= chain[last, token]
        last = token
    return p


def candidates_of(chain: np.ndarray, lists: list[list[int]], log_v: list[float]) -> list[Candidate]:
    found = []
    for tokens, v in zip(lists, log_v, strict=False):
        log_p = [float(np.log(chain[[N, *tokens][n], token])) for n, token in enumerate(tokens)]
        found.append(Candidate(tuple(tokens), tuple(log_p), v))
    return prefix_free(found)


def masked_probability(chain: np.ndarray, mask: TrieMask, tokens: tuple[int, ...]) -> float:
    p, last = 1.0, N
    for n, token in enumerate(tokens):
        shift = mask.shift(tokens[:n])
        after = chain[last] if shift is None else chain[last] * np.exp(shift.dense(N))
        assert after.sum() == pytest.approx(1, abs=1e-9)  # exact, without any normalisation
        p *= after[token]
        last = token
    return float(p)


@settings(max_examples=60, deadline=None)
@given(chains, token_lists, st.lists(st.floats(-12, 12), min_size=5, max_size=5), st.floats(-3, 3))
def test_equals_brute_force_bayes(chain, lists, log_v, log_v_none):
    candidates = candidates_of(chain, lists, log_v)
    mask = TrieMask(candidates, log_v_none)
    weights = {}
    for tokens in np.ndindex(*(N,) * LENGTH):
        v = np.exp(log_v_none)
        for candidate in candidates:
            if tokens[: len(candidate.tokens)] == candidate.tokens:
                v = np.exp(candidate.log_v)
        weights[tokens] = probability(chain, tokens) * v
    total = sum(weights.values())
    for tokens, weight in weights.items():
        assert masked_probability(chain, mask, tokens) == pytest.approx(weight / total, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(chains, token_lists)
def test_evidence_of_ratio_one_changes_nothing(chain, lists):
    mask = TrieMask(candidates_of(chain, lists, [0.0] * 5))
    for tokens in np.ndindex(*(N,) * LENGTH):
        for n in range(LENGTH + 1):
            assert mask.log_lambda(tokens[:n]) == pytest.approx(0, abs=1e-9)
        assert masked_probability(chain, mask, tokens) == pytest.approx(probability(chain, tokens), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(chains, token_lists, st.lists(st.floats(0, 1e-10), min_size=5, max_size=5), st.floats(1 - 1e-10, 1))
def test_a_reliable_source_that_excludes_options_drives_them_below_e_to_minus_20(chain, lists, ratios, reliability):
    with np.errstate(divide="ignore"):
        log_v = np.log(reliability * np.array(ratios) + (1 - reliability))
    assert np.all(log_v < -20)
    candidates = candidates_of(chain, lists, log_v.tolist())
    covered = sum(probability(chain, c.tokens) for c in candidates)
    if covered < 0.9:
        mask = TrieMask(candidates)
        for candidate in candidates:
            assert masked_probability(chain, mask, candidate.tokens) < 10 * np.exp(-20)


@settings(max_examples=30, deadline=None)
@given(chains, token_lists)
def test_forbidden_candidates_vanish_and_something_stays_possible(chain, lists):
    candidates = candidates_of(chain, lists, [-np.inf] * 5)
    mask = TrieMask(candidates)
    covered = sum(probability(chain, c.tokens) for c in candidates)
    for candidate in candidates:
        if covered < 1 - 1e-6:
            assert masked_probability(chain, mask, candidate.tokens) == 0
    for tokens in np.ndindex(*(N,) * LENGTH):
        for n in range(LENGTH):
            shift = mask.shift(tokens[:n])
            assert shift is None or np.any(np.isfinite(shift.dense(N)))


def test_strong_evidence_against_one_branch():
    mask = TrieMask([Candidate((0, 1), (np.log(0.5), np.log(0.5)), -25.0)])
    shift = mask.shift((0,))
    assert shift is not None
    assert shift.tokens.tolist() == [1]
    assert shift.dense(N)[1] < -20
    assert np.all(shift.dense(N)[[0, 2, 3]] > 0)


def test_update_is_the_same_as_a_new_mask():
    candidates = [Candidate((0,), (-1.0,)), Candidate((1, 2), (-0.7, -0.9))]
    mask = TrieMask(candidates)
    mask.update([2.0, -3.0])
    other = TrieMask([Candidate((0,), (-1.0,), 2.0), Candidate((1, 2), (-0.7, -0.9), -3.0)])
    np.testing.assert_array_equal(mask.shift(()).dense(N), other.shift(()).dense(N))


def test_beyond_an_end_and_off_the_trie_nothing_changes():
    mask = TrieMask([Candidate((0, 1), (-1.0, -1.0), 3.0)])
    assert mask.shift((0, 1)) is None
    assert mask.shift((0, 1, 2)) is None
    assert mask.shift((3,)) is None
    assert mask.log_lambda((0, 1, 2)) == 3.0
    assert mask.log_lambda((0, 2)) == 0.0
    assert TrieMask().shift(()) is None


def test_a_prefix_among_candidates_is_refused_and_reduced():
    both = [Candidate((0, 1), (-1.0, -1.0)), Candidate((0,), (-1.0,))]
    with pytest.raises(ValueError, match="prefix"):
        TrieMask(both)
    assert prefix_free(both) == [both[1]]
