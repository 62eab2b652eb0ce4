import numpy as np
import pytest

from volition.nodes.decide.fusion import Fusion
from volition.nodes.decide.stopping import bound_of_cost, nats_per_look, reached, two_best, winner


def test_winner_needs_evidence_of_its_own():
    assert winner({"1": 0.9, "2": 0.1}, {"1": 0.0, "2": 0.5}) is None
    assert winner({"1": 0.9, "2": 0.1}, {"1": 0.5, "2": 0.5}) == "1"


def test_nobody_wins_a_tie():
    assert winner({"1": 0.5, "2": 0.5}, {"1": 1.0, "2": 1.0}) is None


def test_rules():
    assert reached("threshold", 0.9, 0.9, 0.1) and not reached("threshold", 0.9, 0.89, 0.0)
    assert reached("margin", 0.5, 0.75, 0.25) and not reached("margin", 0.5, 0.75, 0.26)
    assert reached("cost", bound_of_cost(4.0, 1.0), 0.75, 0.2) and not reached("cost", 0.75, 0.74, 0.2)
    assert not reached("threshold", 1.0, 1.0, 0.0) and not reached("margin", 1.0, 1.0, 0.0)
    assert reached("margin", 0.5, np.array([0.9, 0.5]), np.array([0.1, 0.4])).tolist() == [True, False]
    assert two_best({"1": 0.1, "2": 0.7, "3": 0.2}) == (0.7, 0.2) and two_best({"none": 1.0}) == (1.0, 0.0)


def test_the_default_of_the_cost_is_that_of_the_threshold():
    assert Fusion(stop="cost")._bound == pytest.approx(0.99) == Fusion()._bound
    assert nats_per_look(0.95, 5) == pytest.approx(0.3 / 0.075, rel=0.02)


def test_the_default_bound_costs_no_more_than_others_and_errs_less_with_looks_of_95_percent():
    """Menus of five equally likely options, until the bound is reached: looks of 0.3 s, 7.5 s a wrong choice."""
    rng = np.random.default_rng(1)
    n, k, accuracy = 8_000, 5, 0.95
    looks = np.where(rng.random((n, 25)) < accuracy, 0, rng.integers(1, k, (n, 25)))
    ratio = np.log(accuracy / ((1 - accuracy) / (k - 1)))

    def cost(bound):
        odds, open_, spent = np.zeros((n, k)), np.ones(n, bool), 0.0
        for look in looks.T:
            odds[open_, look[open_]] += ratio
            spent += 0.3 * open_.sum()
            p = np.exp(odds - odds.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            open_ &= p.max(axis=1) < bound
        wrong = (odds.argmax(axis=1) != 0).mean()
        return spent / n + 7.5 * wrong, wrong

    one_look, default, surer = cost(0.9), cost(0.99), cost(0.9999)
    assert default[0] < 1.03 * one_look[0] and default[0] < 0.7 * surer[0]
    assert default[1] < 0.01 < 0.04 < one_look[1]
