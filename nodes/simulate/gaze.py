"""The gaze of a simulated person who looks at what they attend to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from scipy.signal import lfilter

from volition.core import (
    EventsIn,
    Ge,
    Gt,
    Interval,
    Node,
    SignalFrame,
    SignalOut,
    SignalSpec,
    Spec,
    Unit,
)
from volition.core.clock import SECOND, nanoseconds

SCREEN = (1920.0, 1080.0)
TEXT = (960.0, 80.0)
"""Where the text is read, px."""


class Jitter:
    """What a tracker adds to a steady gaze: an AR(1) process per axis, however many samples are asked for.

    Parameters
    ----------
    deviation
        Standard deviation in px.
    correlation
        From one sample to the next.
    """

    def __init__(self, deviation: float, correlation: float, rng: np.random.Generator):
        self._correlation, self._rng = correlation, rng
        self._gain = deviation * np.sqrt(1 - correlation**2)
        self._state = np.zeros((1, 2))

    def __call__(self, n: int) -> np.ndarray:
        """The next ``n`` deviations in px, shape (n, 2)."""
        white = self._rng.standard_normal((n, 2))
        wave, self._state = lfilter([self._gain], [1.0, -self._correlation], white, axis=0, zi=self._state)
        deviations: np.ndarray = wave
        return deviations


class SimulatedGaze(Node):
    """The gaze of a simulated person, in pixels of a 1920 x 1080 screen.

    A timer: it gives the samples up to now on a grid that begins at its first tick. Once the box that the
    person attends to is on the screen, the gaze jumps to it after a reaction time, and stays as far from
    its centre as the tracker's calibration is off. Before, and when nothing on the screen is attended to,
    it wanders. Same samples however the ticks fall.
    """

    i_layout = EventsIn("layout", optional=True)
    i_attend = EventsIn("calibration", optional=True)
    o = SignalOut(channels=["x", "y"], unit="px")

    def __init__(
        self,
        rate: Annotated[float, Unit("Hz"), Gt(0)] = 60.0,
        error: Annotated[float, Unit("px"), Ge(0)] = 40.0,
        jitter: Annotated[float, Unit("px"), Ge(0)] = 15.0,
        correlation: Annotated[float, Interval(ge=0, lt=1)] = 0.8,
        reaction: Annotated[float, Unit("s"), Ge(0)] = 0.35,
        every: Annotated[float, Unit("s"), Gt(0)] = 0.02,
        reads: bool = False,
    ):
        """rate: samples a second.

        error: standard deviation, per axis, of where a look lands around the centre of a box.
        jitter: standard deviation, per axis, of the samples within a look.
        correlation: of the jitter from one sample to the next.
        reaction: median time from a layout to the look; half of all are within 20 % of it.
        every: time between two chunks of samples.
        reads: whether the gaze goes to the text, at the top, when a new menu comes, until something is attended to.
        """
        self._rate, self._every, self._reads = rate, nanoseconds(every), reads
        self._error, self._reaction = error, reaction
        self._deviation, self._correlation = jitter, correlation
        self._origin: int | None = None
        self._given = 0
        self._layout: tuple[int, Mapping[str, Any]] | None = None
        self._attended: tuple[int, Mapping[str, Any]] | None = None
        self._place = np.array(SCREEN) / 2
        self._jumps: list[tuple[int, np.ndarray]] = []

    def start(self) -> None:
        # Apart, so that the number of looks does not change the jitter.
        jitter_rng, self._looks_rng = self.rng.spawn(2)
        self._jitter = Jitter(self._deviation, self._correlation, jitter_rng)

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        return {"o": SignalSpec(("x", "y"), self._rate, "px")}

    def update(self) -> None:
        if self._origin is None:
            self._origin = self.now
        news = [*self.i_layout.select("layout"), *self.i_attend.select("calibration")]
        for time, label, data in sorted(news, key=lambda event: event[0]):
            if label == "layout":
                before = self._layout
                self._layout = (time, data)
                if self._reads and (before is None or before[1].get("menu") != data.get("menu")):
                    self._jump(time, np.array(TEXT))
            elif data.get("step") == "attend":
                self._attended = (time, data)
            else:
                continue
            self._plan()
        last = int((self.now - self._origin) * self._rate / SECOND)
        if last >= self._given:
            self._give(self._origin, last + 1)
        self.wake = self._origin + ((self.now - self._origin) // self._every + 1) * self._every

    def _plan(self) -> None:
        """A jump, when what is attended to and where it lies are both known and belong together."""
        if self._layout is None or self._attended is None:
            return
        (shown, layout), (decided, attend) = self._layout, self._attended
        menu = attend.get("menu")
        if menu is not None and menu != layout.get("menu"):
            return
        centre = box_centre(layout, attend.get("target", ""))
        if centre is None:
            centre = self._looks_rng.uniform(0.1, 0.9, 2) * SCREEN
        self._jump(max(shown, decided), centre)

    def _jump(self, after: int, centre: np.ndarray) -> None:
        delay = self._reaction * float(np.exp(0.28 * self._looks_rng.standard_normal()))
        landing = centre + self._error * self._looks_rng.standard_normal(2)
        at = after + nanoseconds(delay)
        self._jumps = [j for j in self._jumps if j[0] < at]
        self._jumps.append((at, landing))

    def _give(self, origin: int, until: int) -> None:
        index = np.arange(self._given, until)
        self._given = until
        times = origin + np.round(index * (SECOND / self._rate)).astype(np.int64)
        places = np.tile(self._place, (len(times), 1))
        for at, landing in self._jumps:
            places[times >= at] = landing
        self._place = places[-1].copy()
        self._jumps = [j for j in self._jumps if j[0] > times[-1]]
        self.o = SignalFrame(times, places + self._jitter(len(times)), ("x", "y"), self._rate, "px")


def box_centre(layout: Mapping[str, Any], box_id: str) -> np.ndarray | None:
    """The centre in px, shape (2,), of the box with this id; None when the layout has none."""
    for box in layout["boxes"]:
        if box["id"] == box_id:
            centre = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
            if layout.get("unit", "px") == "px":
                return centre
            return centre * (layout.get("screen") or SCREEN)
    return None
