"""From evidence to a choice."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from volition.core import EventFrame, EventsIn, EventsOut, Ge, Gt, Interval, Le, LoadError, Node, NodeError, Unit
from volition.core.clock import nanoseconds, seconds
from volition.core.events import Choice, Posterior
from volition.nodes.decide.belief import KEPT, NONE, Belief, bounded
from volition.nodes.decide.engagement import Influence, faded
from volition.nodes.decide.outcomes import BY_ERROR, WRONG, Outcomes, Taken
from volition.nodes.decide.reliability import Reliabilities
from volition.nodes.decide.stopping import Rule, bound_of_cost, reached, two_best, winner

Share = Annotated[float, Interval(ge=0, le=1)]

_RANK = {label: n for n, label in enumerate(("engagement", "menu", "layout", "evidence", "undo"))}
"""Of one time, causes come before what they may have led to."""


def _in_order(event: tuple[int, str, Mapping[str, Any]]) -> tuple[int, int, str, str]:
    """By time, cause and content, so that the port through which an event came plays no part."""
    time, label, data = event
    if label != "evidence":
        return time, _RANK.get(label, len(_RANK)), "", ""
    return time, _RANK[label], data["source"], json.dumps(data["llr"], sort_keys=True)


class Fusion(Node):
    """Posterior over the options of the menu from all evidence, and the choice when it is clear enough.

    Prior: the menu's probabilities; without a menu, the same for each box of a layout that names a menu (a
    matrix of letters; ``none`` takes part when a box has that id). Evidence counts for the menu on the
    screen only, from the time at which it came up, however late it arrives. Each piece gives a posterior: what is
    believed at the time of the newest one. A menu is chosen from once at most, and only by evidence that itself
    points at the winner. A piece that is not a number is refused, one beyond 30 nats is clipped. What is ignored
    is counted by its reason in ``ignored_by``, what is clipped in ``clipped``.

    **Outcomes.** A choice has stood when the next one is made, and was wrong when an ``undo`` takes it back; from
    this the reliability of each source is learned. It is used from the first undo on: connect ``i_undo``. When a
    menu comes for the same text as one that was undone, options with the same text begin with the evidence that
    they had (``kept`` among the sources of the posterior); it counts as a prior does, and the choice waits for
    evidence of the new menu. Evidence with the key ``wrong`` speaks about the last choice (see ErrorPotential)
    and counts against the option that was undone.

    **Engagement** moves reliabilities, threshold and ``min_time``, and is never evidence for one option. What was
    in force is in each posterior.
    """

    evidence = EventsIn("evidence", name="i_evidence*")
    i_menu = EventsIn("menu", optional=True)
    i_layout = EventsIn("layout", optional=True)
    i_undo = EventsIn("undo", optional=True)
    i_engagement = EventsIn("engagement", optional=True)
    o_posterior = EventsOut("posterior")
    o_choice = EventsOut("choice")

    def __init__(
        self,
        threshold: Annotated[float, Interval(gt=0, le=1)] = 0.99,
        none_threshold: Annotated[float, Interval(gt=0, le=1)] = 0.9,
        stop: Rule = "threshold",
        margin: Annotated[float, Interval(gt=0, le=1)] = 0.98,
        undo_cost: Annotated[float, Unit("s"), Gt(0)] = 7.5,
        look_cost: Annotated[float, Unit("s"), Gt(0)] = 0.075,
        reliability: dict[str, Share] | None = None,
        learn: bool = True,
        reliability_bounds: tuple[Share, Share] = (0.5, 0.99),
        min_time: Annotated[float, Unit("s"), Ge(0)] = 0.3,
        fresh: Annotated[float, Unit("s"), Gt(0)] = 2.0,
        decide_at_end: bool = False,
        undone: Annotated[float, Unit("nats"), Le(0)] = -4.0,
        engagement_reliability: Share = 0.1,
        engagement_threshold: Share = 0.5,
        engagement_dwell: Share = 0.5,
        engagement_fresh: Annotated[float, Unit("s"), Gt(0)] = 5.0,
        uniform: bool = False,
    ):
        """threshold: probability at which the likeliest option is taken; 1 for never.
        none_threshold: ``none`` is taken at this where that is less than the others need: a wrong one changes no text.
        stop: threshold, margin, or cost: take it when (1 - p) undo_cost is no more than look_cost.
        margin: by how much the likeliest option has to be likelier than the second; 1 for never.
        undo_cost: what a wrong choice costs, in time: about three choices.
        look_cost: what looking on costs, in time for each nat: the pause between two looks, divided by what one adds.
        reliability: by source, the probability that it says anything at all; 0.95 where not given.
        learn: whether reliabilities are learned from how choices turn out; those given as 0 or 1 are not.
        reliability_bounds: what is learned stays within.
        min_time: no choice sooner than this after the menu came up.
        fresh: evidence of a source that has been silent for longer no longer counts.
        decide_at_end: take the likeliest option when the next layout comes.
        undone: most that the evidence can say for an option that the person took back, when it is offered again.
        engagement_reliability: part by which low engagement (z of -2) lowers reliabilities; high raises by half of it.
        engagement_threshold: part by which low engagement shrinks the error that the threshold allows.
        engagement_dwell: part by which low engagement lengthens min_time.
        engagement_fresh: an engagement that is older than this fades, and is forgotten at twice that.
        uniform: take all options, and none, for equally likely, whatever the menu says.
        """
        if reliability_bounds[0] > reliability_bounds[1]:
            raise LoadError(f"reliability_bounds: expected the lower one first, got {list(reliability_bounds)}")
        self._uniform = uniform
        self._stop = stop
        self._bound = {"threshold": threshold, "margin": margin, "cost": bound_of_cost(undo_cost, look_cost)}[stop]
        self._none_threshold = none_threshold
        self._reliability = Reliabilities(reliability or {}, reliability_bounds, learn)
        self._min_time = nanoseconds(min_time)
        self._fresh = nanoseconds(fresh)
        self._decide_at_end = decide_at_end
        self._undone = undone
        self._influence = Influence(engagement_reliability, engagement_threshold, engagement_dwell)
        self._engagement_fresh = engagement_fresh
        self._engaged: tuple[int, float] | None = None
        self._belief: Belief | None = None
        self._menus = False
        self._outcomes = Outcomes()
        self._kept: dict[str, dict[str, float]] = {}
        self._given: dict[str, list[Any]] = {"o_posterior": [], "o_choice": []}
        self.ignored_by: Counter[str] = Counter()
        self.clipped = 0

    @property
    def ignored(self) -> int:
        """How many events did not count."""
        return self.ignored_by.total()

    def update(self) -> None:
        ports = [port for name, port in self.ports.items() if name.startswith("i_evidence")]
        evidence = [event for port in ports for event in port]
        others = [*self.i_engagement, *self.i_menu, *self.i_layout, *self.i_undo]
        takers = {
            "engagement": self._engage,
            "menu": self._show,
            "layout": self._lay_out,
            "evidence": self._hear,
            "undo": self._undo,
        }
        for time, label, data in sorted([*others, *evidence], key=_in_order):
            if label in takers:
                takers[label](time, data)
        for port, events in self._given.items():
            if events:
                self.ports[port].frame = EventFrame.of(*events)
                self._given[port] = []

    def _ignore(self, reason: str) -> None:
        self.ignored_by[reason] += 1

    # What is on the screen

    def _show(self, time: int, data: Mapping[str, Any]) -> None:
        self._menus = True
        prior = {option["id"]: math.exp(option["log_probability"]) for option in data["options"]}
        texts = {option["id"]: option["text"] for option in data["options"]}
        prior[NONE] = data["p_none"]
        if not sum(prior.values()) > 0:
            raise NodeError(f"{self.id}: menu {data['menu']} gives every option, and none, the probability 0")
        if self._uniform:
            prior = dict.fromkeys(prior, 1.0)
        context = data["context"]
        belief, before = Belief(data["menu"], prior, texts, time, context), self._belief
        if before is not None and time < before.came:
            self._ignore("older menu")
        elif before is not None and before.same(belief) and not (before.closed and context in self._kept):
            self._ignore("menu repeated")  # what it was chosen from once, it is not chosen from again
        else:
            self._belief = belief
            self._outcomes.show(context)
            belief.start_from(self._kept.get(context, {}))

    def _lay_out(self, time: int, data: Mapping[str, Any]) -> None:
        belief, menu = self._belief, data.get("menu")
        if belief is not None and belief.menu == menu:
            if belief.heard == 0:
                belief.shown = belief.now = max(belief.shown, time)
            return
        if self._menus:
            return  # a layout of something else, or of a menu that is gone
        if belief is not None and self._decide_at_end and belief.heard and not belief.closed:
            reliability, _, _, _ = self._force(belief, time)
            by_source = belief.log_v(reliability)
            p, _ = belief.posterior(by_source)
            self._choose(time, belief, max(p, key=lambda name: p[name]), p, by_source)
        boxes = {box["id"]: box.get("text") or box["id"] for box in data["boxes"]}
        self._belief = None
        if menu is not None and boxes:
            self._belief = Belief(menu, dict.fromkeys(boxes, 1.0), boxes, time)

    # What the person's signals say

    def _engage(self, time: int, data: Mapping[str, Any]) -> None:
        z = data.get("z")
        if z is None or not math.isfinite(z) or (self._engaged is not None and time < self._engaged[0]):
            return
        self._engaged = (time, z)

    def _force(self, belief: Belief, time: int) -> tuple[dict[str, float], float, float, float | None]:
        """Reliability by source, threshold, min_time in ns, and the z that moved them, at a time."""
        z = 0.0
        if self._engaged is not None:
            z = faded(self._engaged[1], max(0.0, seconds(time - self._engaged[0])), self._engagement_fresh)
        influence, reliability = self._influence, self._reliability
        return (
            {s: influence.on_reliability(reliability[s], z, reliability.cap(s)) for s in belief.ratios()},
            influence.on_threshold(self._bound, z),
            influence.on_dwell(self._min_time, z),
            z if self._engaged is not None else None,
        )

    def _hear(self, time: int, data: Mapping[str, Any]) -> None:
        sound = bounded(data["llr"])
        if sound is None:
            self._ignore("not a number")
            return
        llr, clipped = sound
        self.clipped += clipped
        if WRONG in llr:
            if not self._outcomes.wrong(data["menu"], llr[WRONG]):
                self._ignore("not the last choice")
            return
        belief = self._belief
        reason = _reason_against(belief, data["menu"], time)
        if belief is None or reason:
            self._ignore(reason)
        elif belief.add(data["source"], time, llr, self._fresh):
            self._weigh(belief)
        else:
            self._ignore("no option of the menu")

    def _weigh(self, belief: Belief) -> None:
        time = belief.now
        reliability, bound, min_time, z = self._force(belief, time)
        by_source = belief.log_v(reliability)
        p, log_v = belief.posterior(by_source)
        kept = {KEPT: belief.kept} if belief.kept else {}
        found = Posterior(
            menu=belief.menu,
            p=p,
            sources={**by_source, **kept},
            reliability=reliability,
            threshold=bound,
            engagement=z,
        )
        self._given["o_posterior"].append(found.at(time))
        best = winner(p, log_v)
        if best == NONE and bound < 1:
            bound = min(bound, self._none_threshold)
        if best is not None and time >= belief.shown + min_time and reached(self._stop, bound, *two_best(p)):
            self._choose(time, belief, best, p, by_source)

    # What became of it

    def _choose(
        self, time: int, belief: Belief, option: str, p: Mapping[str, float], log_v: Mapping[str, Mapping[str, float]]
    ) -> None:
        belief.closed = True
        self._kept = {}  # the person has moved on
        choice = Choice(menu=belief.menu, option=option, text=belief.text(option), p=min(1.0, p[option]))
        self._given["o_choice"].append(choice.at(time))
        stood = self._outcomes.take(Taken.of(belief, option, log_v))
        if stood is not None:
            self._reliability.stood(stood.option, stood.ratios)

    def _undo(self, time: int, data: Mapping[str, Any]) -> None:
        found = self._outcomes.undo(data.get("menu"))
        if found is None:
            self._ignore("undo of something else")
            return
        taken, news = found
        if news:
            self._reliability.undone(taken.option, taken.log_prior, taken.ratios, taken.log_v)
        if taken.context is None:
            return
        by_error = data.get("reason") == BY_ERROR
        kept = self._kept[taken.context] = taken.without(None if by_error else self._undone)
        belief = self._belief
        if belief is not None and belief.context == taken.context and belief.menu != taken.menu:
            belief.start_from(kept)  # the menu was faster than the undo that it came from


def _reason_against(belief: Belief | None, menu: int, time: int) -> str:
    """Why evidence does not count; empty when it does."""
    if belief is None:
        return "no menu"
    if menu != belief.menu:
        return "older menu" if menu < belief.menu else "another menu"
    if time < belief.shown:
        return "before the menu"
    return "after the choice" if belief.closed else ""
