"""The mathematics of the posterior.

With p_j the prior of option j and r_sj = p(signal of s | attends j) / p(signal of s | attends nothing):

    V_sj = pi_s r_sj + (1 - pi_s)        pi_s: the probability that s says anything at all
    V_j  = product of V_sj over s        V_none = 1, unless none is a place with evidence of its own
    P_j  = p_j V_j / sum_i p_i V_i       over all options and none
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.nodes.decide.reliability import RELIABILITY

NONE = "none"
KEPT = "kept"
"""Stands among the sources for what was gathered before an undo."""

BOUND = 30.0
"""Nats that one piece of evidence can say at most: a factor of 10^13, more than any signal of a body holds."""

_MOST_RUNS = 16


def log_mixture(llr: Any, reliability: Any) -> Any:
    """Log V of a source, log(pi exp(llr) + 1 - pi): at least log(1 - pi), so it can do bounded harm only.

    Takes and gives numbers or arrays.
    """
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log(reliability) + llr, np.log1p(-np.asarray(reliability)))


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Probabilities, shape (..., n), from logarithms of weights of the same shape."""
    weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
    given: np.ndarray = weights / weights.sum(axis=-1, keepdims=True)
    return given


def posterior(log_prior: Mapping[str, float], log_v: Mapping[str, float]) -> dict[str, float]:
    """P_j of every option of the prior; options without evidence have V = 1."""
    total = np.array([log_prior[name] + log_v.get(name, 0.0) for name in log_prior])
    return dict(zip(log_prior, normalised(total).tolist(), strict=True))


def bounded(llr: Mapping[str, float]) -> tuple[dict[str, float], bool] | None:
    """Ratios clipped to -BOUND..BOUND, and whether any was beyond; None when one is not a number.

    A piece with a NaN is refused as a whole: its source was not well when it said the rest.

    >>> bounded({"1": float("inf"), "2": 0.5})
    ({'1': 30.0, '2': 0.5}, True)
    """
    if any(math.isnan(value) for value in llr.values()):
        return None
    clipped = {name: max(-BOUND, min(BOUND, value)) for name, value in llr.items()}
    return clipped, clipped != dict(llr)


@dataclass(frozen=True)
class Run:
    """Evidence of one source without a long silence in it: times in ns UTC, and the sums of its ratios."""

    first: int
    last: int
    llr: Mapping[str, float]


def joined(runs: list[Run], piece: Run, fresh: int) -> list[Run]:
    """Runs, oldest first, with one more piece, which joins those that are at most ``fresh`` ns away.

    What comes out depends on the pieces and not on the order in which they came. The oldest of more than 16 runs
    is let go, so that memory stays flat.
    """
    apart = []
    for run in runs:
        if run.first - piece.last > fresh or piece.first - run.last > fresh:
            apart.append(run)
        else:
            llr = {k: run.llr.get(k, 0.0) + piece.llr.get(k, 0.0) for k in {**run.llr, **piece.llr}}
            piece = Run(min(run.first, piece.first), max(run.last, piece.last), llr)
    return sorted([*apart, piece], key=lambda run: run.first)[-_MOST_RUNS:]


class Belief:
    """What is believed about the options of one menu.

    Parameters
    ----------
    menu
        Its number.
    prior
        Probability of each option and of ``none``; normalised here.
    texts
        What each option stands for.
    shown
        When the menu came up, ns UTC.
    context
        The text that the menu goes on from; None where that is not known.
    """

    def __init__(
        self,
        menu: int,
        prior: Mapping[str, float],
        texts: Mapping[str, str],
        shown: int,
        context: str | None = None,
    ):
        total = sum(prior.values())
        self.menu = menu
        self.texts = dict(texts)
        self.context = context
        self.came = shown
        self.shown = shown
        self.now = shown
        self.closed = False
        self.heard = 0
        self.kept: dict[str, float] = {}
        self._log_prior = {name: math.log(p / total) for name, p in prior.items() if p > 0}
        self._runs: dict[str, list[Run]] = {}
        self._fresh = 0

    def text(self, option: str) -> str:
        """What an option stands for; nothing for ``none``."""
        return "" if option == NONE else self.texts.get(option, "")

    def same(self, other: Belief) -> bool:
        """Whether another is about the same menu."""
        return (self.menu, self.context, self.texts) == (other.menu, other.context, other.texts)

    def start_from(self, kept: Mapping[str, float]) -> None:
        """Begin with log V by text, gathered for an earlier menu."""
        self.kept = {name: kept[self.text(name)] for name in self._log_prior if self.text(name) in kept}

    def add(self, source: str, time: int, llr: Mapping[str, float], fresh: int) -> bool:
        """Take evidence, in any order of time; whether it is about any option of this menu.

        A source counts with the evidence that no silence longer than ``fresh`` ns parts from the newest evidence
        of the menu.
        """
        about = {option: value for option, value in llr.items() if option in self._log_prior}
        if not about:
            return False
        self._runs[source] = joined(self._runs.get(source, []), Run(time, time, about), fresh)
        self._fresh = fresh
        self.now = max(self.now, time)
        self.heard += 1
        return True

    def ratios(self) -> dict[str, dict[str, float]]:
        """The sum of the log-likelihood ratios that count by now, of each source and option."""
        live = {s: runs[-1].llr for s, runs in sorted(self._runs.items()) if self.now - runs[-1].last <= self._fresh}
        return {source: dict(sorted(llr.items())) for source, llr in live.items()}

    def log_v(self, reliability: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Log V of each source and option."""
        return {
            source: {name: float(log_mixture(llr, reliability.get(source, RELIABILITY))) for name, llr in sums.items()}
            for source, sums in self.ratios().items()
        }

    def start(self) -> dict[str, float]:
        """Log prior of every option and none, with what was kept."""
        return {name: value + self.kept.get(name, 0.0) for name, value in self._log_prior.items()}

    def posterior(self, by_source: Mapping[str, Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
        """P of every option and none, and log V of each over all sources, without what was kept."""
        total = dict.fromkeys(self._log_prior, 0.0)
        for values in by_source.values():
            for option, value in values.items():
                total[option] += value
        return posterior(self.start(), total), total
