import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.core.clock import SECOND
from volition.nodes.decide.belief import BOUND, NONE, Belief, Run, bounded, joined, log_mixture, normalised, posterior

names = ["1", "2", "3", "4"]
llrs = st.dictionaries(st.sampled_from([*names, NONE]), st.floats(-8, 8), max_size=5)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(0.01, 1), min_size=5, max_size=5),
    st.lists(st.tuples(st.sampled_from(["eeg", "gaze", "switch"]), llrs), min_size=1, max_size=12),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_posterior_equals_brute_force_bayes(weights, pieces, pi_eeg, pi_gaze):
    prior = dict(zip([*names, NONE], np.array(weights) / sum(weights), strict=True))
    reliability = {"eeg": pi_eeg, "gaze": pi_gaze}
    belief = Belief(1, prior, {}, 0)
    for n, (source, llr) in enumerate(pieces):
        belief.add(source, n, llr, SECOND)
    found, _ = belief.posterior(belief.log_v(reliability))

    # The hidden state of each source is whether it says anything; sum over all of them.
    sources = sorted({source for source, _ in pieces})
    joint = dict.fromkeys(prior, 0.0)
    for speaks in np.ndindex(*(2,) * len(sources)):
        for option, p in prior.items():
            for source, on in zip(sources, speaks, strict=True):
                pi = reliability.get(source, 0.95)
                r = math.exp(sum(llr.get(option, 0.0) for name, llr in pieces if name == source))
                if any(option in llr for name, llr in pieces if name == source):
                    p = p * (pi * r if on else 1 - pi)
                else:
                    p = p * (pi if on else 1 - pi)
            joint[option] += p
    total = sum(joint.values())
    for option, p in joint.items():
        assert found[option] == pytest.approx(p / total, abs=1e-9)


@given(st.floats(-700, 700), st.floats(0, 1))
def test_mixture_is_bounded(llr, pi):
    value = log_mixture(llr, pi)
    if pi < 1:
        assert value >= math.log1p(-pi) - 1e-12
    assert value <= max(llr, 0.0) + 1e-9


def test_a_certain_source_can_rule_an_option_out():
    assert log_mixture(-25.0, 1.0) < -20
    assert log_mixture(-25.0, 1 - 1e-12) < -20
    assert log_mixture(5.0, 0.0) == 0.0
    assert posterior({"a": 0.0, "b": 0.0}, {"a": -25.0})["a"] < 1e-10


pieces_of = st.lists(
    st.tuples(st.sampled_from(["eeg", "gaze"]), st.integers(0, 6_000), llrs.filter(bool)), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=40)
@given(pieces_of, st.randoms(use_true_random=False))
def test_the_order_of_evidence_does_not_matter(pieces, random):
    def believed(given):
        belief = Belief(1, dict.fromkeys([*names, NONE], 0.2), {}, 0)
        for source, time, llr in given:
            belief.add(source, time, llr, 1_000)
        by_source = belief.log_v({"eeg": 0.9, "gaze": 0.7})
        return belief.posterior(by_source)[0], by_source

    shuffled = list(pieces)
    random.shuffle(shuffled)
    (one, by_one), (other, by_other) = believed(pieces), believed(shuffled)
    assert one == pytest.approx(other, abs=1e-9)
    assert {s: set(v) for s, v in by_one.items()} == {s: set(v) for s, v in by_other.items()}


@given(st.lists(st.integers(0, 300), min_size=1, max_size=12), st.integers(1, 60))
def test_runs_are_the_pieces_that_no_silence_parts(times, fresh):
    runs = []
    for time in times:
        runs = joined(runs, Run(time, time, {"1": 1.0}), fresh)
    ordered = sorted(times)
    parts = [[ordered[0]]]
    for time in ordered[1:]:
        if time - parts[-1][-1] > fresh:
            parts.append([])
        parts[-1].append(time)
    assert [(run.first, run.last, run.llr["1"]) for run in runs] == [(p[0], p[-1], len(p)) for p in parts]


@settings(deadline=None, max_examples=40)
@given(pieces_of)
def test_reliability_0_makes_a_source_mute(pieces):
    prior = dict(zip([*names, NONE], (0.4, 0.3, 0.1, 0.1, 0.1), strict=True))
    belief = Belief(1, prior, {}, 0)
    for source, time, llr in pieces:
        belief.add(source, time, llr, SECOND)
    found, _ = belief.posterior(belief.log_v({"eeg": 0.0, "gaze": 0.0}))
    assert found == pytest.approx(prior)


def test_arrays_and_dicts_agree():
    llr = np.array([[2.0, -1.0, 0.0], [0.0, 5.0, -3.0]])
    prior = np.log([0.5, 0.3, 0.2])
    rows = normalised(prior + log_mixture(llr, 0.8))
    for row, ratios in zip(rows, llr, strict=True):
        log_v = {str(k): float(log_mixture(value, 0.8)) for k, value in enumerate(ratios)}
        assert list(posterior(dict(zip("012", prior, strict=True)), log_v).values()) == pytest.approx(row)


def test_what_is_not_a_number_is_refused_and_what_is_too_much_clipped():
    assert bounded({"1": math.nan, "2": 1.0}) is None
    assert bounded({"1": 1.0}) == ({"1": 1.0}, False)
    assert bounded({"1": -math.inf, "2": 1e9}) == ({"1": -BOUND, "2": BOUND}, True)


def test_runs_stay_few():
    belief = Belief(1, {"1": 0.5, NONE: 0.5}, {}, 0)
    for n in range(1_000):
        belief.add("gaze", n * 10, {"1": 0.1}, 1)
    assert len(belief._runs["gaze"]) <= 16
    assert belief.ratios() == {"gaze": {"1": 0.1}}


def test_kept_evidence_is_where_a_menu_starts():
    belief = Belief(1, {"1": 0.25, "2": 0.25, NONE: 0.5}, {"1": " tea", "2": " milk"}, 0)
    belief.start_from({" tea": math.log(2), " gone": 5.0})
    p, log_v = belief.posterior({})
    assert p == pytest.approx({"1": 0.4, "2": 0.2, NONE: 0.4})
    assert log_v == {"1": 0.0, "2": 0.0, NONE: 0.0}
