"""One LSL stream that is waited for, opened, lost and found again."""

from __future__ import annotations

import ctypes
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.core.clock import Clock, nanoseconds
from volition.core.errors import StreamError
from volition.core.events import Error, Event, State, Stream
from volition.core.lsl import LslTime, configure, read_channels

SETTLE = 0.25
"""Seconds that others of the same name get to show up before the only one found is taken."""

OPEN = 1.0
"""Seconds that a stream which was found may take to answer."""

FAR_OFF = 60.0
"""Seconds between a stamp and the clock above which the stamps cannot be of this clock."""


def query(name: str = "", type: str = "", source_id: str = "", predicate: str = "") -> str:
    """The XPath predicate that finds the stream which has all that is given.

    >>> query(name="eeg", source_id="a'b")
    'name=\\'eeg\\' and source_id="a\\'b"'
    """
    parts = [
        f"{key}={_quoted(value)}" for key, value in (("name", name), ("type", type), ("source_id", source_id)) if value
    ]
    if predicate:
        parts.append(f"({predicate})" if parts else predicate)
    return " and ".join(parts)


def _quoted(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise StreamError(f"LSL cannot look for {text!r}, which holds both kinds of quotes; use source_id")


@dataclass(frozen=True)
class Found:
    """What a stream says of itself."""

    name: str
    type: str
    source_id: str
    host: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    rate: float
    format: int


class Link:
    """The connection of one source to one LSL stream.

    liblsl's own recovery is off: it would hide the loss. What happens is reported as events: ``stream``
    opened, lost and back, and ``state`` waiting.

    Parameters
    ----------
    node
        Id of the source, for messages.
    wanted
        XPath predicate.
    report
        Takes an event and its time in ns UTC.
    clock
        The run's clock.
    """

    def __init__(self, node: str, wanted: str, report: Callable[[Event, int], None], clock: Clock):
        self.node = node
        self.wanted = wanted
        self.clock_correction = True
        self.patience = 5.0
        self.silence = 0.0
        self._report = report
        self._clock = clock
        self._resolver: Any = None
        self._inlet: Any = None
        self._found: Found | None = None
        self._lost = False
        self._opened = False
        self._reason = ""
        self._said: set[str] = set()
        self._settle = nanoseconds(SETTLE)
        self._since = 0
        self._seen = 0
        self._heard = 0
        self._wait = threading.Event()
        self._lock = threading.Lock()
        self._gone: type[Exception] = StreamError
        self.time: LslTime

    def start(self, network: bool) -> None:
        """Begin to look for the stream."""
        import pylsl

        configure(network, self.node)
        self._gone = pylsl.util.LostError
        self.time = LslTime(self._clock)
        self._since = self._clock.now()
        self._resolver = pylsl.ContinuousResolver(pred=self.wanted)

    def close(self) -> None:
        """Let go of the stream; a ``pull`` that waits comes back first."""
        self._wait.set()
        with self._lock:
            self._release()

    def _release(self) -> None:
        if self._inlet is not None:
            self._inlet.close()
        self._inlet = self._resolver = None

    def take(self, timeout: float) -> tuple[Found, Any, np.ndarray] | None:
        """Wait up to ``timeout`` seconds for the stream and for samples.

        Returns
        -------
        tuple or None
            What the stream says of itself, the values (array of shape (n, n_channels), or a list of strings)
            and the times in ns UTC, shape (n,). A new ``Found`` object means that the stream was opened anew.
        """
        with self._lock:
            if self._wait.is_set():
                return None
            if self._inlet is None and not self._connect(timeout):
                return None
            try:
                values, stamps = self._inlet.pull(min(timeout, 0.25))
            except self._gone:
                self._lose("the connection broke")
                return None
            now = self._clock.now()
            if not len(stamps):
                if self.silence and now - self._heard > nanoseconds(self.silence):
                    self._lose(f"no samples for {self.silence:g} s")
                return None
            self._heard = now
            assert self._found is not None
            times = self.time.to_utc(stamps)
            if not self._opened or self._lost:
                self._arrived(int(times[0]), now)
            return self._found, values, times

    def _connect(self, timeout: float) -> bool:
        """Look for the stream and open it; False when it is not there yet."""
        if self._resolver is None:
            return False
        found = self._resolver.results()
        if not found:
            self._wait.wait(min(timeout, 0.02))
            found = self._resolver.results()
        now = self._clock.now()
        if not found:
            self._seen = 0
            if now - self._since > nanoseconds(self.patience) and not self._lost:
                self._waiting(now, "no such stream")
            return False
        self._seen = self._seen or now
        if now - self._seen < self._settle and self._found is None:
            self._wait.wait(min(timeout, 0.02))
            return False
        info = self._only(found, now)
        if info is None:
            self._wait.wait(min(timeout, 0.1))
            return False
        return self._open(info, now)

    def _only(self, found: list[Any], now: int) -> Any:
        if len(found) > 1 and self._found is not None:
            found = [info for info in found if info.source_id() == self._found.source_id] or found
        if len(found) == 1:
            return found[0]
        names = "; ".join(sorted(f"{i.name()} (source_id {i.source_id()!r}, {i.hostname()})" for i in found))
        message = f"{self.node}: {len(found)} streams fit {self.wanted}: {names} - say which with source_id"
        self._say("ambiguous", Error(source=self.node, message=message), now)
        return None

    def _say(self, what: str, event: Event, now: int) -> None:
        """Report something once."""
        if what not in self._said:
            self._said.add(what)
            self._report(event, now)

    def _waiting(self, now: int, reason: str) -> None:
        detail = {"stream": self.wanted, "reason": reason}
        self._say("waiting", State(state="waiting", source=self.node, detail=detail), now)

    def _open(self, info: Any, now: int) -> bool:
        import pylsl

        far = info.hostname() != socket.gethostname()
        try:
            inlet = Inlet(info, correct=self.clock_correction and far)
        except (pylsl.util.LostError, pylsl.util.TimeoutError):
            self._seek()  # it was only just gone
            return False
        channels, units = read_channels(inlet.info)
        self._found = Found(
            info.name(),
            info.type(),
            info.source_id(),
            info.hostname(),
            channels,
            units,
            info.nominal_srate(),
            info.channel_format(),
        )
        self._inlet, self._resolver, self._heard = inlet, None, now
        return True

    def _seek(self) -> None:
        import pylsl

        self._release()
        self._seen = 0
        self._resolver = pylsl.ContinuousResolver(pred=self.wanted)

    def _lose(self, reason: str) -> None:
        """The stream is gone: say so, and look for it again."""
        now = self._clock.now()
        if not self._opened:
            self._waiting(now, reason)
        elif not self._lost:
            self._lost = True
            self._announce("lost", now)
        self._reason = reason
        self._seek()

    def _arrived(self, time: int, now: int) -> None:
        """The first samples of a stream that was opened."""
        self._announce("back" if self._lost else "opened", now)
        self._opened, self._lost = True, False
        off = abs(now - time) / 1e9
        if off > FAR_OFF:
            message = (
                f"{self.node}: the stamps are {off:.0f} s away from this machine's clock; the sender does "
                "not use LSL's clock, or clock_correction is off: expect wrong times"
            )
            self._say("far", Error(source=self.node, message=message), now)

    def _announce(self, state: Any, now: int) -> None:
        found = self._found
        assert found is not None
        event = Stream(
            source=self.node,
            state=state,
            name=found.name,
            type=found.type,
            channels=list(found.channels),
            rate=found.rate,
            unit=found.units[0] if len(set(found.units)) == 1 else list(found.units),
        )
        self._report(event, now)

    def take_reason(self) -> str:
        """Why the stream was lost, once; empty when it was not."""
        reason, self._reason = self._reason, ""
        return reason


class Inlet:
    """A stream that is open. Numbers come as float32 or float64 arrays, strings as a list of lists.

    pylsl's ``pull_chunk`` allocates and converts on every call; with buffers of our own a sample costs about
    a third.
    """

    def __init__(self, info: Any, correct: bool):
        import pylsl
        from pylsl.lib import cf_double64, cf_int32, cf_int64, cf_string, lib
        from pylsl.util import handle_error

        flags = pylsl.proc_clocksync if correct else pylsl.proc_none
        self._stream = pylsl.StreamInlet(info, recover=False, processing_flags=flags)
        self._stream.open_stream(OPEN)
        self.info = self._stream.info(OPEN)
        self._raise = handle_error
        self._text = info.channel_format() == cf_string
        if self._text:
            return
        wide = info.channel_format() in (cf_double64, cf_int32, cf_int64)
        count, rows = info.channel_count(), max(64, int(info.nominal_srate()) + 1)
        self._pull_chunk = lib.lsl_pull_chunk_d if wide else lib.lsl_pull_chunk_f
        self._values = np.empty((rows, count), np.float64 if wide else np.float32)
        self._stamps = np.empty(rows, np.float64)
        self._count = count
        self._error = ctypes.c_int()
        self._first = self._arguments(0, 1)
        self._more = self._arguments(1, rows)

    def _arguments(self, start: int, stop: int) -> tuple[Any, ...]:
        return (
            self._stream.obj,
            ctypes.c_void_p(self._values[start:].ctypes.data),
            ctypes.c_void_p(self._stamps[start:].ctypes.data),
            ctypes.c_size_t((stop - start) * self._count),
            ctypes.c_size_t(stop - start),
        )

    def pull(self, timeout: float) -> tuple[Any, np.ndarray]:
        """Wait up to ``timeout`` s for one sample, take all that have come: (values, stamps).

        Raises
        ------
        pylsl.util.LostError
            When the stream is gone.
        """
        if self._text:
            rows, stamps = self._stream.pull_chunk(timeout, min_samples=1)
            return rows, np.array(stamps, dtype=np.float64)
        # liblsl waits until a buffer is full: so for one sample first, then for nothing.
        count = self._pull(self._first, timeout)
        if count:
            count += self._pull(self._more, 0.0)
        return self._values[:count].copy(), self._stamps[:count]

    def _pull(self, arguments: tuple[Any, ...], timeout: float) -> int:
        taken: int = self._pull_chunk(*arguments, ctypes.c_double(timeout), ctypes.byref(self._error))
        if self._error.value:
            self._raise(self._error)
        return taken // self._count

    def close(self) -> None:
        """Close the stream and free it."""
        self._stream.close_stream()
