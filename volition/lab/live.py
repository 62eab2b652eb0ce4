"""Listening to a running app from outside, as any other program would: over ZeroMQ."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import zmq

from volition.engine.app import App, with_params
from volition.engine.supervise import Listener, Supervisor

PUBLISH = "volition.nodes.outputs.zmq"


def free_port() -> int:
    """A TCP port on the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Ear:
    """Runs an app and hears what it publishes.

    The app's publisher is moved to a free port, so that two runs never meet.
    """

    def __init__(
        self,
        app: App,
        override: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int = 0,
        listener: Listener | None = None,
    ):
        address = f"tcp://127.0.0.1:{free_port()}"
        params = {node: dict(given) for node, given in (override or {}).items()}
        for node in (node for graph in app.graphs for node in graph.nodes):
            if node.module == PUBLISH:
                params.setdefault(node.id, {})["address"] = address
        self.app, self.seed, self.listener = with_params(app, params), seed, listener
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(address)

    def __enter__(self) -> Ear:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(linger=0)

    def run(self, hear: Callable[[str, dict[str, Any]], None], seconds: float, done: Callable[[], bool]) -> int:
        """Run until ``done`` or for ``seconds``; ``hear`` gets (label, data) of every event. The exit code."""

        def until() -> bool:
            while self._socket.poll(0):
                message = self._socket.recv_multipart()
                hear(message[0].decode(), json.loads(message[1])["data"])
            return done()

        return Supervisor(self.app, self.seed, listener=self.listener).run(seconds, until)
