"""Slow work off the tick: how ``Node.submit`` and ``Node.results`` are served, live and in replay.

Results come back only at the start of a tick, in the order of submission, so that the journal can say at which tick
each one arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from volition.core.node import done_at_once


class ThreadJobs:
    """One worker thread per node; ``notify`` wakes the graph when a result is ready."""

    def __init__(self, name: str, notify: Callable[[], None]):
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"work-{name}")
        self._notify = notify
        self._running: deque[Future[Any]] = deque()
        self._ready: list[Future[Any]] = []

    @property
    def pending(self) -> int:
        """How many results have not been taken."""
        return len(self._running) + len(self._ready)

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Start ``function(*args)``."""
        future = self._pool.submit(function, *args)
        self._running.append(future)
        future.add_done_callback(lambda _: self._notify())

    def collect(self, now: int) -> int:
        """Make what is finished available to the tick at ``now``; how many results that are."""
        while self._running and self._running[0].done():
            self._ready.append(self._running.popleft())
        return len(self._ready)

    def peek(self) -> list[Any]:
        """The available results, which stay available; the exception of a failed one is raised."""
        return [future.result() for future in self._ready]

    def take(self) -> list[Any]:
        """The available results; the exception of a failed one is raised."""
        ready, self._ready = self._ready, []
        return [future.result() for future in ready]

    @property
    def deadline(self) -> int | None:
        """Live work announces itself."""
        return None

    def close(self) -> None:
        """Forget what has not started; what runs is left to end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class VirtualJobs:
    """Work in a replay: done at once, available ``delay`` ns of virtual time later."""

    def __init__(self, clock: Callable[[], int], delay: int):
        self._clock = clock
        self._delay = delay
        self._running: deque[tuple[int, Future[Any]]] = deque()
        self._ready: list[Future[Any]] = []

    @property
    def pending(self) -> int:
        """How many results have not been taken."""
        return len(self._running) + len(self._ready)

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Do ``function(*args)``."""
        self._running.append((self._clock() + self._delay, done_at_once(function, args)))

    def collect(self, now: int) -> int:
        """Make what is due available to the tick at ``now``; how many results that are."""
        while self._running and self._running[0][0] <= now:
            self._ready.append(self._running.popleft()[1])
        return len(self._ready)

    def take(self) -> list[Any]:
        """The available results; the exception of a failed one is raised."""
        ready, self._ready = self._ready, []
        return [future.result() for future in ready]

    @property
    def deadline(self) -> int | None:
        """When the next result is due."""
        return self._running[0][0] if self._running else None

    def close(self) -> None:
        """Nothing to close."""


class JournalledJobs(VirtualJobs):
    """Work in an exact replay: done at once or read from the journal, available at the ticks that it names."""

    def __init__(self) -> None:
        super().__init__(lambda: 0, 0)
        self.allowed = 0
        """How many results the next tick gets."""
        self.written = False
        """Whether the journal holds the results themselves: the work is then not done again."""

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Do ``function(*args)``, unless its result is in the journal."""
        if self.written:
            self._running.append((0, Future()))
        else:
            super().submit(function, args)

    def give(self, results: list[Any]) -> None:
        """The results that the next tick gets."""
        self.allowed = len(results)
        for (_, future), result in zip(self._running, results, strict=False):
            future.set_result(result)

    def collect(self, now: int) -> int:
        """Make as many results available as are allowed."""
        while self._running and len(self._ready) < self.allowed:
            self._ready.append(self._running.popleft()[1])
        self.allowed = 0
        return len(self._ready)

    @property
    def deadline(self) -> int | None:
        """None: the journal says when."""
        return None
