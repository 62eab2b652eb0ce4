"""Edges between graphs: one ZeroMQ pipe per edge, inside this machine.

A PUSH socket queues from the moment it is made, and a PULL socket reads when it is there, so the first
message counts whichever side starts first, and messages wait while the other side restarts; only what was on
its way to a reader that dies is lost with it. What happens when the reader is too slow is the edge's policy:
``block`` holds the writer, ``drop_oldest`` keeps the newest ``capacity`` messages, ``latest`` only the last.
Every drop is counted and reported as ``dropped``.

The pipes are sockets in a private folder (``ipc``), or on the loopback interface where the platform has none. Only
``Publish`` nodes can reach other machines, and only with keys.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from volition.core.clock import Clock
from volition.core.errors import BusError
from volition.core.events import Dropped
from volition.core.frames import Frame
from volition.engine.codec import decode, encode
from volition.engine.step import Mailbox

QUEUE = 64
"""Messages that a socket holds on top of the edge's own capacity."""


@dataclass(frozen=True)
class Pipe:
    """One edge between two graphs, as both of its ends need to know it."""

    name: str
    endpoint: str
    source_graph: str
    source_node: str
    source_port: str
    target_graph: str
    target_node: str
    target_port: str
    policy: str = "block"
    capacity: int = 1024


def endpoint(folder: Path, number: int) -> str:
    """An address of its own for one pipe."""
    if os.name != "nt":
        return f"ipc://{folder / f'{number}.sock'}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


class Sender:
    """The writing end of a pipe."""

    def __init__(self, context: zmq.Context[Any], pipe: Pipe, clock: Clock, stopping: Callable[[], bool]):
        self.pipe = pipe
        self.dropped = 0
        self.gone = False
        """Set when the reader will not come back; what is sent is then dropped, and counted."""
        self._clock = clock
        self._stopping = stopping
        self._sequence = 0
        self._waiting: deque[list[bytes]] = deque()
        self._socket = context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, QUEUE if pipe.policy != "latest" else 1)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.connect(pipe.endpoint)

    def send(self, frame: Frame) -> None:
        """Send one frame, or do with it what the policy says."""
        if self.gone:
            self.dropped += 1
            return
        self._waiting.append(encode(frame, self._clock.now(), self._sequence))
        self._sequence += 1
        self.flush()
        if self.pipe.policy == "block":
            while self._waiting and not self._stopping() and not self.gone:
                self._socket.poll(50, zmq.POLLOUT)
                self.flush()
            return
        keep = 1 if self.pipe.policy == "latest" else self.pipe.capacity
        while len(self._waiting) > keep:
            self._waiting.popleft()
            self.dropped += 1

    def flush(self) -> None:
        """Send what waits, as far as it goes without waiting."""
        try:
            while self._waiting:
                self._socket.send_multipart(self._waiting[0], zmq.NOBLOCK)
                self._waiting.popleft()
        except zmq.Again:
            pass

    def close(self) -> None:
        """Close the socket; what is queued gets half a second to leave."""
        self.flush()
        self._socket.close()


class Receiver:
    """The reading ends of all pipes of one graph, in one thread."""

    def __init__(self, context: zmq.Context[Any], notify: Callable[[], None], on_error: Callable[[str], None]):
        self._context = context
        self._notify = notify
        self._on_error = on_error
        self._ends: dict[Any, tuple[Pipe, Mailbox]] = {}
        self._dropped: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)

    def add(self, pipe: Pipe, mailbox: Mailbox) -> None:
        """Bind one pipe; call before ``start``."""
        end = self._context.socket(zmq.PULL)
        end.setsockopt(zmq.RCVHWM, QUEUE)
        try:
            end.bind(pipe.endpoint)
        except zmq.ZMQError as error:
            end.close(0)  # an open socket would hold up the end of the context
            raise BusError(f"edge {pipe.name}: cannot bind {pipe.endpoint}: {error}") from None
        self._ends[end] = (pipe, mailbox)

    def start(self) -> None:
        """Begin to read."""
        if self._ends:
            self._thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for end in self._ends:
            poller.register(end, zmq.POLLIN)
        while not self._stop.is_set():
            full = 0
            for end, _ in poller.poll(100):
                pipe, mailbox = self._ends[end]
                if pipe.policy == "block" and len(mailbox.frames) >= pipe.capacity:
                    full += 1
                    continue
                self._take(end, pipe, mailbox)
            if full:  # wait for the graph, and let the writer wait
                self._stop.wait(0.002)

    def _take(self, end: Any, pipe: Pipe, mailbox: Mailbox) -> None:
        try:
            frame, _ = decode(end.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            return
        except BusError as error:
            self._on_error(f"edge {pipe.name}: {error}")
            return
        dropped = mailbox.put(frame, {"latest": 1, "drop_oldest": pipe.capacity}.get(pipe.policy))
        if dropped:
            self._dropped[pipe.name] = self._dropped.get(pipe.name, 0) + dropped
        self._notify()

    def take_dropped(self) -> list[Dropped]:
        """Drops since the last call, one event an edge."""
        dropped, self._dropped = self._dropped, {}
        return [
            Dropped(source=name, what="message", count=count, reason="the reader was too slow")
            for name, count in dropped.items()
        ]

    def close(self) -> None:
        """Stop the thread and close the sockets."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        for end in self._ends:
            end.close(0)
