"""From evidence to a choice.

With p_j the prior of option j and r_sj = p(signal of s | attends j) / p(signal of s | attends nothing):

    V_sj = pi_s r_sj + (1 - pi_s)        pi_s: the probability that s says anything at all
    V_j  = product of V_sj over s        V_none = 1, unless none is a place with evidence of its own
    P_j  = p_j V_j / sum_i p_i V_i       over all options and none
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import itemgetter
from typing import Annotated, Any, Literal

import numpy as np

from volition.core import EventFrame, EventsIn, EventsOut, Ge, Gt, Interval, Node, NodeError, Unit
from volition.core.clock import nanoseconds
from volition.core.events import Choice, Posterior

NONE = "none"
RELIABILITY = 0.95
"""Of a source that nobody has said anything about."""


def log_mixture(llr: float, reliability: float) -> float:
    """Log V of a source, log(pi exp(llr) + 1 - pi): at least log(1 - pi), so it can do bounded harm only."""
    with np.errstate(divide="ignore"):
        return float(np.logaddexp(np.log(reliability) + llr, np.log1p(-reliability)))


def posterior(log_prior: Mapping[str, float], log_v: Mapping[str, float]) -> dict[str, float]:
    """P_j of every option of the prior; options without evidence have V = 1."""
    names = list(log_prior)
    total = np.array([log_prior[name] + log_v.get(name, 0.0) for name in names])
    weights = np.exp(total - total.max())
    return dict(zip(names, (weights / weights.sum()).tolist(), strict=True))


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
    """

    def __init__(self, menu: int, prior: Mapping[str, float], texts: Mapping[str, str], shown: int):
        total = sum(prior.values())
        self.menu = menu
        self.texts = dict(texts)
        self.shown = shown
        self.closed = False
        self.heard = 0
        self._log_prior = {name: math.log(p / total) for name, p in prior.items() if p > 0}
        self._sums: dict[str, dict[str, float]] = {}
        self._last: dict[str, int] = {}

    def add(self, source: str, time: int, llr: Mapping[str, float], fresh: int) -> None:
        """Take evidence; sums that are older than ``fresh`` ns by now no longer count."""
        for name in [name for name, last in self._last.items() if time - last > fresh]:
            del self._sums[name], self._last[name]
        sums = self._sums.setdefault(source, {})
        for option, value in llr.items():
            if option in self._log_prior:
                sums[option] = sums.get(option, 0.0) + value
        self._last[source] = max(time, self._last.get(source, time))
        self.heard += 1

    def log_v(self, reliability: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Log V of each source and option."""
        return {
            source: {option: log_mixture(value, reliability.get(source, RELIABILITY)) for option, value in sums.items()}
            for source, sums in sorted(self._sums.items())
        }

    def posterior(self, by_source: Mapping[str, Mapping[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
        """P of every option and none, and log V of each over all sources."""
        total = dict.fromkeys(self._log_prior, 0.0)
        for values in by_source.values():
            for option, value in values.items():
                total[option] += value
        return posterior(self._log_prior, total), total


def winner(p: Mapping[str, float], log_v: Mapping[str, float]) -> str | None:
    """The likeliest option; None while the evidence speaks more for another one.

    A menu's prior alone can pass a threshold. Without this a person would be made to choose by not having
    looked.
    """
    best = max(p, key=lambda name: p[name])
    return best if log_v[best] >= max(log_v.values()) else None


class Fusion(Node):
    """Posterior over the options of the menu from all evidence, and the choice when it is clear enough.

    Prior: the menu's probabilities; without a menu, the same for each box of a layout that names a menu (a
    matrix of letters; ``none`` takes part when a box has that id). Evidence counts for the menu on the
    screen only, from the time at which it came up. Each piece gives a posterior with its own time. A menu
    is chosen from once at most, and only by evidence that itself points at the winner. What is ignored is
    counted in ``ignored``.
    """

    evidence = EventsIn("evidence", name="i_evidence*")
    i_menu = EventsIn("menu", optional=True)
    i_layout = EventsIn("layout", optional=True)
    o_posterior = EventsOut("posterior")
    o_choice = EventsOut("choice")

    def __init__(
        self,
        threshold: Annotated[float, Interval(gt=0, le=1)] = 0.9,
        stop: Literal["threshold", "cost"] = "threshold",
        undo_cost: Annotated[float, Unit("s"), Gt(0)] = 4.0,
        look_cost: Annotated[float, Unit("s"), Gt(0)] = 0.3,
        reliability: dict[str, Annotated[float, Interval(ge=0, le=1)]] | None = None,
        min_time: Annotated[float, Unit("s"), Ge(0)] = 0.3,
        fresh: Annotated[float, Unit("s"), Gt(0)] = 2.0,
        decide_at_end: bool = False,
    ):
        """threshold: probability at which the likeliest option is taken; 1 for never.
        stop: threshold, or cost: take it when (1 - p) undo_cost is below look_cost.
        undo_cost: what a wrong choice costs, in time.
        look_cost: what looking on costs, in time: about the pause between two pieces of evidence.
        reliability: by source, the probability that it says anything at all; 0.95 where not given.
        min_time: no choice sooner than this after the menu came up.
        fresh: evidence of a source that has been silent for longer no longer counts.
        decide_at_end: take the likeliest option when the next layout comes.
        """
        self._threshold = threshold
        self._stop = stop
        self._undo_cost = undo_cost
        self._look_cost = look_cost
        self._reliability = dict(reliability or {})
        self._min_time = nanoseconds(min_time)
        self._fresh = nanoseconds(fresh)
        self._decide_at_end = decide_at_end
        self._belief: Belief | None = None
        self._menus = False
        self.ignored = 0

    def update(self) -> None:
        ports = [port for name, port in sorted(self.ports.items()) if name.startswith("i_evidence")]
        evidence = [event for port in ports for event in port]
        # Of one time, a menu comes before its layout, and both before evidence.
        events = sorted([*self.i_menu, *self.i_layout, *evidence], key=itemgetter(0))
        posteriors: list[Any] = []
        choices: list[Any] = []
        for time, label, data in events:
            if label == "menu":
                self._menus = True
                self._belief = self._from_menu(time, data)
            elif label == "layout":
                choices += self._lay_out(time, data)
            elif label == "evidence":
                found, chosen = self._weigh(time, data)
                posteriors += found
                choices += chosen
        if posteriors:
            self.o_posterior = EventFrame.of(*posteriors)
        if choices:
            self.o_choice = EventFrame.of(*choices)

    def _from_menu(self, time: int, data: Mapping[str, Any]) -> Belief:
        prior = {option["id"]: math.exp(option["log_probability"]) for option in data["options"]}
        texts = {option["id"]: option["text"] for option in data["options"]}
        prior[NONE] = data["p_none"]
        if not sum(prior.values()) > 0:
            raise NodeError(f"{self.id}: menu {data['menu']} gives every option, and none, the probability 0")
        return Belief(data["menu"], prior, texts, time)

    def _lay_out(self, time: int, data: Mapping[str, Any]) -> list[Any]:
        belief, menu = self._belief, data.get("menu")
        if belief is not None and belief.menu == menu:
            if belief.heard == 0:
                belief.shown = max(belief.shown, time)
            return []
        if self._menus:
            return []  # a layout of something else, or of a menu that is gone
        choices = self._decide(time, belief) if belief is not None and self._decide_at_end else []
        boxes = {box["id"]: box.get("text") or box["id"] for box in data["boxes"]}
        self._belief = None
        if menu is not None and boxes:
            self._belief = Belief(menu, dict.fromkeys(boxes, 1.0), boxes, time)
        return choices

    def _decide(self, time: int, belief: Belief) -> list[Any]:
        if belief.closed or not belief.heard:
            return []
        p, _ = belief.posterior(belief.log_v(self._reliability))
        return [self._choose(time, belief, max(p, key=lambda name: p[name]), p)]

    def _weigh(self, time: int, data: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        belief = self._belief
        if belief is None or belief.menu != data["menu"] or belief.closed or time < belief.shown:
            self.ignored += 1
            return [], []
        belief.add(data["source"], time, data["llr"], self._fresh)
        by_source = belief.log_v(self._reliability)
        p, log_v = belief.posterior(by_source)
        event = Posterior(menu=belief.menu, p=p, sources=by_source).at(time)
        best = winner(p, log_v)
        if best is None or time < belief.shown + self._min_time or not self._clear(p[best]):
            return [event], []
        return [event], [self._choose(time, belief, best, p)]

    def _clear(self, p: float) -> bool:
        if self._stop == "cost":
            return (1.0 - p) * self._undo_cost < self._look_cost
        return self._threshold < 1.0 and p >= self._threshold

    def _choose(self, time: int, belief: Belief, option: str, p: Mapping[str, float]) -> Any:
        belief.closed = True
        text = belief.texts.get(option, "") if option != NONE else ""
        return Choice(menu=belief.menu, option=option, text=text, p=min(1.0, p[option])).at(time)
