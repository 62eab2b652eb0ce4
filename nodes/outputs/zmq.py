"""Events, and signals if asked, published over ZeroMQ."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import zmq

from volition.core import Node
from volition.core.errors import BusError
from volition.core.events import VERSION
from volition.core.frames import Data, EventFrame, SignalFrame
from volition.core.keys import is_local, secure_server
from volition.core.ports import AnyIn


def event_message(time: int, label: str, data: Data, source: str) -> list[bytes]:
    """Topic and body of one event: the label, and JSON with the time in ns UTC.

    >>> event_message(5, "key", {"key": "a"}, "keys")[1]
    b'{"time_ns": 5, "label": "key", "version": 1, "source": "keys", "data": {"key": "a"}}'
    """
    body = {"time_ns": time, "label": label, "version": VERSION, "source": source, "data": dict(data)}
    return [label.encode(), json.dumps(body, ensure_ascii=False).encode()]


def signal_message(frame: SignalFrame, source: str) -> list[bytes]:
    """Topic ``signal/<source>`` and a msgpack map.

    ``times`` (int64) and ``values`` are little-endian bytes, row by row.
    """
    body = {
        "version": VERSION,
        "times": frame.times.astype("<i8", copy=False).tobytes(),
        "values": frame.values.astype(frame.values.dtype.newbyteorder("<"), copy=False).tobytes(),
        "dtype": frame.values.dtype.name,
        "shape": list(frame.values.shape),
        "channels": list(frame.channels),
        "rate": frame.rate,
        "unit": list(frame.unit),
        "segment": frame.segment,
    }
    return [f"signal/{source}".encode(), msgpack.packb(body)]


class Publish(Node):
    """Publishes all events that come in over ZeroMQ, topic = label, and signals if asked.

    A message is ``[label, JSON]`` with ``time_ns``, ``label``, ``version``, ``source`` (the port's suffix)
    and ``data``. Events of one tick go out in order of time. Whoever reads too slowly misses messages; nobody
    is waited for. Stays on this machine unless keys are given. Keeps still in a replay.
    """

    inputs = AnyIn("i_*")

    hears_reports = True

    def __init__(self, address: str = "tcp://127.0.0.1:5556", keys: str | None = None, signals: bool = False):
        """Say where.

        address: where to bind; other machines can only be served with keys.
        keys: folder of `volition keys new server`; with it, only the readers in its clients folder get in.
        signals: whether to publish signal frames, too, as msgpack under signal/<port>.
        """
        if keys is None and not is_local(address):
            raise BusError(
                f"Publish: {address} can be reached from other machines, which needs keys: run `volition "
                "keys new server --folder FOLDER` and set keys: FOLDER, or stay on tcp://127.0.0.1:<port>"
            )
        self.address, self.keys, self.signals = address, keys, signals
        self._context: zmq.Context[Any] | None = None
        self._socket: Any = None
        self._guard: Any = None

    def start(self) -> None:
        """Bind the socket."""
        if self.muted:
            return
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.linger = 0
        try:
            if self.keys is not None:
                self._guard = secure_server(self._context, self._socket, self.keys)
            self._socket.bind(self.address)
        except zmq.ZMQError as error:
            self.terminate()
            raise BusError(
                f"{self.id or 'Publish'}: cannot bind {self.address}: {error}; another program may be using it"
            ) from None
        except BusError:
            self.terminate()
            raise

    def update(self) -> None:
        """Send what has come."""
        if self._socket is None:
            return
        events = []
        for name in sorted(self.ports):
            frame = self.ports[name].frame
            source = name[2:]
            if isinstance(frame, EventFrame):
                events += [(time, label, data, source) for time, label, data in frame]
            elif self.signals and isinstance(frame, SignalFrame) and len(frame):
                self._socket.send_multipart(signal_message(frame, source))
        events.sort(key=lambda event: event[0])
        for event in events:
            self._socket.send_multipart(event_message(*event))

    @property
    def endpoint(self) -> str:
        """The address that is bound, with the port that a ``*`` became."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT) if self._socket is not None else ""

    def terminate(self) -> None:
        """Close the socket; what was not sent is thrown away."""
        if self._guard is not None:
            self._guard.stop()
        if self._socket is not None:
            self._socket.close(linger=0)
        if self._context is not None:
            self._context.term()
        self._guard = self._socket = self._context = None
