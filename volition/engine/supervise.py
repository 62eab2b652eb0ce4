"""Runs an app: one process per graph, started together, restarted with back-off, stopped in order."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import msgpack
import zmq

from volition.core.clock import LiveClock, measure_utc_offset
from volition.core.errors import LoadError
from volition.core.events import Error, State
from volition.core.frames import EventFrame
from volition.engine.bus import Pipe, Sender, endpoint
from volition.engine.graph import REPORTS
from volition.engine.load import App, GraphDef
from volition.engine.modules import beside
from volition.engine.recording import RECORDER, with_reports
from volition.engine.worker import Task, run

STOP_SECONDS = 1.0
"""How long graphs get to stop by themselves; the recorder gets as long again after them."""
BACK_OFF = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before the first, second, ... restart of a graph; after the last one it stays down."""
STEADY_SECONDS = 60.0
"""A graph that ran this long is healthy: its next crash counts as the first."""

Listener = Callable[[str, dict[str, Any]], None]


@dataclass
class _Child:
    """One graph's process."""

    task: Task
    process: Any = None
    control: Connection | None = None
    started: float = 0.0
    crashes: int = 0
    restart_at: float | None = None
    ready: bool = False
    failure: dict[str, Any] | None = None
    down: bool = False
    pending: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.task.graph.id

    def alive(self) -> bool:
        return self.process is not None and self.process.is_alive()


class Supervisor:
    """Runs the graphs of an app until it is stopped.

    Parameters
    ----------
    app
        As loaded, checked.
    seed
        Seeds all chance in the nodes.
    journals
        Where each graph's journal goes, ``STEM.GRAPH.journal``; None writes none.
    stats
        Whether the age of frames is measured on every edge.
    about
        What a recorder writes into its manifest.
    listener
        Called with (kind, message): ``warning``, ``reports``, ``failed``, ``stats``, ``running``.
    """

    def __init__(
        self,
        app: App,
        seed: int = 0,
        journals: Path | None = None,
        stats: bool = False,
        listener: Listener | None = None,
        about: Mapping[str, Any] | None = None,
    ):
        with beside(*(app.folders or (app.folder,))):
            self.app = with_reports(app)
        self.utc_offset = measure_utc_offset()
        self.clock = LiveClock(self.utc_offset)
        self.exit_code = 0
        self.dropped = 0
        self._listen = listener or (lambda kind, message: None)
        self._stop = False
        self._seed, self._journals, self._stats = seed, journals, stats
        self._about = dict(about or {})
        self._children: list[_Child] = []
        self._context: zmq.Context[Any] = zmq.Context()
        self._recorder: Sender | None = None

    def stop(self) -> None:
        """Ask for the end; ``run`` returns within two seconds."""
        self._stop = True

    def run(self, seconds: float | None = None, until: Callable[[], bool] | None = None) -> int:
        """Start everything, watch it, and stop it; the exit code.

        Parameters
        ----------
        seconds
            Ends the run after this time from when all graphs are running.
        until
            Asked ten times a second; True ends the run.

        Returns
        -------
        int
            0 after a stop that was asked for, 1 when a graph crashed on the way, 2 when one could not start.
        """
        with tempfile.TemporaryDirectory(prefix="volition-") as folder, self._signals():
            try:
                self._prepare(Path(folder))
                if self._launch():
                    self._watch(seconds, until)
            finally:
                self._terminate()
        return self.exit_code

    @contextlib.contextmanager
    def _signals(self) -> Any:
        """Turn SIGINT and SIGTERM into a stop while the app runs."""
        try:
            before = {s: signal.signal(s, lambda *_: self.stop()) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: whoever runs us stops us
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _prepare(self, folder: Path) -> None:
        pipes = [
            Pipe(
                e.name,
                endpoint(folder, n),
                e.source_graph,
                e.source_node,
                e.source_port,
                e.target_graph,
                e.target_node,
                e.target_port,
                e.policy,
                e.capacity,
            )
            for n, e in enumerate(self.app.edges)
        ]
        if any(graph.id == RECORDER for graph in self.app.graphs):
            own = Pipe("supervisor", endpoint(folder, len(pipes)), "", REPORTS, "o", RECORDER, RECORDER, "i_reports")
            pipes.append(own)
            self._recorder = Sender(self._context, own, self.clock, lambda: self._stop)
        for graph in self.app.graphs:
            self._children.append(_Child(self._task(graph, pipes)))

    def _task(self, graph: GraphDef, pipes: list[Pipe]) -> Task:
        journal = None
        if self._journals is not None and graph.id != RECORDER:
            journal = self._journals.with_name(f"{self._journals.name}.{graph.id}.journal")
            journal.unlink(missing_ok=True)
        return Task(
            graph,
            self.app.folders or (self.app.folder,),
            [p for p in pipes if p.target_graph == graph.id],
            [p for p in pipes if p.source_graph == graph.id],
            self.utc_offset,
            self._seed,
            journal,
            self._stats,
            self._about,
        )

    def _spawn(self, child: _Child) -> None:
        context = multiprocessing.get_context("spawn")
        child.control, theirs = context.Pipe()
        child.process = context.Process(target=run, args=(child.task, theirs), name=f"volition-{child.name}")
        child.ready, child.failure, child.restart_at = False, None, None
        child.started = time.monotonic()
        child.process.start()
        theirs.close()

    def _launch(self) -> bool:
        """Start all graphs and let them go together; False when one could not be built."""
        for child in self._children:
            self._spawn(child)
        while not self._stop and not all(child.ready for child in self._children):
            self._read(0.1)
            for child in self._children:
                if not child.ready and not child.alive():
                    self._read(0)
                    failure = child.failure or {"message": f"graph {child.name}: {_ending(child.process.exitcode)}"}
                    child.down = True
                    self._listen("failed", failure)
                    self.exit_code = int(failure.get("exit_code", 2)) or 2
                    return False
        for child in self._children:
            self._command(child, b"go")
        self._listen("running", {"graphs": [child.name for child in self._children]})
        return not self._stop

    def _watch(self, seconds: float | None, until: Callable[[], bool] | None) -> None:
        end = None if seconds is None else time.monotonic() + seconds
        while not self._stop:
            self._read(0.1)
            now = time.monotonic()
            if (end is not None and now >= end) or (until is not None and until()):
                return
            for child in self._children:
                self._attend(child, now)
            if all(child.down for child in self._children):
                return

    def _attend(self, child: _Child, now: float) -> None:
        """Notice that a graph ended, and start it again when its time has come."""
        if child.down or child.alive():
            if child.ready and child.pending:
                self._command(child, child.pending.pop())
            return
        if child.restart_at is not None:
            if now >= child.restart_at:
                self._spawn(child)
                child.pending = [b"go"]
            return
        self._read(0)
        if child.process.exitcode == 0:
            if not self._stop:  # a node of Timeflux asked for the end, which ends the app
                self.stop()
            child.down = True
            return
        self._crashed(child, now)

    def _crashed(self, child: _Child, now: float) -> None:
        self.exit_code = 1
        if now - child.started > STEADY_SECONDS:
            child.crashes = 0
        message = (child.failure or {}).get("message") or f"graph {child.name}: {_ending(child.process.exitcode)}"
        if child.crashes >= len(BACK_OFF) or (child.failure or {}).get("final"):
            child.down = True
            for other in self._children:
                self._command(other, b"gone " + child.name.encode())
            what = f"{message}; it stays down, the other graphs go on"
        else:
            delay = BACK_OFF[child.crashes]
            child.restart_at = now + delay
            what = f"{message}; it starts again in {delay:g} s, the other graphs go on"
        child.crashes += 1
        self._listen("failed", {**(child.failure or {}), "message": what})
        self._record(Error(source=child.name, message=what).at(self.clock.now()))

    def _record(self, *events: Any) -> None:
        """Put events of the supervisor's own into the recording."""
        if self._recorder is not None:
            self._recorder.send(EventFrame.of(*events))

    def _read(self, timeout: float) -> None:
        """Take what the graphs say, and wait for more up to ``timeout`` seconds."""
        controls = {c.control: c for c in self._children if c.control is not None}
        if not controls:
            time.sleep(min(timeout, 0.05))
            return
        for control in wait(list(controls), timeout):
            child = controls[control]  # type: ignore[index]
            try:
                while child.control is not None and child.control.poll(0):
                    self._handle(child, msgpack.unpackb(child.control.recv_bytes(), strict_map_key=False))
            except (EOFError, OSError):
                child.control = None

    def _handle(self, child: _Child, message: dict[str, Any]) -> None:
        kind = message.pop("type")
        if kind == "ready":
            child.ready = True
        elif kind == "failed":
            child.failure = message
        elif kind != "ended":
            message.setdefault("graph", child.name)
            self._listen(kind, message)

    def _command(self, child: _Child, command: bytes) -> None:
        if child.control is not None:
            with contextlib.suppress(OSError):
                child.control.send_bytes(command)

    def _terminate(self) -> None:
        """Stop the graphs, and the recorder last; end what does not stop."""
        self._stop = True
        recorder = [c for c in self._children if c.name == RECORDER]
        self._end([c for c in self._children if c.name != RECORDER])
        if self._recorder is not None:
            self._record(State(state="stopped", source="supervisor").at(self.clock.now()))
            self._recorder.close()
        self._end(recorder)
        self._context.destroy(linger=0)

    def _end(self, children: list[_Child]) -> None:
        for child in children:
            self._command(child, b"stop")
        deadline = time.monotonic() + STOP_SECONDS
        # A Timeflux node may block in its update, where only a signal reaches it.
        for child in children:
            if child.alive() and not _all_ours(child.task.graph):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.process.pid, signal.SIGTERM)
        while any(c.alive() for c in children) and time.monotonic() < deadline:
            self._read(0.02)
        self._read(0)
        for child in children:
            if child.alive():
                self._listen("warning", {"message": f"graph {child.name} did not stop in time and was ended"})
                child.process.kill()
            if child.process is not None:
                child.process.join(1.0)
                code = child.process.exitcode
                if child.failure is not None and not child.down and not child.crashes and code == 1:
                    self.exit_code = 1
                    self._listen("failed", child.failure)


def _all_ours(graph: GraphDef) -> bool:
    return all(node.module.startswith("volition.") for node in graph.nodes)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"its process was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"its process was ended by signal {-code}"
    return f"its process ended with exit code {code}"


def checked(path: str | Path) -> App:
    """Load an app for running; all its problems as one LoadError."""
    from volition.engine.check import check_app

    app, problems = check_app(path)
    if app is None or problems:
        raise LoadError("\n".join(str(problem) for problem in problems))
    return app
