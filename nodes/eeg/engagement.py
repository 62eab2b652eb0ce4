"""Engagement index: fast against slow rhythms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from volition.core.errors import NodeError
from volition.core.events import Engagement as EngagementEvent
from volition.core.frames import EventFrame
from volition.core.node import Node
from volition.core.params import Ge, Gt, Unit
from volition.core.ports import EventsOut, EventsSpec, SignalIn, SignalSpec, Spec

BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 22.0)}
"""Hz, lower edge in, upper edge out; Pope, Bogart & Bartolome 1995, Biol. Psychol. 40, 187-195."""


class EngagementIndex:
    """Power of beta over that of alpha and theta, in one window of signal.

    Parameters
    ----------
    n_samples
        Of the window.
    rate
        Hz.
    """

    def __init__(self, n_samples: int, rate: float):
        self._taper = np.hanning(n_samples + 1)[:-1, None]
        frequencies = np.fft.rfftfreq(n_samples, 1 / rate)
        self._rows = {name: slice(*np.searchsorted(frequencies, edges).tolist()) for name, edges in BANDS.items()}

    def __call__(self, window: np.ndarray) -> float | None:
        """The index of ``window``, shape (n_samples, n_channels), powers added over channels.

        None when a value is not finite or there is no power in alpha and theta.
        """
        tapered = (window - window.mean(axis=0)) * self._taper
        power = (np.abs(np.fft.rfft(tapered, axis=0)) ** 2).sum(axis=1)
        theta, alpha, beta = (float(power[self._rows[name]].sum()) for name in ("theta", "alpha", "beta"))
        slow = theta + alpha
        return beta / slow if slow > 0 and math.isfinite(slow) and math.isfinite(beta) else None


class SlidingWindows:
    """Windows of equal length at equal distance, counted from the first sample, however the stream is cut."""

    def __init__(self, n_samples: int, step: int, n_channels: int):
        self._n_samples, self._step = n_samples, step
        self._values = np.empty((0, n_channels))
        self._times = np.empty(0, dtype=np.int64)
        self._skip = 0

    def add(self, times: np.ndarray, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The windows that ``values``, (n, n_channels), complete: time of the last sample (ns), samples."""
        skipped = min(self._skip, len(times))
        self._skip -= skipped
        self._times = np.concatenate([self._times, times[skipped:]])
        self._values = np.concatenate([self._values, values[skipped:]])
        windows, first = [], 0
        while first + self._n_samples <= len(self._times):
            stop = first + self._n_samples
            windows.append((int(self._times[stop - 1]), self._values[first:stop].copy()))
            first += self._step
        self._skip += max(0, first - len(self._times))
        self._times, self._values = self._times[first:].copy(), self._values[first:].copy()
        return windows


class Baseline:
    """Mean and spread of the first ``n`` values; then how many spreads a value lies from the mean.

    Works on logarithms, since a ratio of powers is nearly log-normal.
    """

    def __init__(self, n: int):
        self._n = n
        self._first: list[float] = []
        self._mean = self._sd = 0.0

    def __call__(self, value: float) -> float | None:
        """The z of ``value`` (> 0); None while the baseline is taken, or when it has no spread."""
        logarithm = math.log(value)
        if len(self._first) < self._n:
            self._first.append(logarithm)
            if len(self._first) == self._n:
                self._mean = float(np.mean(self._first))
                self._sd = float(np.std(self._first, ddof=1)) if self._n > 1 else 0.0
            return None
        return (logarithm - self._mean) / self._sd if self._sd > 0 else None


class Engagement(Node):
    """Engagement index beta / (alpha + theta), against the person's own beginning.

    One ``engagement`` event for each window, at the time of its last sample: the index, its powers added
    over channels, and, once the first ``baseline`` seconds are over, the z of its logarithm against these.
    The same events come out however the stream is cut. A window with NaN gives none. A gap begins a new
    window and keeps the baseline; another rate, channel set or unit begins a new baseline.
    """

    i = SignalIn()
    o = EventsOut("engagement")

    _index: EngagementIndex | None = None
    _windows: SlidingWindows | None = None
    _baseline: Baseline | None = None

    def __init__(
        self,
        channels: list[str] | None = None,
        window: Annotated[float, Unit("s"), Gt(0)] = 2.0,
        step: Annotated[float, Unit("s"), Gt(0)] = 0.5,
        baseline: Annotated[float, Unit("s"), Ge(0)] = 60.0,
    ):
        """Describe the windows.

        channels: which to use; all when not given. Pope et al. 1995 used Cz, P3, Pz and P4.
        window: length of a window.
        step: from one window to the next.
        baseline: how long the person's baseline is taken, at the beginning, in windows of `step`; 0 for none.
        """
        self.channels, self.window, self.step, self.baseline = channels, window, step, baseline
        self._stream: tuple[Any, ...] = ()
        self._columns: list[int] = []

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """Engagement events; an error when a channel is missing or the rate does not do."""
        given = inputs.get("i")
        if isinstance(given, SignalSpec):
            self._check(given.rate, given.channels)
        return {"o": EventsSpec(("engagement",))}

    def _check(self, rate: float | None, channels: tuple[str, ...] | None) -> None:
        if channels is not None:
            missing = [name for name in self.channels or () if name not in channels]
            if missing:
                raise NodeError(
                    f"the stream has no channel {', '.join(map(repr, missing))}; it has "
                    f"{', '.join(map(repr, channels))}"
                )
        if rate is None:
            return
        highest = BANDS["beta"][1]
        if rate <= 2 * highest:
            raise NodeError(f"the engagement index needs more than {2 * highest:g} Hz, and the stream has {rate:g} Hz")
        if round(self.window * rate) < rate / 2 or round(self.step * rate) < 1:
            raise NodeError(
                f"a window of {self.window:g} s every {self.step:g} s at {rate:g} Hz is too short: "
                "theta needs half a second"
            )

    def restart(self) -> None:
        """Begin a new window; and a new baseline, if the stream is another one."""
        frame = self.i.frame
        if frame is None or not len(frame):
            return
        stream = (frame.rate, frame.channels, frame.unit)
        if stream != self._stream:
            self._check(frame.rate, frame.channels)
            self._stream = stream
            self._columns = frame.indices(self.channels or frame.channels)
            self._index = EngagementIndex(round(self.window * frame.rate), frame.rate)
            self._baseline = Baseline(round(self.baseline / self.step))
        self._windows = SlidingWindows(
            round(self.window * frame.rate), round(self.step * frame.rate), len(self._columns)
        )

    def update(self) -> None:
        """Give the index of the windows that are complete."""
        frame = self.i.frame
        if frame is None or not len(frame) or not (self._windows and self._index and self._baseline):
            return
        events = []
        for time, values in self._windows.add(frame.times, frame.values[:, self._columns]):
            index = self._index(values)
            if index is not None:
                z = self._baseline(index) if index > 0 and self.baseline > 0 else None
                events.append(EngagementEvent(index=index, z=z).at(time))
        if events:
            self.o = EventFrame.of(*events)
