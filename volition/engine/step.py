"""What moves into one node at a tick: frames along edges, converted where a Timeflux node is at one end."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from timeflux.core.node import Node as TimefluxNode

from volition.core.clock import Clock
from volition.core.frames import EventFrame, Frame, SignalFrame
from volition.core.node import Node, Source
from volition.core.ports import Port


class Mailbox:
    """Frames on their way to one input port from another graph; filled by one thread, emptied by another."""

    def __init__(self, node: str, port: str, name: str = ""):
        self.node, self.port, self.name = node, port, name
        self.frames: deque[Frame] = deque()
        self.age: Age | None = None
        self.admitted: int | None = None
        """How many frames the tick may take; None is all."""
        self._lock = threading.Lock()

    def put(self, frame: Frame, keep: int | None = None) -> int:
        """Add a frame; with ``keep``, throw away the oldest beyond that many, and say how many those were."""
        with self._lock:
            self.frames.append(frame)
            dropped = 0 if keep is None else max(0, len(self.frames) - keep)
            for _ in range(dropped):
                self.frames.popleft()
        return dropped

    def take(self) -> tuple[Frame | None, int]:
        """What can be given to the port in one tick as one frame, and how many messages that were."""
        with self._lock:
            limit = len(self.frames) if self.admitted is None else min(self.admitted, len(self.frames))
            if not limit:
                return None, 0
            parts = [self.frames.popleft()]
            while len(parts) < limit and _joinable(parts[-1], self.frames[0]):
                parts.append(self.frames.popleft())
        return join(parts), len(parts)


def _joinable(before: Frame, after: Frame) -> bool:
    if isinstance(before, EventFrame):
        return isinstance(after, EventFrame)
    return isinstance(before, SignalFrame) and isinstance(after, SignalFrame) and before.identity == after.identity


def join(parts: Sequence[Any]) -> Any:
    """Frames of one port and tick as one frame."""
    return parts[0] if len(parts) == 1 else type(parts[0]).concat(parts)


class Age:
    """How old the last sample of each frame on an edge was when it arrived, over the last 2,048 frames."""

    def __init__(self) -> None:
        self.count = 0
        self._ring = np.zeros(2048, dtype=np.int64)

    def add(self, ns: int) -> None:
        """One more frame."""
        self._ring[self.count % len(self._ring)] = ns
        self.count += 1

    def quantiles(self) -> dict[str, float]:
        """``count``, ``age_ms_p50`` and ``age_ms_p99``."""
        if not self.count:
            return {"count": 0}
        p50, p99 = np.percentile(self._ring[: min(self.count, len(self._ring))], [50, 99]) / 1e6
        return {"count": self.count, "age_ms_p50": round(float(p50), 3), "age_ms_p99": round(float(p99), 3)}


class Step:
    """One node and the moves into its input ports."""

    def __init__(self, node: TimefluxNode, node_id: str):
        self.node: Any = node
        self.id = node_id
        self.ours = isinstance(node, Node)
        self.source = isinstance(node, Source)
        self.direct: list[tuple[Port, Port, Age | None]] = []
        """Moves between declared ports of two nodes of ours."""
        self.general: list[tuple[TimefluxNode, str, str]] = []
        """Moves with a Timeflux node or a globbed port at one end: source node, its port, ours."""
        self.mailboxes: list[Mailbox] = []
        self.fresh = True
        self.dirty = True

    def clear(self) -> None:
        """Empty the ports of a node of ours."""
        for port in self.node.ports.values():
            port._frame = port._data = port._meta = None  # Port.clear, without the call

    def outputs(self) -> Iterator[tuple[str, Frame]]:
        """The frames on the output ports of a node of ours, with the ports' names."""
        for name, port in self.node.ports.items():
            if name[0] == "o":
                frame = port._frame
                if frame is None:
                    frame = port.frame
                if frame is not None and len(frame):
                    yield name, frame

    def receive(self, clock: Clock | None) -> tuple[bool, list[int]]:
        """Fill the inputs; whether anything came, and how many messages each mailbox gave."""
        arrived = False
        for source, target, age in self.direct:
            frame = source._frame
            if frame is not None:
                target.frame = frame if target._frame is None else join([target._frame, frame])
                arrived = True
                if age is not None and clock is not None and len(frame):
                    age.add(clock.now() - int(frame.times[-1]))
        for node, source_port, target_port in self.general:
            arrived = _move(node, source_port, self.node, target_port) or arrived
        counts = []
        for mailbox in self.mailboxes:
            frame, count = mailbox.take() if mailbox.frames else (None, 0)
            if frame is not None:
                if mailbox.age is not None and clock is not None and len(frame):
                    mailbox.age.add(clock.now() - int(frame.times[-1]))
                port = getattr(self.node, mailbox.port)
                _put(
                    port,
                    join([port.frame, frame]) if isinstance(port, Port) and port.frame is not None else frame,
                )
                arrived = True
            counts.append(count)
        return arrived, counts


def _put(port: Any, frame: Any) -> None:
    if isinstance(port, Port):
        port.frame = frame
    else:
        port.data, port.meta = frame.to_pandas()


def _move(source: TimefluxNode, source_port: str, target: TimefluxNode, target_port: str) -> bool:
    """Move what one (perhaps globbed) output holds to an input; whether there was anything."""
    arrived = False
    for _, suffix, port in list(source.iterate(source_port)):
        if not port.ready():
            continue
        arrived = True
        destination = getattr(target, target_port + ("_" + suffix.lstrip("_") if suffix else ""))
        if isinstance(port, Port) and port.frame is not None:
            if isinstance(destination, Port):
                frame = port.frame
                destination.frame = frame if not destination.ready() else join([destination.frame, frame])
            else:  # each Timeflux consumer gets memory of its own
                destination.data, destination.meta = port.frame.to_pandas()
        elif not isinstance(destination, Port):
            # Timeflux nodes may write to their input, which must not reach whoever else reads this output.
            destination.data, destination.meta = _own(port.data), copy.deepcopy(port.meta)
        else:
            destination.data, destination.meta = port.data, dict(port.meta or {})
    return arrived


def _own(data: Any) -> Any:
    """A copy that shares nothing, the dicts of events included."""
    if not isinstance(data, pd.DataFrame):
        return copy.deepcopy(data)
    table = data.copy(deep=True)
    for number, kind in enumerate(table.dtypes):
        if kind.kind == "O":
            table.isetitem(number, copy.deepcopy(table.iloc[:, number].tolist()))
    return table
