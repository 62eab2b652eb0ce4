"""Ranking by choices: gradients, weights that are found again, and what a menu's probabilities become."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.nodes.text.cache import WordCache
from volition.nodes.text.proposals import Proposal, split
from volition.nodes.text.rerank import (
    BOUND,
    FEATURES,
    Ranker,
    WordBias,
    features,
    first_word,
    loss,
    ranked,
    shares,
    utilities,
)

READINGS = ("choice", "accepted-only", "mask")


def menu(rng, n=5, n_features=4):
    p = rng.dirichlet(np.ones(n + 1))
    return np.log(p[:-1]), float(np.log(p[-1])), rng.normal(size=(n, n_features))


@pytest.mark.parametrize("reading", READINGS)
@given(seed=st.integers(0, 2**32 - 1), taken=st.sampled_from([None, 0, 3]))
def test_gradients_are_those_of_finite_differences(reading, seed, taken):
    rng = np.random.default_rng(seed)
    log_p, none, x = menu(rng)
    w = rng.normal(size=4)
    _, gradient = loss(reading, w, log_p, none, x, taken)
    for n in range(4):
        step = 1e-6 * np.eye(4)[n]
        high, low = (loss(reading, w + sign * step, log_p, none, x, taken)[0] for sign in (1, -1))
        assert gradient[n] == pytest.approx((high - low) / 2e-6, abs=1e-5)


@pytest.mark.parametrize("reading", READINGS)
def test_the_losses_at_no_weights_are_those_of_the_menu(reading):
    log_p, none, x = np.log([0.5, 0.2]), math.log(0.3), np.ones((2, 4))
    taken, _ = loss(reading, np.zeros(4), log_p, none, x, 1)
    nothing, _ = loss(reading, np.zeros(4), log_p, none, x, None)
    expected = {
        "choice": (-math.log(0.2), -math.log(0.3)),
        "accepted-only": (-math.log(0.2), 0.0),
        "mask": (-math.log(0.2) - math.log(0.5), -math.log(0.5) - math.log(0.8)),
    }
    assert (taken, nothing) == pytest.approx(expected[reading])


@pytest.mark.slow
def test_known_weights_are_found_again():
    rng = np.random.default_rng(7)
    true = np.array([0.8, -0.6, 0.0, 0.3])
    ranker = Ranker(rate=0.3, pull=0.0, n_features=4)
    average = np.zeros(4)
    for n in range(6000):
        log_p, none, x = menu(rng)
        p = shares(utilities(log_p, x, true), none)
        drawn = int(rng.choice(len(p), p=p))
        ranker.learn(log_p, none, x, drawn if drawn < len(log_p) else None)
        average += ranker.w / 3000 if n >= 3000 else 0.0
    assert average == pytest.approx(true, abs=0.08)


def test_weights_are_bounded_and_go_back_to_nothing():
    ranker = Ranker(rate=1.0, pull=0.05, n_features=1)
    for _ in range(300):
        ranker.learn(np.log([0.01]), math.log(0.99), np.ones((1, 1)), 0)
    assert 0 < ranker.w[0] <= BOUND
    high = ranker.w[0]
    for _ in range(300):
        ranker.learn(np.log([0.5]), math.log(0.5), np.zeros((1, 1)), 0)  # nothing to learn from
    assert 0 < ranker.w[0] < 0.7 * high


def test_accepted_only_does_not_learn_from_none():
    ranker = Ranker("accepted-only", n_features=4)
    ranker.learn(*menu(np.random.default_rng(1)), None)
    assert not ranker.w.any()


def pool():
    cache = WordCache()
    cache.add("my sister is here")
    where = split("call my")
    options = [Proposal(f" {word}", math.log(p)) for word, p in [("mother", 0.4), ("sister", 0.3), ("of", 0.1)]]
    return [
        Proposal(o.text, o.log_probability, features=features(o, o.log_probability, where, cache, ("my sister ann",)))
        for o in options
    ]


def test_no_weights_change_nothing():
    assert ranked(pool(), np.zeros(len(FEATURES))) == pool()
    assert ranked([], np.ones(len(FEATURES))) == []


@given(st.lists(st.floats(-2, 2), min_size=len(FEATURES), max_size=len(FEATURES)))
def test_ranked_probabilities_are_probabilities(w):
    options = ranked(pool(), np.array(w))
    p = [math.exp(option.log_probability) for option in options]
    assert math.fsum(p) < 1 and p == sorted(p, reverse=True)
    ratio = {o.text: o.log_probability for o in options}
    x = np.array([o.features for o in pool()])
    u = utilities(np.array([o.log_probability for o in pool()]), x, np.array(w))
    assert ratio[" mother"] - ratio[" sister"] == pytest.approx(u[0] - u[1], abs=1e-9)


def test_features_say_what_they_are_called():
    _, sister, of = (dict(zip(FEATURES, option.features, strict=True)) for option in pool())
    assert sister["cached"] > of["cached"] == 0 and sister["recent"] > 0 == sister["unused"]
    assert (sister["remembered"], sister["function_word"]) == (1.0, 0.0)
    assert (of["function_word"], of["unused"], of["remembered"]) == (1.0, 1.0, 0.0)
    typed = split("call my si", True)
    cache = WordCache()
    cache.add("my sister is here")
    found = dict(zip(FEATURES, features(Proposal("ster my", -1.0), -1.0, typed, cache), strict=True))
    assert found["completes"] == found["grown"] == 1.0 and found["cached"] > 0
    assert first_word(typed, "ster is") == "sister" and first_word(split("call "), "my") == "my"
    again = dict(zip(FEATURES, features(Proposal(" my", -1.0), -1.0, split("call my"), cache), strict=True))
    assert again["repeats"] == 1.0 and again["again"] == 0.0


def test_biases_follow_the_difference_from_what_was_expected():
    bias = WordBias()
    for _ in range(200):
        bias.learn(["tea", "soup"], [0.5, 0.5], 0)
    assert bias.values["tea"] == 1.0 and bias.values["soup"] == -1.0
    assert bias.nats == (("soup", -1.0), ("tea", 1.0))
    for _ in range(5000):
        bias.learn(["bread"], [0.0], None)
    assert bias.nats == ()  # they fade


def test_the_same_choices_give_the_same_weights_to_the_last_digit():
    def run():
        rng = np.random.default_rng(3)
        ranker = Ranker(n_features=4)
        for n in range(50):
            ranker.learn(*menu(rng), n % 6 if n % 6 < 5 else None)
        return ranker.w.tolist()

    assert run() == run() and all(round(value, 9) == value for value in run())
