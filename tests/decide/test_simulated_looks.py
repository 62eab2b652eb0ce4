"""Thousands of menus, simulated as the model says: is p what it claims to be?"""

import math

import numpy as np
import pytest

from volition.nodes.decide.belief import log_mixture, normalised
from volition.nodes.decide.fusion import Fusion
from volition.nodes.decide.reliability import Reliabilities
from volition.nodes.decide.stopping import reached

N_OPTIONS = 4


def simulated(accuracy, rng, n=4_000, n_looks=25, speaks=0.95):
    """What is attended to (n,), the last place is none; prior (n, 5); ratios of each look (n, n_looks, 5)."""
    prior = rng.dirichlet(np.full(N_OPTIONS + 1, 1.0), n)
    attended = (rng.random(n)[:, None] > prior.cumsum(axis=1)).sum(axis=1).clip(0, N_OPTIONS)
    follows = (rng.random(n) < speaks) & (attended < N_OPTIONS)
    miss = (1 - accuracy) / (N_OPTIONS - 1)
    chance = np.full((n, N_OPTIONS), 1 / N_OPTIONS)
    chance[follows] = miss
    chance[follows, attended[follows]] = accuracy
    where = (rng.random((n, n_looks, 1)) > chance.cumsum(axis=1)[:, None, :]).sum(axis=2).clip(0, N_OPTIONS - 1)
    ratios = np.full((n, n_looks, N_OPTIONS + 1), math.log(miss * N_OPTIONS))
    np.put_along_axis(ratios, where[..., None], math.log(accuracy * N_OPTIONS), axis=2)
    ratios[..., N_OPTIONS] = 0.0
    return attended, prior, ratios


def decided(prior, ratios, reliability=0.95, bound=0.99):
    """Of each menu: p at the choice (n, 5), at the last look where there is none; and whether it was chosen (n,)."""
    p = np.empty_like(prior)
    open_ = np.ones(len(prior), bool)
    total = np.zeros_like(prior)
    for k in range(ratios.shape[1]):
        total += ratios[:, k]
        now = normalised(np.log(prior) + log_mixture(total, reliability))
        p[open_] = now[open_]
        best = np.sort(now, axis=1)
        # As in Fusion: what the evidence speaks against is not chosen.
        points = np.take_along_axis(total, now.argmax(axis=1)[:, None], 1)[:, 0] >= total.max(axis=1)
        open_ &= ~(points & reached("threshold", bound, best[:, -1], best[:, -2]))
    return p, ~open_


def calibration_error(p, right, bins=10):
    """Expected calibration error (Naeini et al. 2015) in equal bins of p."""
    place = np.minimum((p * bins).astype(int), bins - 1)
    return sum(
        abs(p[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in range(bins) if b in place
    )


@pytest.mark.parametrize("accuracy", [0.8, 0.9, 0.95, 0.99])
def test_p_is_calibrated_and_false_accepts_are_few(accuracy):
    rng = np.random.default_rng(round(100 * accuracy))
    attended, prior, ratios = simulated(accuracy, rng)
    bound = Fusion()._bound
    p, chosen = decided(prior, ratios, bound=bound)
    right = p.argmax(axis=1) == attended
    assert chosen.mean() > 0.6
    assert (~right[chosen]).mean() <= 0.01
    assert calibration_error(p.max(axis=1)[chosen], right[chosen]) <= 0.03
    # What was believed of every menu after its first look, and at half that threshold.
    first, _ = decided(prior, ratios[:, :1])
    assert calibration_error(first.max(axis=1), first.argmax(axis=1) == attended) <= 0.03
    early, chosen = decided(prior, ratios, bound=0.7)
    assert calibration_error(early.max(axis=1)[chosen], (early.argmax(axis=1) == attended)[chosen]) <= 0.03


def test_a_broken_source_does_bounded_harm():
    """One source of 95 % looks; another, just as trusted, says wild things of nobody's attention."""
    rng = np.random.default_rng(7)
    attended, prior, ratios = simulated(0.95, rng)
    good = log_mixture(ratios[:, :6].sum(axis=1), 0.95)
    wild = np.zeros_like(prior)
    wild[:, :-1] = rng.normal(-4, 8, (len(prior), N_OPTIONS))

    def share_right(pi):
        p = normalised(np.log(prior) + good + log_mixture(wild, pi))
        return (p.argmax(axis=1) == attended).mean(), p

    alone = share_right(0.0)[0]
    trusted, learned, p = *(share_right(pi)[0] for pi in (0.95, 0.5)), share_right(0.5)[1]
    assert alone > learned > trusted
    # No option loses more than the factor 1 - pi by it.
    before = normalised(np.log(prior) + good)
    ratio = np.log(p[:, -1:] / p) - np.log(before[:, -1:] / before)
    assert ratio.max() <= -math.log(0.5) + 1e-9


def test_a_broken_source_is_found_out_and_a_good_one_is_not():
    rng = np.random.default_rng(8)
    n = 400
    attended, prior, ratios = simulated(0.95, rng, n, 3, speaks=0.9)
    sums = {"gaze": ratios.sum(axis=1), "eeg": rng.normal(-2, 4, prior.shape)}
    sums["eeg"][:, -1] = 0.0
    learned = Reliabilities({})
    names = ["1", "2", "3", "4", "none"]
    n_wrong = 0
    for row in range(n):
        log_v = {s: log_mixture(v[row], learned[s]) for s, v in sums.items()}
        best = int((np.log(prior[row]) + sum(log_v.values())).argmax())
        ratio = {s: dict(zip(names, v[row].tolist(), strict=True)) for s, v in sums.items()}
        if best == attended[row]:
            learned.stood(names[best], ratio)
        else:
            n_wrong += 1
            told = {s: dict(zip(names, v.tolist(), strict=True)) for s, v in log_v.items()}
            start = dict(zip(names, np.log(prior[row]).tolist(), strict=True))
            learned.undone(names[best], start, ratio, told)
    assert n_wrong > 10
    assert learned["gaze"] > 0.8
    assert learned["eeg"] < 0.55
