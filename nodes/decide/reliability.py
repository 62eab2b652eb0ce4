"""How far a source can be relied on, learned from how choices turned out.

pi is the probability that a source says anything at all while a menu is up: its signal's likelihood, given that the
person attends to option a, is proportional to

    L(pi) = pi r_a + 1 - pi                                                                     (1)

with r_a the likelihood ratio of all it said about a. Let pi be Beta distributed with mean m and count n (a = m n,
b = (1 - m) n pseudo-counts of menus at which it spoke, and did not). Then pi's distribution after the menu is

    rho Beta(a + 1, b) + (1 - rho) Beta(a, b + 1),     rho = m r_a / (m r_a + 1 - m)             (2)

where rho, the responsibility, is the probability that it spoke. One Beta with the same mean and variance takes the
place of the two (assumed-density filtering: Minka 2001, A family of algorithms for approximate Bayesian inference,
chapter 3):

    m' = (a + rho) / (n + 1),     n' = m' (1 - m') / var - 1

with var the variance of (2). A signal that says nothing about a (r_a = 1) has rho = m and changes neither m nor n,
which the plain count a + rho, b + 1 - rho gets wrong: it would grow sure of what it has not seen.

A choice that stood tells a: what was chosen. After one that was undone, a is another option j with the weight
w_j = p_j (product of V_tj over the other sources t), so that

    L(pi) = sum over j of w_j (pi r_j + 1 - pi),    which is (1) with r = sum w_j r_j / sum w_j

and its responsibility is that of each j, averaged by the posterior without the option that was undone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

RELIABILITY = 0.95
"""Of a source that nobody has said anything about."""
COUNT = 20.0
"""What an initial value is worth, in menus."""
MEMORY = 200.0
"""The count grows no further, so that a source that has changed is found out."""


@dataclass(frozen=True)
class Beta:
    """A Beta distribution by its mean and its count."""

    mean: float
    count: float

    def after(self, log_ratio: float, low: float = 0.0, high: float = 1.0) -> Beta:
        """What is believed after a menu at which the source had the ratio exp(log_ratio); mean in low..high."""
        if not 0.0 < self.mean < 1.0:
            return self  # certain
        m, n = self.mean, self.count
        a = m * n
        rho = 1.0 / (1.0 + math.exp(min(700.0, math.log1p(-m) - math.log(m) - log_ratio)))
        mean = (a + rho) / (n + 1)
        square = (rho * (a + 1) * (a + 2) + (1 - rho) * a * (a + 1)) / ((n + 1) * (n + 2))
        count = mean * (1 - mean) / max(square - mean**2, 1e-12) - 1
        return Beta(min(high, max(low, mean)), min(MEMORY, max(1.0, count)))


def ratio_if_wrong(log_weights: Mapping[str, float], llr: Mapping[str, float], wrong: str) -> float:
    """Log of sum w_j r_j / sum w_j over all options but ``wrong``; 0 where there is no other."""
    others = [name for name in log_weights if name != wrong]
    if not others:
        return 0.0
    weights = np.array([log_weights[name] for name in others])
    ratios = np.array([llr.get(name, 0.0) for name in others])
    return float(np.logaddexp.reduce(weights + ratios) - np.logaddexp.reduce(weights))


class Reliabilities:
    """The reliability of each source.

    Parameters
    ----------
    initial
        By source; others begin with ``RELIABILITY``. 0 and 1 are certain: they are not learned.
    bounds
        Learning stays within them; an initial value that lies outside is a bound itself.
    learn
        Whether outcomes change anything.

    Until the first undo the initial values hold, though learning goes on behind them: where nothing tells of
    mistakes, every choice would seem right.
    """

    def __init__(self, initial: Mapping[str, float], bounds: tuple[float, float] = (0.5, 0.99), learn: bool = True):
        self._initial = dict(initial)
        self._bounds = bounds
        self._learn = learn
        self._learned: dict[str, Beta] = {}
        self._undos = False

    def __getitem__(self, source: str) -> float:
        if self._undos and source in self._learned:
            return self._learned[source].mean
        return self._initial.get(source, RELIABILITY)

    def cap(self, source: str) -> float:
        """The most it may become."""
        return max(self._bounds[1], self._initial.get(source, RELIABILITY))

    def stood(self, option: str, ratios: Mapping[str, Mapping[str, float]]) -> None:
        """A choice stood; ``ratios`` is the log-likelihood ratio of each source and option."""
        for source, llr in ratios.items():
            self._update(source, llr.get(option, 0.0))

    def undone(
        self,
        option: str,
        log_prior: Mapping[str, float],
        ratios: Mapping[str, Mapping[str, float]],
        log_v: Mapping[str, Mapping[str, float]],
    ) -> None:
        """A choice was undone; ``log_v`` is log V of each source and option at that choice."""
        self._undos = True
        for source, llr in ratios.items():
            weights = dict(log_prior)
            for other, values in log_v.items():
                for name, value in values.items():
                    weights[name] += value if other != source else 0.0
            self._update(source, ratio_if_wrong(weights, llr, option))

    def _update(self, source: str, log_ratio: float) -> None:
        if not self._learn:
            return
        initial = self._initial.get(source, RELIABILITY)
        low, high = min(self._bounds[0], initial), self.cap(source)
        before = self._learned.get(source, Beta(initial, COUNT))
        self._learned[source] = before.after(log_ratio, low, high)
