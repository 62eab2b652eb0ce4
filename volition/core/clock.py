"""Time: nanoseconds since the Unix epoch, UTC.

Live time is the monotonic clock (which is LSL's clock, too) plus one offset to UTC that is measured once a run
and handed to every process of it, so that a step of the system clock never tears a recording. In a replay the
clock is virtual.
"""

from __future__ import annotations

import time
from typing import Protocol

SECOND = 1_000_000_000


def seconds(ns: int) -> float:
    """Nanoseconds as seconds."""
    return ns / SECOND


def nanoseconds(s: float) -> int:
    """Seconds as whole nanoseconds, rounded."""
    return round(s * SECOND)


def measure_utc_offset() -> int:
    """UTC minus the monotonic clock, in ns: the tightest of nine readings."""
    best: tuple[int, int] | None = None
    for _ in range(9):
        before = time.monotonic_ns()
        utc = time.time_ns()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, utc - (before + after) // 2)
    assert best is not None
    return best[1]


class Clock(Protocol):
    """What a graph reads the time from."""

    def now(self) -> int:
        """The time in ns, UTC."""
        ...


class LiveClock:
    """The monotonic clock mapped to UTC by a fixed offset.

    Parameters
    ----------
    utc_offset
        UTC minus the monotonic clock in ns; measured when not given.
    """

    def __init__(self, utc_offset: int | None = None):
        self.utc_offset = measure_utc_offset() if utc_offset is None else utc_offset

    def now(self) -> int:
        """The time in ns, UTC."""
        return time.monotonic_ns() + self.utc_offset

    def drift(self) -> int:
        """How far, in ns, the system's UTC has moved from this clock since the run began."""
        return measure_utc_offset() - self.utc_offset


class VirtualClock:
    """A clock that stands where it was set."""

    def __init__(self, now: int = 0):
        self._now = now

    def now(self) -> int:
        """The time in ns, UTC."""
        return self._now

    def set(self, now: int) -> None:
        """Move to ``now``, in ns."""
        self._now = now
