"""Pieces of signal around events."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from volition.core.clock import SECOND, nanoseconds
from volition.core.errors import NodeError
from volition.core.events import Dropped
from volition.core.frames import EpochFrame
from volition.core.node import Node
from volition.core.params import Ge, Unit
from volition.core.ports import EpochsOut, EpochsSpec, EventsIn, SignalIn, SignalSpec, Spec

Data = Mapping[str, Any]

MOST_WAITING = 65_536
"""Events that may wait for their samples; when more do, the signal has died, and the oldest are given up."""


def n_samples_of(start: float, stop: float, rate: float) -> int:
    """Samples of a window from ``start`` to ``stop`` s at ``rate`` Hz; ``stop`` itself is not in it."""
    return round((stop - start) * rate)


class History:
    """The latest samples of a stream with their times, over gaps, in memory that is allocated once.

    Samples have running numbers that never change; ``first`` is the oldest one held, ``end`` the one to
    come next.

    Parameters
    ----------
    n_samples
        How many samples are certainly held.
    n_channels
        Columns.
    interval
        Between samples, ns: how far from its samples a time beside a gap may lie.
    """

    def __init__(self, n_samples: int, n_channels: int, interval: float):
        self._keep = n_samples
        self._interval = interval
        self._times = np.empty(4 * n_samples + 64, dtype=np.int64)
        self._values = np.empty((4 * n_samples + 64, n_channels))
        self._used = 0
        self._cuts: list[int] = []  # numbers of the samples that follow a gap
        self.first = 0
        self.last_time: int | None = None

    @property
    def end(self) -> int:
        """The number of the sample to come next."""
        return self.first + self._used

    def cut(self) -> None:
        """Mark a gap before the next sample."""
        if self._used and self.end not in self._cuts[-1:]:
            self._cuts.append(self.end)

    def append(self, times: np.ndarray, values: np.ndarray) -> None:
        """Add samples: ``times`` int64 (n,), later than all before, ``values`` (n, n_channels)."""
        after = self._used + len(times)
        if after > len(self._times):
            self._grow(after)
        self._times[self._used : after] = times
        self._values[self._used : after] = values
        self._used = after
        self.last_time = int(times[-1])

    def _grow(self, size: int) -> None:
        times, values = self._times, self._values
        self._times = np.empty(size, dtype=np.int64)
        self._values = np.empty((size, values.shape[1]))
        self._times[: self._used] = times[: self._used]
        self._values[: self._used] = values[: self._used]

    def trim(self) -> None:
        """Let old samples go, once more than twice as many as needed are held."""
        if self._used <= 2 * self._keep:
            return
        away = self._used - self._keep
        self._times[: self._keep] = self._times[away : self._used].copy()
        self._values[: self._keep] = self._values[away : self._used].copy()
        self._used = self._keep
        self.first += away
        self._cuts = [cut for cut in self._cuts if cut > self.first]

    def nearest(self, time: int) -> int | None:
        """The number of the sample nearest to ``time``, the earlier one of two as near.

        None when ``time`` lies in a gap or before all samples, more than an interval from any sample.
        It must not lie after the last sample.
        """
        times = self._times[: self._used]
        after = int(times.searchsorted(time))
        if after == 0 and self.first:
            return None  # the nearest may have been let go
        index = after - 1 if after and time - times[after - 1] <= times[after] - time else after
        beside_a_gap = after == 0 or self.first + after in self._cuts
        if beside_a_gap and abs(int(times[index]) - time) > self._interval:
            return None
        return self.first + index

    def is_cut(self, number: int, n_samples: int) -> bool:
        """Whether a gap lies inside the ``n_samples`` samples from ``number`` on."""
        return any(number < cut < number + n_samples for cut in self._cuts)

    def time(self, number: int) -> int:
        """The time of a sample that is held, ns."""
        return int(self._times[number - self.first])

    def rows(self, number: int, n_samples: int) -> np.ndarray:
        """``n_samples`` samples from ``number`` on; a view."""
        return self._values[number - self.first : number - self.first + n_samples]


@dataclass(frozen=True)
class Epoch:
    """A window of signal: time of its event and of its last sample (ns), values (n_samples, n_channels)."""

    onset: int
    ready: int
    values: np.ndarray
    data: Data


@dataclass(frozen=True)
class Lost:
    """An event that gets no epoch: its time in ns, and why."""

    onset: int
    reason: str


class EpochCutter:
    """Pairs events with the samples around them, whichever come first.

    The first sample of an epoch is the one nearest in time to onset + start (the earlier one of two as
    near); the others follow by count, not by time. An event is lost when a gap lies inside its epoch, when
    no sample lies within a sampling interval of the epoch's start, or when it comes later than its samples
    by more than ``patience``.

    Parameters
    ----------
    rate
        Samples a second, Hz.
    n_channels
        Columns of the signal.
    start, stop
        Window relative to the event, s.
    patience
        How much later than its samples an event may come, s.
    """

    def __init__(self, rate: float, n_channels: int, start: float, stop: float, patience: float):
        self.n_samples = n_samples_of(start, stop, rate)
        self._offset = nanoseconds(start)
        self._shape = (round(patience * rate) + self.n_samples + 1, n_channels, SECOND / rate)
        self._history = History(*self._shape)
        self._early: list[tuple[int, int, int, Data]] = []  # heap of (time of first sample, order, onset, data)
        self._open: list[tuple[int, int, int, Data]] = []  # heap of (number of first sample, order, onset, data)
        self._order = 0
        self._done: list[Epoch] = []
        self._lost: list[Lost] = []

    def add_event(self, onset: int, data: Data) -> None:
        """An event at ``onset``, ns."""
        heapq.heappush(self._early, (onset + self._offset, self._order, onset, data))
        self._order += 1
        if len(self._early) > MOST_WAITING:
            self._lost.append(Lost(heapq.heappop(self._early)[2], "no signal"))

    def add_samples(self, times: np.ndarray, values: np.ndarray) -> None:
        """Samples at ``times``, ns. Where time stands or runs backwards, all samples before are forgotten."""
        last = self._history.last_time
        if (last is None or times[0] > last) and bool((times[1:] > times[:-1]).all()):
            self._history.append(times, values)
            return
        starts = [0, *(np.flatnonzero(times[1:] <= times[:-1]) + 1).tolist()]
        for start, stop in zip(starts, [*starts[1:], len(times)], strict=True):
            last = self._history.last_time
            if last is not None and times[start] <= last:
                self._advance()
                self.cut()
                self._history = History(*self._shape)
            self._history.append(times[start:stop], values[start:stop])

    def cut(self, reason: str = "gap") -> None:
        """A gap lies before the next sample: what waits for its last one is lost."""
        self._lost += [Lost(onset, reason) for _, _, onset, _ in sorted(self._open, key=lambda one: one[:2])]
        self._open.clear()
        self._history.cut()

    def hand_over(self, successor: EpochCutter) -> None:
        """Give what has not met a sample yet to the cutter of the stream that follows."""
        self.cut("stream changed")
        successor._early, successor._order = self._early, self._order
        successor._done, successor._lost = self._done, self._lost

    def _advance(self) -> None:
        history, n_samples = self._history, self.n_samples
        while self._early and history.last_time is not None and self._early[0][0] <= history.last_time:
            time, order, onset, data = heapq.heappop(self._early)
            number = history.nearest(time)
            if number is None or history.is_cut(number, n_samples):
                older = number is None and time < history.time(history.first)
                reason = ("too late" if history.first else "before the stream") if older else "gap"
                self._lost.append(Lost(onset, reason))
            else:
                heapq.heappush(self._open, (number, order, onset, data))
        while self._open and self._open[0][0] + n_samples <= history.end:
            number, _, onset, data = heapq.heappop(self._open)
            rows = history.rows(number, n_samples).copy()
            self._done.append(Epoch(onset, history.time(number + n_samples - 1), rows, data))

    def take(self) -> tuple[list[Epoch], list[Lost]]:
        """The epochs that are complete, in the order of their samples, and the events that were lost."""
        if self._early or self._open:
            self._advance()
        self._history.trim()
        done, lost = self._done, self._lost
        if done or lost:
            self._done, self._lost = [], []
        return done, lost


class Epochs(Node):
    """Windows of signal around events.

    An epoch comes out as soon as its last sample is there: ``times`` are the events' times, ``ready`` those
    of the last samples, float64. The first sample is the one nearest to the event's time + start (the
    earlier one of two as near), and ``round((stop - start) * rate)`` consecutive ones make the epoch. The
    same epochs come out however the signal is cut and whenever the events arrive, up to ``patience`` after
    their samples; epochs whose events arrive in order come out in order. NaN stays NaN. Events whose epoch
    a gap, a change of the stream or a step back in time cuts, and events that come too late, are reported
    as ``dropped``, one by one, at the events' times.
    """

    i = SignalIn()
    i_events = EventsIn()
    o = EpochsOut()

    _cutter: EpochCutter | None = None

    def __init__(
        self,
        start: Annotated[float, Unit("s")] = 0.0,
        stop: Annotated[float, Unit("s")] = 0.8,
        label: str = "flash",
        patience: Annotated[float, Unit("s"), Ge(0)] = 10.0,
    ):
        """Describe the window.

        start: first sample, relative to the event.
        stop: end of the window, relative to the event; the sample at stop is not in it.
        label: events that get an epoch; others are passed over.
        patience: how much later than its samples an event may arrive.
        """
        self.start_at, self.stop_at = start, stop
        self.label, self.patience = label, patience
        self._stream: tuple[Any, ...] = ()
        self._unmet: list[tuple[int, Data]] = []

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """Epochs of the input's channels, rate and unit."""
        given = inputs.get("i")
        if not isinstance(given, SignalSpec):
            given = SignalSpec()
        self._check(given.rate)
        return {"o": EpochsSpec(given.channels, given.rate, given.unit, self.start_at, self.stop_at)}

    def _check(self, rate: float | None) -> None:
        if self.stop_at <= self.start_at:
            raise NodeError(f"stop, {self.stop_at:g} s, must lie after start, {self.start_at:g} s")
        if rate is None:
            return
        if rate <= 0:
            raise NodeError("epochs need regular samples, and the stream has an irregular rate (0 Hz)")
        if not n_samples_of(self.start_at, self.stop_at, rate):
            raise NodeError(f"the window from {self.start_at:g} to {self.stop_at:g} s has no sample at {rate:g} Hz")

    def restart(self) -> None:
        """Let no epoch reach over the gap; forget the samples if the stream is another one."""
        frame = self.i.frame
        if frame is None or not len(frame):
            return
        stream = (frame.rate, frame.channels, frame.unit)
        if self._cutter is not None and stream == self._stream:
            self._cutter.cut()
            return
        self._check(frame.rate)
        successor = EpochCutter(frame.rate, len(frame.channels), self.start_at, self.stop_at, self.patience)
        if self._cutter is not None:
            self._cutter.hand_over(successor)
        self._cutter, self._stream = successor, stream

    def update(self) -> None:
        """Take events and samples, give the epochs that are complete."""
        frame, events = self.i.frame, self.i_events.frame
        if events is not None:
            self._unmet += [(time, data) for time, label, data in events if label == self.label]
        if self._cutter is None:
            for onset, _ in self._unmet[:-MOST_WAITING]:
                self._drop(onset, "no signal")
            del self._unmet[:-MOST_WAITING]
            return
        for onset, data in self._unmet:
            self._cutter.add_event(onset, data)
        self._unmet.clear()
        if frame is not None and len(frame):
            self._cutter.add_samples(frame.times, frame.values)
        done, lost = self._cutter.take()
        for one in lost:
            self._drop(one.onset, one.reason)
        if done:
            self.o = EpochFrame(
                np.array([epoch.onset for epoch in done], dtype=np.int64),
                np.stack([epoch.values for epoch in done]),
                self._stream[1],
                [epoch.data for epoch in done],
                np.array([epoch.ready for epoch in done], dtype=np.int64),
                self._stream[0],
                self.start_at,
                self._stream[2],
            )

    def _drop(self, onset: int, reason: str) -> None:
        self.report(Dropped(source=self.id, what="epoch", count=1, reason=reason), at=onset)
