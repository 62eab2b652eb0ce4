import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.nodes.decide.reliability import COUNT, MEMORY, RELIABILITY, Beta, Reliabilities, ratio_if_wrong


@settings(max_examples=40)
@given(st.floats(0.1, 0.9), st.floats(20, 150), st.floats(-6, 6))
def test_the_update_has_the_mean_and_variance_of_exact_bayes(mean, count, log_ratio):
    """The posterior on a grid of pi, in place of the mixture of two Beta distributions."""
    pi = (np.arange(40_000) + 0.5) / 40_000
    a, b = mean * count, (1 - mean) * count
    density = np.exp((a - 1) * np.log(pi) + (b - 1) * np.log1p(-pi))
    weights = density * (pi * math.exp(log_ratio) + 1 - pi)
    weights /= weights.sum()
    exact = float((weights * pi).sum())
    variance = float((weights * (pi - exact) ** 2).sum())
    found = Beta(mean, count).after(log_ratio)
    assert found.mean == pytest.approx(exact, abs=2e-3)
    if found.count < MEMORY:
        assert found.mean * (1 - found.mean) / (found.count + 1) == pytest.approx(variance, rel=0.05)


@given(st.floats(0.001, 0.999), st.floats(1, MEMORY))
def test_who_says_nothing_changes_nothing(mean, count):
    found = Beta(mean, count).after(0.0)
    assert found.mean == pytest.approx(mean) and found.count == pytest.approx(count, rel=1e-6)


@settings(max_examples=40)
@given(st.lists(st.floats(-300, 300), max_size=30), st.floats(0, 1))
def test_what_is_learned_stays_within_its_bounds(ratios, initial):
    found = Reliabilities({"gaze": initial}, (0.5, 0.99))
    found.undone("1", {"1": 0.0}, {}, {})
    for ratio in ratios:
        before = found["gaze"]
        found.stood("1", {"gaze": {"1": ratio}})
        assert min(0.5, initial) <= found["gaze"] <= max(0.99, initial)
        if ratio > 0 and initial <= 0.99:
            assert found["gaze"] >= before - 1e-12
        if ratio < 0 and initial >= 0.5:
            assert found["gaze"] <= before + 1e-12


def test_0_and_1_are_certain_and_a_switch_turns_learning_off():
    certain = Reliabilities({"a": 0.0, "b": 1.0})
    off = Reliabilities({"a": 0.7}, learn=False)
    for found in (certain, off):
        found.undone("1", {"1": 0.0, "2": 0.0}, {"a": {"1": 9.0}, "b": {"1": 9.0}}, {})
        found.stood("1", {"a": {"1": 9.0}, "b": {"1": -9.0}})
    assert (certain["a"], certain["b"], off["a"], off["other"]) == (0.0, 1.0, 0.7, RELIABILITY)


def test_what_is_learned_holds_from_the_first_undo_on():
    found = Reliabilities({"gaze": 0.8})
    for _ in range(20):
        found.stood("1", {"gaze": {"1": 4.0}})
    assert found["gaze"] == 0.8
    found.undone("1", {"1": 0.0, "2": 0.0}, {"gaze": {"1": 4.0, "2": 0.0}}, {"gaze": {"1": 3.9, "2": 0.0}})
    assert found["gaze"] > 0.85


def test_a_wrong_choice_is_averaged_over_the_others():
    log_prior = {"1": math.log(0.5), "2": math.log(0.3), "3": math.log(0.2)}
    llr = {"1": 3.0, "2": -2.0, "3": 1.0}
    exact = math.log((0.3 * math.exp(-2) + 0.2 * math.exp(1)) / 0.5)
    assert ratio_if_wrong(log_prior, llr, "1") == pytest.approx(exact)
    assert ratio_if_wrong({"none": 0.0}, {}, "none") == 0.0
    # The responsibility of each other option, averaged by the posterior without the chosen one, is the same.
    pi = 0.8
    v = {j: pi * math.exp(llr[j]) + 1 - pi for j in "23"}
    p = {j: math.exp(log_prior[j]) * v[j] for j in "23"}
    rho = sum(p[j] * pi * math.exp(llr[j]) / v[j] for j in "23") / sum(p.values())
    found = Beta(pi, COUNT).after(exact)
    assert found.mean == pytest.approx((pi * COUNT + rho) / (COUNT + 1))


def test_the_other_sources_say_what_was_meant_instead():
    found = {}
    for meant, other in (("2", "3"), ("3", "2")):
        learned = Reliabilities({"gaze": 0.9, "eeg": 0.9})
        ratios = {"gaze": {"1": 2.0, "2": -3.0, "3": 1.0}, "eeg": {"1": 0.0, meant: 4.0, other: -4.0}}
        log_v = {s: {j: math.log(0.9 * math.exp(r) + 0.1) for j, r in llr.items()} for s, llr in ratios.items()}
        learned.undone("1", dict.fromkeys("123", 0.0), ratios, log_v)
        found[meant] = learned["gaze"]
    # Gaze had seen it, or had seen the opposite.
    assert found["3"] > 0.9 > found["2"]


def test_an_odd_outcome_moves_little():
    found = Reliabilities({"gaze": 0.95})
    found.undone("1", {"1": 0.0, "2": 0.0}, {"gaze": {"1": 30.0, "2": -30.0}}, {"gaze": {"1": 30.0, "2": -3.0}})
    assert found["gaze"] == pytest.approx(0.95 * COUNT / (COUNT + 1))


@pytest.mark.parametrize("true", [0.6, 0.8, 0.95])
def test_learned_reliability_nears_the_true_one(true):
    """Looks at one of four options, three a menu; in 1 - true of the menus they fall anywhere."""
    rng = np.random.default_rng(int(100 * true))
    learned = Reliabilities({"gaze": 0.8})
    learned.undone("1", {"1": 0.0}, {}, {})
    n, k, accuracy = 1_500, 4, 0.8
    speaks = rng.random(n) < true
    hits = rng.random((n, 3)) < np.where(speaks, accuracy, 1 / k)[:, None]
    ratio = np.where(hits, math.log(accuracy * k), math.log((1 - accuracy) / (k - 1) * k)).sum(axis=1)
    trail = []
    for value in ratio.tolist():
        learned.stood("1", {"gaze": {"1": value}})
        trail.append(learned["gaze"])
    assert np.mean(trail[-750:]) == pytest.approx(true, abs=0.04)
