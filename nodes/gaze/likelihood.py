"""Which box the gaze rests on, as calibrated log-likelihood ratios.

All geometry is in screen heights (x is multiplied by the screen's width over its height), so that one error
holds in both directions, in pixels and in normalised units.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from volition.core import (
    EventFrame,
    EventsIn,
    EventsOut,
    FrameError,
    Ge,
    Gt,
    Interval,
    Node,
    NodeError,
    SignalIn,
    SignalSpec,
    Spec,
    Unit,
)
from volition.core.clock import nanoseconds
from volition.core.events import Evidence, Layout

MARGIN = 0.25
"""How far, in screen heights, gaze may leave the screen and still be gaze on something."""


def scale_of(unit: str, screen: tuple[float, float]) -> np.ndarray:
    """Factors, shape (2,), that take x and y in ``px`` or ``norm`` to screen heights.

    >>> scale_of("norm", (1920, 1080)).round(3).tolist()
    [1.778, 1.0]
    """
    width, height = screen
    return np.array([1.0, 1.0]) / height if unit == "px" else np.array([width / height, 1.0])


def log_ratios(point: np.ndarray, centres: np.ndarray, spread: np.ndarray, area: float, outliers: float) -> np.ndarray:
    """log p(point | attends box) - log p(point | attends nothing), shape (n_boxes,).

    Given a box, a point is Gaussian around its centre, or with probability ``outliers`` anywhere on the
    screen; given nothing it is anywhere on the screen. So the ratio never falls below ``log(outliers)``.

    Parameters
    ----------
    point
        shape (2,).
    centres, spread
        shape (n_boxes, 2): the centres of the boxes and the standard deviation around each, per axis.
    area
        Of the screen, in the square of the same unit.
    outliers
        In (0, 1).
    """
    z = (point - centres) / spread
    density = np.exp(-0.5 * (z**2).sum(axis=1)) / (2 * np.pi * spread.prod(axis=1))
    ratios: np.ndarray = np.log((1 - outliers) * density * area + outliers)
    return ratios


@dataclass(frozen=True)
class GazeModel:
    """How gaze behaves while a person attends to a box; see the parameters of ``GazeOnBox``."""

    error: float
    outliers: float
    every: float
    independent_every: float
    correlation: float


class BoxEvidence:
    """Evidence about one layout from the windows of gaze that follow it.

    Windows of ``every`` seconds begin at ``start``, whatever the chunks. Each is reduced to the median of
    its valid samples, and counts as ``every / independent_every`` independent looks, times the part of its
    samples that was valid. Windows without a valid sample say nothing.

    Looks share the error of the calibration and of the person, so n of them are worth less than n. With the
    correlation rho between the errors of two looks, their joint log-likelihood ratio is the sum of all,
    divided by the design effect 1 + (n - 1) rho (Kish 1965, Survey Sampling, section 5.4). What a window
    gives is the growth of this joint ratio: a consumer adds up.

    Parameters
    ----------
    centres, sizes
        shape (n_boxes, 2), in screen heights. A person looks anywhere inside a box: the variance of a
        uniform density on it, size^2 / 12, is added to the variance of the error.
    aspect
        The screen's width over its height.
    start
        ns UTC: earlier gaze does not count.
    """

    def __init__(self, centres: np.ndarray, sizes: np.ndarray, aspect: float, start: int, model: GazeModel):
        self.start = start
        self._centres, self._aspect, self._model = centres, aspect, model
        self._spread = np.sqrt(model.error**2 + sizes**2 / 12)
        self._every, self._weight = nanoseconds(model.every), model.every / model.independent_every
        self._window = 0
        self._samples: list[np.ndarray] = []
        self._looks = 0.0
        self._sum = np.zeros(len(centres))
        self._told = np.zeros(len(centres))

    def forget_window(self) -> None:
        """Drop the samples of the window that is not complete."""
        self._samples = []

    def add(self, times: np.ndarray, points: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """End of each window that is complete, in ns, and increments of the ratios, shape (n_boxes,).

        ``times`` int64, shape (n,); ``points`` shape (n, 2) in screen heights, NaN where there is no gaze. A
        window is complete when a sample at or after its end has come.
        """
        given = []
        first = int(np.searchsorted(times, self.start))
        times, points = times[first:], points[first:]
        windows = (times - self.start) // self._every
        for window in np.unique(windows):
            if window > self._window:
                increment = self._close()
                if increment is not None:
                    given.append((self.start + (self._window + 1) * self._every, increment))
                self._window = int(window)
            self._samples.append(points[windows == window])
        return given

    def _close(self) -> np.ndarray | None:
        if not self._samples:
            return None
        points = np.concatenate(self._samples)
        self._samples = []
        limits = np.array([self._aspect, 1.0]) + MARGIN
        with np.errstate(invalid="ignore"):
            valid = points[((points > -MARGIN) & (points < limits)).all(axis=1)]
        if not len(valid):
            return None
        weight = self._weight * len(valid) / len(points)
        point = np.median(valid, axis=0)
        model = self._model
        self._sum += weight * log_ratios(point, self._centres, self._spread, self._aspect, model.outliers)
        self._looks += weight
        joint = self._sum / (1 + (self._looks - 1) * model.correlation)
        increment: np.ndarray = joint - self._told
        self._told = joint
        return increment


class GazeOnBox(Node):
    """Evidence for the boxes of a layout from where the gaze rests.

    Each window of gaze after a layout with a menu gives one ``evidence`` event at the window's end; the
    events of a menu add up to the log-likelihood ratio of all gaze on it. NaN samples and gaze far off the
    screen are left out. A gap drops the window it falls into. The next layout ends the evidence for the one
    before; a layout without a menu gets none. Same output however the stream is cut.

    The defaults fit a screen tracker: on 55 prompts of a matrix speller (Tobii, 60 Hz), an error of 0.03
    with keys 0.15 high and a correlation of 0.7 gave the best log-loss of the posterior; the errors within
    one look were correlated by 0.69 (x) and 0.96 (y). A webcam has errors of 0.1 to 0.2.
    """

    i = SignalIn(channels=["x", "y"])
    i_layout = EventsIn("layout")
    o = EventsOut("evidence")

    def __init__(
        self,
        error: Annotated[float, Unit("screen heights"), Gt(0)] = 0.03,
        outliers: Annotated[float, Interval(gt=0, lt=1)] = 0.05,
        every: Annotated[float, Unit("s"), Gt(0)] = 0.1,
        independent_every: Annotated[float, Unit("s"), Gt(0)] = 0.25,
        correlation: Annotated[float, Interval(ge=0, lt=1)] = 0.7,
        delay: Annotated[float, Unit("s"), Ge(0)] = 0.2,
        screen: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] = (1920.0, 1080.0),
    ):
        """error: standard deviation of the gaze error, per axis.

        outliers: how often the gaze is somewhere else although the person attends to a box.
        every: length of a window, and time between two pieces of evidence.
        independent_every: time after which a look counts as another one; faster samples are one look.
        correlation: between the errors of two looks at one box, such as a shift of the calibration.
        delay: gaze before the layout's time plus this is not yet about it.
        screen: width and height in px where a layout does not say them.
        """
        self._model = GazeModel(error, outliers, every, independent_every, correlation)
        self._delay, self._screen = nanoseconds(delay), screen
        self._waiting: deque[tuple[int, Mapping[str, Any]]] = deque()
        self._last: Mapping[str, Any] | None = None
        self._layout: Layout | None = None
        self._boxes: BoxEvidence | None = None

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        gaze = inputs.get("i")
        if isinstance(gaze, SignalSpec) and gaze.unit is not None:
            units = {gaze.unit} if isinstance(gaze.unit, str) else set(gaze.unit)
            if not units <= {"px", "norm", ""}:
                raise NodeError(
                    f"the gaze is in {', '.join(sorted(units))}; boxes lie in px or norm (0..1 of the screen)"
                )
        return super().infer(inputs)

    def restart(self) -> None:
        if self._boxes is not None:
            self._boxes.forget_window()

    def update(self) -> None:
        for time, _, data in self.i_layout.select("layout"):
            if data != self._last:  # the same layout said again changes nothing
                self._waiting.append((time, data))
                self._last = data
        if not self.i:
            return
        columns = self.i.frame.indices(["x", "y"], self.id)
        times, points = self.i.times, self.i.values[:, columns].astype(np.float64)
        unit = self._unit([self.i.unit[c] for c in columns])
        events = []
        while len(times):
            n = int(np.searchsorted(times, self._waiting[0][0])) if self._waiting else len(times)
            events += self._evidence(times[:n], points[:n], unit)
            times, points = times[n:], points[n:]
            if len(times):
                self._open(*self._waiting.popleft())
        if events:
            self.o = EventFrame.of(*events)

    def _unit(self, units: Sequence[str]) -> str:
        if units[0] != units[1] or units[0] not in ("px", "norm"):
            raise FrameError(
                f"{self.id or 'gaze'}: the gaze is in {units[0] or '(no unit)'}, {units[1] or '(no unit)'}; "
                "expected px or norm for both x and y: state the unit at the source of the gaze"
            )
        return units[0]

    def _open(self, time: int, data: Mapping[str, Any]) -> None:
        self._layout = layout = Layout.parse(data)
        self._boxes = None
        if layout.menu is None or not layout.boxes:
            return
        screen = layout.screen or self._screen
        scale = scale_of(layout.unit, screen)
        sizes = np.array([[b.width, b.height] for b in layout.boxes])
        corners = np.array([[b.x, b.y] for b in layout.boxes])
        self._boxes = BoxEvidence(
            (corners + sizes / 2) * scale,
            sizes * scale,
            screen[0] / screen[1],
            time + self._delay,
            self._model,
        )

    def _evidence(self, times: np.ndarray, points: np.ndarray, unit: str) -> list[tuple[int, str, dict[str, Any]]]:
        if self._boxes is None or self._layout is None or self._layout.menu is None or not len(times):
            return []
        points = points * scale_of(unit, self._layout.screen or self._screen)
        ids = [box.id for box in self._layout.boxes]
        return [
            Evidence(
                source="gaze",
                menu=self._layout.menu,
                llr=dict(zip(ids, increment.round(6).tolist(), strict=True)),
            ).at(time)
            for time, increment in self._boxes.add(times, points)
        ]
