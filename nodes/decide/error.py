"""From error potentials to an undo."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from operator import itemgetter
from typing import Annotated, Any

from volition.core import EventFrame, EventsIn, EventsOut, Gt, Interval, Node, Unit
from volition.core.clock import nanoseconds
from volition.core.events import State, Undo
from volition.nodes.decide.belief import NONE, bounded, log_mixture
from volition.nodes.decide.outcomes import BY_ERROR, WRONG
from volition.nodes.decide.reliability import RELIABILITY

SUREST = 1 - 1e-9
"""No choice is surer than this: one of probability 1 could never be wrong."""


def p_wrong(p: float, log_v: float) -> float:
    """Probability that a choice of probability ``p`` was wrong, after a signal.

    log_v is log of p(signal | wrong) / p(signal | right), made safe by the source's reliability:
    P(wrong) / P(right) = (1 - p) / p exp(log_v).

    >>> round(p_wrong(0.9, 0.0), 3), round(p_wrong(0.9, math.log(81)), 3)
    (0.1, 0.9)
    """
    p = min(p, SUREST)
    if p <= 0:
        return 1.0
    odds = math.log1p(-p) - math.log(p) + log_v
    return 1.0 / (1.0 + math.exp(-odds)) if odds > -700 else 0.0


class LastChoice:
    """The choice that error potentials speak about; ``llr`` is the sum of what they said."""

    def __init__(self, time: int, menu: int, p: float):
        self.time, self.menu, self.p = time, menu, p
        self.llr = 0.0
        self.asked = False


class ErrorPotential(Node):
    """Takes a choice back when the person's brain answers it as a mistake.

    After a choice, evidence of ``source`` for its menu with the key ``wrong``, the log of p(signal | the choice was
    wrong) / p(signal | it was right), gives P(wrong) by Bayes, from the prior 1 - p of the choice. From ``undo_at`` on
    the choice is undone (``undo`` with the reason ``error potential`` and the menu); from ``ask_at`` on, once, an undo
    is worth offering (``state`` ``undo_suggested`` with ``menu`` and ``p_wrong``). A choice of ``none`` has nothing to
    take back. What comes before the choice, later than ``within``, after the next choice or after an undo is
    ignored, and so is NaN; all are counted by reason in ``ignored_by``. Beyond 30 nats a piece is clipped
    (``clipped``).

    Lead evidence of the same source to Fusion as well: it then counts against the option when it is offered again.
    """

    i = EventsIn("evidence")
    i_choice = EventsIn("choice")
    i_undo = EventsIn("undo", optional=True)
    o = EventsOut("undo")
    o_state = EventsOut("state")

    def __init__(
        self,
        source: str = "errp",
        undo_at: Annotated[float, Interval(gt=0, le=1)] = 0.9,
        ask_at: Annotated[float, Interval(gt=0, le=1)] = 0.5,
        reliability: Annotated[float, Interval(ge=0, le=1)] = RELIABILITY,
        within: Annotated[float, Unit("s"), Gt(0)] = 2.0,
        veto: bool = False,
    ):
        """source: of the evidence that speaks about mistakes.
        undo_at: probability of a mistake from which the choice is undone; 1 for never.
        ask_at: probability of a mistake from which an undo is suggested; 1 for never.
        reliability: probability that the source says anything at all.
        within: an error potential comes this soon after the choice.
        veto: WARNING: undoes whenever the signal alone speaks for a mistake (llr > 0), however sure the choice was.
            With 80 % of mistakes seen and 10 % false alarms it helps only above about 11 % wrong choices, where
            0.8 e = 0.1 (1 - e); below, it takes back more good choices than bad ones.
        """
        self._source = source
        self._undo_at, self._ask_at = undo_at, ask_at
        self._reliability = reliability
        self._within = nanoseconds(within)
        self._veto = veto
        self._last: LastChoice | None = None
        self.ignored_by: Counter[str] = Counter()
        self.clipped = 0

    def update(self) -> None:
        undos: list[Any] = []
        states: list[Any] = []
        # Of one time, a choice comes before what is said about it.
        for time, label, data in sorted([*self.i_choice, *self.i, *self.i_undo], key=itemgetter(0)):
            if label == "choice":
                taken = data["option"] != NONE
                self._last = LastChoice(time, data["menu"], data["p"]) if taken else None
            elif label == "undo":
                self._last = None
            elif label == "evidence" and data["source"] == self._source:
                event = self._hear(time, data)
                if event is not None:
                    (undos if event[1] == "undo" else states).append(event)
        if undos:
            self.o = EventFrame.of(*undos)
        if states:
            self.o_state = EventFrame.of(*states)

    def _hear(self, time: int, data: Mapping[str, Any]) -> tuple[int, str, dict[str, Any]] | None:
        last = self._last
        sound = bounded(data["llr"])
        reason = "not a number" if sound is None else self._reason_against(time, data)
        if last is None or sound is None or reason:
            self.ignored_by[reason] += 1
            return None
        llr, clipped = sound
        self.clipped += clipped
        last.llr += llr[WRONG]
        p = p_wrong(last.p, float(log_mixture(last.llr, self._reliability)))
        if (self._veto and last.llr > 0) or (self._undo_at < 1 and p >= self._undo_at):
            self._last = None
            return Undo(reason=BY_ERROR, menu=last.menu).at(time)
        if self._ask_at < 1 and p >= self._ask_at and not last.asked:
            last.asked = True
            detail = {"menu": last.menu, "p_wrong": round(p, 6)}
            return State(state="undo_suggested", source=self._source, detail=detail).at(time)
        return None

    def _reason_against(self, time: int, data: Mapping[str, Any]) -> str:
        """Why evidence does not count; empty when it does."""
        last = self._last
        if WRONG not in data["llr"]:
            return "nothing about a mistake"
        if last is None or data["menu"] != last.menu:
            return "not the last choice"
        if time < last.time:
            return "before the choice"
        return "too late" if time - last.time > self._within else ""
