"""Recorded streams on their way into a replay, and the digest of what comes out; neither depends on chunks."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from volition.core.errors import SessionError
from volition.core.frames import EventFrame, Frame, SignalFrame
from volition.core.node import Source


class Digest:
    """A SHA-256 over all outputs that does not depend on how they were cut into frames."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str, str], Any] = {}
        self.frames = 0

    def add(self, graph: str, node: str, port: str, frame: Frame) -> None:
        """One more frame of an output."""
        self.frames += 1
        parts = self._parts.get((graph, node, port))
        if parts is None:
            parts = self._parts[graph, node, port] = (hashlib.sha256(), hashlib.sha256())
        parts[0].update(frame.times.data)
        if isinstance(frame, EventFrame):
            for _, label, data in frame:
                parts[1].update(json.dumps([label, data], sort_keys=True, default=_plain).encode() + b"\n")
        elif isinstance(frame, SignalFrame):
            parts[1].update(frame.values.data)
        else:
            for values, data in zip(frame.values, frame.data, strict=True):
                parts[1].update(np.ascontiguousarray(values).data)
                parts[1].update(json.dumps(dict(data), sort_keys=True, default=_plain).encode() + b"\n")

    def hexdigest(self) -> str:
        """The digest over all outputs in the order of their names."""
        total = hashlib.sha256()
        for name in sorted(self._parts):
            times, values = self._parts[name]
            total.update(f"{'.'.join(name)} {times.hexdigest()} {values.hexdigest()}\n".encode())
        return total.hexdigest()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)


class Feed:
    """One recorded stream on its way to a source's inbox."""

    def __init__(self, source: Source, port: str, frames: Sequence[SignalFrame] | Sequence[EventFrame]):
        self.source, self.port = source, port
        self._frames: deque[Any] = deque(frame for frame in frames if len(frame))
        self._at = 0
        self.start = min((int(f.times[0]) for f in self._frames), default=None)
        self.end = max((int(f.times[-1]) for f in self._frames), default=None)
        first = self._frames[0] if self._frames else None
        self.rate = first.rate if isinstance(first, SignalFrame) else 0.0

    def give(self, count: int) -> None:
        """Give the source the next ``count`` samples or events, of one segment.

        Raises
        ------
        SessionError
            When the recording holds fewer.
        """
        frame: Any = self._frames[0] if self._frames else ()
        if self._at + count > len(frame):
            raise SessionError(
                f"{self.source.id}: the journal asks for {count} samples where the recording holds "
                f"{len(frame) - self._at}: they do not belong together, or the recording was cut off"
            )
        self.source.inbox.append((self.port, frame[self._at : self._at + count]))
        self._at += count
        if self._at == len(frame):
            self._frames.popleft()
            self._at = 0

    def advance(self, now: int) -> None:
        """Give the source everything up to and including ``now``."""
        while self._frames:
            frame = self._frames[0]
            stop = int(frame.times.searchsorted(now, "right"))
            if stop > self._at:
                whole = self._at == 0 and stop == len(frame)
                self.source.inbox.append((self.port, frame if whole else frame[self._at : stop]))
                self._at = stop
            if self._at < len(frame):
                return
            self._frames.popleft()
            self._at = 0
