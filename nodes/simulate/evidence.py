"""Evidence as the senses of a simulated person would give it, of a stated quality, without any signal.

With one number for how good a channel is, thousands of phrases can be written in minutes, and what the decision makes
of a channel can be told from what a decoder makes of its signal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from volition.core import EventFrame, EventsIn, EventsOut, Ge, Gt, Interval, Node, Unit
from volition.core.clock import nanoseconds
from volition.core.events import Engagement, Evidence

NONE = "none"
WRONG = "wrong"


def look_ratios(seen: int, n_places: int, accuracy: float) -> np.ndarray:
    """log P(a look at place ``seen`` | attends j) / P(it | attends nothing), shape (n_places,).

    A look is at what is attended to with probability ``accuracy``, else at any of the other places alike; somebody
    who attends to nothing looks at all of them alike.
    """
    if n_places < 2:
        return np.zeros(n_places)
    ratios = np.full(n_places, math.log((1.0 - accuracy) / (n_places - 1) * n_places))
    ratios[seen] = math.log(accuracy * n_places)
    return ratios


def shifted_ratio(d_prime: float, attended: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Log-likelihood ratios of scores with two normal densities of unit variance, d' apart; shape of ``attended``.

    The score is N(d', 1) where attended and N(0, 1) elsewhere, so its log-likelihood ratio is N(d'^2 / 2, d'^2) where
    attended and N(-d'^2 / 2, d'^2) elsewhere (Green and Swets 1966, Signal Detection Theory and Psychophysics,
    chapter 3).
    """
    scores = rng.standard_normal(attended.shape) + d_prime * attended
    ratios: np.ndarray = d_prime * scores - d_prime**2 / 2
    return ratios


class _Attention:
    """What is on the screen, and what of it the person attends to since when."""

    def __init__(self) -> None:
        self.menu: int | None = None
        self.places: list[str] = []
        self.target = ""
        self.since: int | None = None

    def show(self, data: Mapping[str, Any]) -> None:
        """A menu came up: attention is on nothing yet."""
        self.menu, self.since = data["menu"], None
        self.places = [*(option["id"] for option in data["options"]), NONE]

    def attend(self, time: int, data: Mapping[str, Any]) -> None:
        """The person found what they want."""
        if data.get("step") == "attend" and data.get("menu") == self.menu and data["target"] in self.places:
            self.target, self.since = data["target"], time

    def leave(self) -> None:
        """A choice was made."""
        self.since = None


class SimulatedChannel(Node):
    """A channel that says, at a steady pace, what the person attends to: as looks, or as scores of a stated d'.

    Evidence begins one ``every`` after the person attends to something on the menu, and ends at the choice. With an
    ``accuracy`` each piece is a look at one of the places, *none of these* among them; with a ``d_prime`` it is a round
    of scores, one a place. Both are as good as they say they are: the ratios are true ones, as long as the person is
    awake. With neither it is silent.
    """

    i_menu = EventsIn("menu")
    i_attend = EventsIn("calibration")
    i_choice = EventsIn("choice", optional=True)
    i_engagement = EventsIn("engagement", optional=True)
    o = EventsOut("evidence")

    def __init__(
        self,
        source: str = "gaze",
        accuracy: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
        d_prime: Annotated[float, Ge(0)] = 0.0,
        every: Annotated[float, Unit("s"), Gt(0)] = 0.3,
        drowsy: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    ):
        """source: what the evidence is called.

        accuracy: how often a look is at what is attended to; 0 for no looks.
        d_prime: distance between the scores of what is attended to and of the rest, in standard deviations.
        every: time from one look, or round, to the next.
        drowsy: how much less often looks are right for each z of engagement below 0; what they say does not know it.
        """
        self._drowsy, self._z = drowsy, 0.0
        self._source, self._accuracy, self._d_prime = source, accuracy, d_prime
        self._every = nanoseconds(every)
        self._attention = _Attention()
        self._next: int | None = None

    def update(self) -> None:
        if not self._accuracy and not self._d_prime:
            return
        given: list[Any] = []
        news = [
            *self.i_engagement.select("engagement"),
            *self.i_menu.select("menu"),
            *self.i_attend.select("calibration"),
            *self.i_choice.select("choice"),
        ]
        for time, label, data in sorted(news, key=lambda event: event[0]):
            self._give(time - 1, given)
            if label == "engagement":
                self._z = data.get("z", 0.0)
                continue
            if label == "menu":
                self._attention.show(data)
            elif label == "choice":
                if data["menu"] == self._attention.menu:
                    self._attention.leave()
            else:
                self._attention.attend(time, data)
            since = self._attention.since
            if since is None:
                self._next = None
            elif self._next is None or since == time:
                self._next = since + self._every
        self._give(self.now, given)
        self.wake = self._next
        if given:
            self.o = EventFrame.of(*given)

    def _give(self, until: int, given: list[Any]) -> None:
        """What the channel says up to a time."""
        while self._next is not None and self._next <= until:
            places, target = self._attention.places, self._attention.target
            attended = np.array([place == target for place in places])
            ratios = np.zeros(len(places))
            if self._accuracy:
                accuracy = self._accuracy - self._drowsy * max(0.0, -self._z)
                right = self.rng.random() < max(accuracy, 1 / len(places)) or len(places) < 2
                others = np.flatnonzero(~attended)
                seen = places.index(target) if right else int(self.rng.choice(others))
                ratios += look_ratios(seen, len(places), self._accuracy)
            if self._d_prime:
                ratios += shifted_ratio(self._d_prime, attended, self.rng)
            llr = dict(zip(places, ratios.round(6).tolist(), strict=True))
            given.append(Evidence(source=self._source, menu=self._attention.menu or 0, llr=llr).at(self._next))
            self._next += self._every


class SimulatedEngagement(Node):
    """The engagement of a simulated person, which comes and goes from their first menu on.

    The z is an AR(1) process of unit variance; the index is e^(z / 4), so that its logarithm has the z that is told.
    """

    i_menu = EventsIn("menu")
    o = EventsOut("engagement")

    def __init__(
        self,
        every: Annotated[float, Unit("s"), Gt(0)] = 2.0,
        lasts: Annotated[float, Unit("s"), Gt(0)] = 30.0,
    ):
        """every: time from one event to the next.

        lasts: time constant of the process.
        """
        self._every = nanoseconds(every)
        self._correlation = math.exp(-every / lasts)
        self._z: float | None = None
        self._next: int | None = None

    def update(self) -> None:
        if self._next is None:
            menus = self.i_menu.select("menu")
            if not menus:
                return
            self._next = menus[0][0]
        given = []
        while self._next <= self.now:
            new = float(self.rng.standard_normal())
            kept = self._correlation
            self._z = new if self._z is None else kept * self._z + math.sqrt(1 - kept**2) * new
            event = Engagement(index=round(math.exp(self._z / 4), 6), z=round(self._z, 6))
            given.append(event.at(self._next))
            self._next += self._every
        self.wake = self._next
        if given:
            self.o = EventFrame.of(*given)


class SimulatedErrorPotential(Node):
    """What the EEG says after each choice: whether the person saw a mistake, of a stated d'.

    One piece of evidence a choice, with the ratio of ``wrong``; silent with a d' of 0.
    """

    i_attend = EventsIn("calibration")
    i_choice = EventsIn("choice")
    o = EventsOut("evidence")

    def __init__(
        self,
        source: str = "errp",
        d_prime: Annotated[float, Ge(0)] = 0.0,
        delay: Annotated[float, Unit("s"), Ge(0)] = 0.6,
    ):
        """source: what the evidence is called.

        d_prime: distance between the scores of mistakes and of right choices, in standard deviations.
        delay: time from the choice to the end of the epoch in which the answer to it is seen.
        """
        self._source, self._d_prime, self._delay = source, d_prime, nanoseconds(delay)
        self._targets: dict[int, str] = {}
        self._waiting: list[tuple[int, int, bool]] = []

    def update(self) -> None:
        if not self._d_prime:
            return
        news = [*self.i_attend.select("calibration"), *self.i_choice.select("choice")]
        for time, label, data in sorted(news, key=lambda event: event[0]):
            if label == "choice":
                target = self._targets.pop(data["menu"], data["option"])
                self._targets.clear()
                self._waiting.append((time + self._delay, data["menu"], data["option"] != target))
            elif data.get("step") == "attend" and data.get("menu") is not None:
                self._targets[data["menu"]] = data["target"]
        given = []
        while self._waiting and self._waiting[0][0] <= self.now:
            time, menu, wrong = self._waiting.pop(0)
            llr = float(shifted_ratio(self._d_prime, np.array([wrong]), self.rng)[0])
            given.append(Evidence(source=self._source, menu=menu, llr={WRONG: round(llr, 6)}).at(time))
        self.wake = self._waiting[0][0] if self._waiting else None
        if given:
            self.o = EventFrame.of(*given)
