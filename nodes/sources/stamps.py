"""Time stamps of a device made fit for a stream: strictly increasing, cut at gaps, smooth if asked."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from volition.core.clock import nanoseconds


class Piece(NamedTuple):
    """Samples ``start`` to ``stop`` of a chunk with their times; ``gap`` is the hole before them, if any."""

    start: int
    stop: int
    times: np.ndarray
    gap: tuple[int, int] | None


class Dejitter:
    """Running straight line through the stamps of a regular stream.

    The growing-memory g-h filter: the exact least-squares line as long as the memory grows, then one with
    fading memory (Brookner 1998, Tracking and Kalman Filtering Made Easy, section 1.2.10: g =
    2(2n+1)/((n+1)(n+2)), h = 6/((n+1)(n+2))). The nominal period counts as a second of samples already seen,
    so that the first stamps do not bend the line.

    Parameters
    ----------
    rate
        Nominal rate in Hz, above 0.
    memory
        Seconds after which the memory stops growing. Drifting clocks differ by less than 100 ppm, that is 1
        ms in 10 s: longer memory would lag behind.
    """

    def __init__(self, rate: float, memory: float = 10.0):
        self._nominal = 1e9 / rate
        self._trust = math.ceil(rate)
        self._limit = math.ceil(rate * memory)
        self.reset()

    def reset(self) -> None:
        """Forget: the next stamp is taken as it is."""
        self._n = 0
        self._period = self._nominal
        self._origin = 0
        self._estimate = 0.0

    def __call__(self, time: int) -> int:
        """The time on the line, in ns, for the next stamp."""
        if self._n == 0:
            self._n, self._origin, self._estimate = 1, time, 0.0
            return time
        n = min(self._n, self._limit)
        m = min(self._n + self._trust, self._limit)
        predicted = self._estimate + self._period
        error = (time - self._origin) - predicted
        self._estimate = predicted + error * 2 * (2 * n + 1) / ((n + 1) * (n + 2))
        self._period += error * 6 / ((m + 1) * (m + 2))
        self._n += 1
        # Counted from a recent origin: doubles hold 2**53 ns, a hundred days.
        whole = math.floor(self._estimate)
        self._origin += whole
        self._estimate -= whole
        return self._origin + round(self._estimate)


class Stamps:
    """Stamps as they come to times as a frame needs them, whatever the chunks.

    - A stamp that repeats or steps back by less than one period (irregular streams, and with
      ``dejitter``: less than ``gap``) moves to 1 ns after the last one given.
    - A step back by more, and in a regular stream a step of more than 1.5 periods plus ``gap``, is a hole:
      what follows is a piece of its own.

    Parameters
    ----------
    rate
        Nominal rate in Hz; 0 for an irregular stream, in which silence is no hole.
    gap
        Seconds that a stamp may be late.
    dejitter
        Whether to smooth the stamps of a regular stream; a hole starts the smoothing anew.
    last
        Time of the last sample before the first, if there was one.
    """

    def __init__(self, rate: float, gap: float, dejitter: bool = False, last: int | None = None):
        period = 1.0 / rate if rate else gap
        self._back = nanoseconds(max(period, gap) if dejitter else period)
        self._longest = nanoseconds(1.5 * period + gap) if rate else 2**62
        self._smooth = Dejitter(rate) if dejitter and rate else None
        self._raw: int | None = None
        self._last = last
        self._cut = False

    @property
    def last(self) -> int | None:
        """The last time given."""
        return self._last

    def cut(self) -> None:
        """The next sample starts a new piece, whatever its stamp: something is known to be missing."""
        self._cut = self._last is not None

    def __call__(self, times: np.ndarray) -> list[Piece]:
        """Pieces of a chunk with stamps ``times``, int64 ns, shape (n,)."""
        if self._orderly(times):
            self._raw = self._last = int(times[-1])
            return [Piece(0, len(times), times, None)]
        pieces: list[Piece] = []
        start, gap, out = 0, None, np.empty_like(times)
        for k, time in enumerate(times.tolist()):
            before = self._last
            out[k], fresh = self._next(time)
            if fresh:
                if k > start:
                    pieces.append(Piece(start, k, out[start:k], gap))
                start, gap = k, (before or 0, time)
        pieces.append(Piece(start, len(times), out[start:], gap))
        return pieces

    def _orderly(self, times: np.ndarray) -> bool:
        if self._smooth is not None or self._cut or self._last is None:
            return False
        if len(times) == 1:
            return 0 < int(times[0]) - self._last <= self._longest
        steps = np.diff(times, prepend=self._last)
        return bool(steps.min() > 0 and steps.max() <= self._longest)

    def _next(self, time: int) -> tuple[int, bool]:
        """The time to give to a stamp, and whether a new piece starts with it."""
        fresh = self._cut
        if self._raw is not None:
            fresh = fresh or not -self._back < time - self._raw <= self._longest
        self._cut = False
        if fresh and self._smooth is not None:
            self._smooth.reset()
        given = time if self._smooth is None else self._smooth(time)
        if self._last is not None and not fresh:
            given = max(given, self._last + 1)
        self._raw = given if self._smooth is None else time
        self._last = given
        return given, fresh


class PackageCounter:
    """Counts samples that a device numbered but never delivered.

    Devices number packets, not always samples, and wrap where they like: several samples may share a number,
    some count in twos. So the usual forward step is learned from the first 32, larger steps are losses, and a
    step back is taken for a wrap, about which nothing is known.
    """

    LEARN = 32

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._usual = 0
        self._last: int | None = None

    def reset(self) -> None:
        """The device was started anew: its numbers may be anything; the usual step stays known."""
        self._last = None

    def __call__(self, numbers: np.ndarray) -> list[int]:
        """Rows of a chunk before which numbers are missing; ``numbers`` has shape (n,)."""
        holes = []
        for k, number in enumerate(numbers.astype(np.int64).tolist()):
            step = 0 if self._last is None else number - self._last
            self._last = number
            if step <= 0:
                continue
            if self._usual:
                if step > self._usual:
                    holes.append(k)
                continue
            self._steps.append(step)
            if len(self._steps) == self.LEARN:
                self._usual = max(set(self._steps), key=self._steps.count)
        return holes
