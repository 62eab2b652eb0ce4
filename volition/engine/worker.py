"""The process of one graph: waits for data, ticks, sends, and says how it goes.

A graph wakes when a source has data, a message comes over the bus, slow work is back or a timer is due; with a
``rate`` it ticks at that rate on absolute deadlines, as in Timeflux. A graph with a single source and nothing on the
bus waits inside that source's own call, which spares a thread switch per sample.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgpack
import zmq
from timeflux.core.exceptions import WorkerInterrupt

from volition.core.clock import SECOND, LiveClock
from volition.core.errors import SessionError, VolitionError
from volition.core.events import Dropped, Error
from volition.core.frames import EventFrame
from volition.core.node import Node, Source
from volition.engine.bus import Pipe, Receiver, Sender
from volition.engine.graph import REPORTS, Graph, instantiate
from volition.engine.jobs import ThreadJobs
from volition.engine.journal import Journal
from volition.engine.load import GraphDef, beside

STATS_NS = 2 * SECOND
"""How often ages are sent to the supervisor, when they are wanted."""
LONGEST_WAIT = 0.1
"""Seconds after which a waiting graph looks whether it should stop."""


@dataclass(frozen=True)
class Task:
    """Everything that the process of one graph needs to know."""

    graph: GraphDef
    folders: tuple[Path, ...]
    inputs: list[Pipe]
    outputs: list[Pipe]
    utc_offset: int
    seed: int = 0
    journal: Path | None = None
    stats: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    """What a recorder writes into its manifest."""


class _Stopped(BaseException):
    """Leaves a Timeflux node that blocks inside its update."""


def run(task: Task, control: Connection) -> None:
    """Entry point of the process; exits with 0 after a stop and with 1 after a failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor stops us in order
    # Timeflux's background helper starts "python" from the path, which must be the one that runs us.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    code = _live(task, control)
    # Everything is closed; unloading the libraries would take longer than a stop may.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _live(task: Task, control: Connection) -> int:
    """Run the graph from its beginning to its end; the exit code."""
    worker: Worker | None = None
    running = False
    code = 0
    try:
        with beside(*task.folders):
            worker = Worker(task, control)
            worker.prepare()
            running = True
            worker.loop()
    except (_Stopped, WorkerInterrupt):
        pass
    except Exception as error:
        code = 1
        _send(control, _failure(task, worker, error, running))
    if worker is not None:
        try:
            worker.close()
        except Exception as error:
            code = 1
            _send(control, _failure(task, worker, error, running))
    if not code:
        _send(control, {"type": "ended"})
    return code


def _failure(task: Task, worker: Worker | None, error: Exception, running: bool) -> dict[str, Any]:
    node = worker.graph.current if worker is not None and worker.graph is not None else ""
    text = str(error) or type(error).__name__
    message = text if isinstance(error, VolitionError) else f"{type(error).__name__}: {text}"
    if node and not message.startswith(node):
        message = f"{node}: {message}"
    return {
        "type": "failed",
        "message": f"graph {task.graph.id}: {message}",
        "traceback": traceback.format_exc(),
        "running": running,
        "final": isinstance(error, SessionError),
        "exit_code": getattr(error, "exit_code", 1),
    }


def _send(control: Connection, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the supervisor is gone; so are we, soon
        control.send_bytes(msgpack.packb(message, default=str))


class Worker:
    """Runs one graph live."""

    def __init__(self, task: Task, control: Connection):
        self.task = task
        self.control = control
        self.clock = LiveClock(task.utc_offset)
        self.graph: Graph | None = None
        self.stopping = False
        self.wake = threading.Event()
        self._go = threading.Event()
        self._source_error: Exception | None = None
        self._context: zmq.Context[Any] = zmq.Context()
        self._senders: list[Sender] = []
        self._receiver: Receiver | None = None
        self._threads: list[threading.Thread] = []
        self._journal: Journal | None = None
        self._late = 0
        self._told = 0

    def prepare(self) -> None:
        """Build the graph, open its nodes and its pipes, and wait until the whole app is ready."""
        task = self.task
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        threading.Thread(target=self._listen, name="control", daemon=True).start()
        nodes = {d.id: instantiate(d) for d in task.graph.nodes}
        self.graph = graph = Graph(task.graph, nodes, task.seed, self.clock if task.stats else None)
        self._receiver = Receiver(self._context, self.wake.set, self._warn)
        for pipe in task.inputs:
            self._receiver.add(pipe, graph.mailbox(pipe.target_node, pipe.target_port, pipe.name))
        self._senders = [Sender(self._context, p, self.clock, lambda: self.stopping) for p in task.outputs]
        for node_id, node in nodes.items():
            if isinstance(node, Node):
                graph.current = node_id
                node.clock = self.clock
                if task.about and hasattr(node, "about"):
                    node.about = task.about
                node.now = self.clock.now()
                node._jobs = ThreadJobs(node_id, self.wake.set)
                node.open()
        if task.journal is not None:
            self._journal = Journal(task.journal, task.graph.id, task.seed)
        _send(self.control, {"type": "ready"})
        while not self._go.wait(LONGEST_WAIT):
            if self.stopping:
                raise _Stopped
        self._receiver.start()

    def _listen(self) -> None:
        """Obey the supervisor; stop when it is gone."""
        while True:
            try:
                command = self.control.recv_bytes()
            except (EOFError, OSError):
                command = b"stop"
            if command == b"go":
                self._go.set()
            elif command.startswith(b"gone "):
                for sender in self._senders:
                    sender.gone = sender.gone or sender.pipe.target_graph == command[5:].decode()
            elif command == b"stop":
                self.stopping = True
                self.wake.set()
                return

    def stop(self) -> None:
        """Stop after this tick; a Timeflux node that blocks in its update is interrupted."""
        self.stopping = True
        self.wake.set()
        if self.graph is not None and self.graph.in_foreign:
            raise _Stopped

    def _warn(self, text: str) -> None:
        _send(self.control, {"type": "warning", "message": text})

    def loop(self) -> None:
        """Tick until stopped."""
        assert self.graph is not None
        rate = self._rate()
        sources = list(self.graph.sources.values())
        if rate is not None and rate > 0:
            self._start_threads(sources)
            self._loop_at(rate)
        elif rate == 0:
            self._start_threads(sources)
            while not self.stopping:
                self._tick()
                time.sleep(0)
        elif len(sources) == 1 and not self.task.inputs:
            self._loop_inside(sources[0])
        else:
            self._start_threads(sources)
            self._loop_on_events()

    def _rate(self) -> float | None:
        """The rate to tick at; None wakes on data.

        Without ``rate``, Timeflux's default of 1 Hz holds for graphs that a Timeflux node begins: nothing else
        would ever wake it. A rate of 0 means as fast as possible to Timeflux, which is on data where all nodes
        are ours.
        """
        assert self.graph is not None
        fed = {edge.target_node for edge in self.task.graph.edges} | {p.target_node for p in self.task.inputs}
        polled = any(not isinstance(n, Node) and i not in fed for i, n in self.graph.nodes.items())
        if self.graph.rate is None:
            return 1.0 if polled else None
        return self.graph.rate if polled or self.graph.rate > 0 else None

    def _loop_at(self, rate: float) -> None:
        period = SECOND / rate
        start, cycle = self.clock.now(), 0
        while not self.stopping:
            self._tick()
            cycle += 1
            now = self.clock.now()
            due = start + round(cycle * period)
            if due < now:
                missed = int((now - due) // period)
                self._late += 1
                cycle += missed
            else:
                self._pause(due - now)

    def _pause(self, ns: int) -> None:
        """Sleep on an absolute deadline, but no longer than a stop may take to be seen."""
        until = self.clock.now() + ns
        while not self.stopping and (left := until - self.clock.now()) > 0:
            time.sleep(min(left / SECOND, LONGEST_WAIT))

    def _loop_on_events(self) -> None:
        assert self.graph is not None
        while not self.stopping:
            self.wake.clear()
            self._tick()
            if not self.graph.pending():
                self.wake.wait(self._patience())

    def _loop_inside(self, source: Source) -> None:
        assert self.graph is not None
        while not self.stopping:
            if not source.inbox:
                wait = self._patience()
                busy = any(n.busy for n in self.graph.nodes.values() if isinstance(n, Node))
                source.inbox.extend(source.poll(min(wait, 0.005) if busy else wait))
            self._tick()

    def _patience(self) -> float:
        """Seconds until the next timer, at most ``LONGEST_WAIT``."""
        assert self.graph is not None
        deadline = self.graph.deadline()
        if deadline is None:
            return LONGEST_WAIT
        return min(LONGEST_WAIT, max(0.0, (deadline - self.clock.now()) / SECOND))

    def _start_threads(self, sources: list[Source]) -> None:
        for source in sources:
            thread = threading.Thread(target=self._feed, args=(source,), name=f"source-{source.id}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _feed(self, source: Source) -> None:
        while not self.stopping:
            try:
                arrivals = source.poll(LONGEST_WAIT)
            except Exception as error:
                if self.graph is not None:
                    self.graph.current = source.id
                self._source_error = error
                self.wake.set()
                return
            if arrivals or source._reports:
                source.inbox.extend(arrivals)
                self.wake.set()

    def _tick(self) -> None:
        assert self.graph is not None
        if self._source_error is not None:
            raise self._source_error
        graph = self.graph
        graph.admit()
        entry = graph.tick(self.clock.now())
        if self._journal is not None:
            try:
                self._journal.add(entry)
            except SessionError as error:  # the person goes on; the replay will not be exact
                self._journal = None
                self._warn(str(error))
                graph.reports.append(("journal", Error(source="journal", message=str(error)).at(entry[0])))
        for sender in self._senders:
            pipe = sender.pipe
            if pipe.source_node != REPORTS:
                for frame in graph.output(pipe.source_node, pipe.source_port):
                    sender.send(frame)
            sender.flush()  # what waited for the reader must not wait for the next frame
        self._report()
        if self.task.stats and entry[0] - self._told > STATS_NS:
            self._told = entry[0]
            _send(self.control, {"type": "stats", "stats": self.stats()})

    def _report(self) -> None:
        """Pass on what nodes reported and the bus dropped."""
        assert self.graph is not None and self._receiver is not None
        for event in self._receiver.take_dropped():
            self.graph.reports.append(("bus", event.at(self.clock.now())))
        for sender in self._senders:
            if sender.dropped:
                event = Dropped(
                    source=sender.pipe.name,
                    what="message",
                    count=sender.dropped,
                    reason="the reader was too slow",
                )
                sender.dropped = 0
                self.graph.reports.append(("bus", event.at(self.clock.now())))
        frame = self.graph.take_reports()
        if frame is None:
            return
        for sender in self._senders:
            if sender.pipe.source_node == REPORTS:
                sender.send(frame)
        self._forward(frame)

    def _forward(self, frame: EventFrame) -> None:
        _send(self.control, {"type": "reports", "events": [list(event) for event in frame]})

    def close(self) -> None:
        """Terminate the nodes, then close pipes and journal."""
        self.stopping = True
        for thread in self._threads:
            thread.join(0.5)
        if self.graph is not None:
            if self._receiver is not None and self.graph.pending() and not self._source_error:
                with contextlib.suppress(Exception):
                    self._tick()  # what has arrived still counts, above all for a recorder
            self.graph.terminate(lambda i, e: self._warn(f"{i}: {type(e).__name__} while closing: {e}"))
            if self.task.stats:
                _send(self.control, {"type": "stats", "stats": self.stats()})
        if self._receiver is not None:
            self._receiver.close()
        for sender in self._senders:
            sender.close()
        if self._journal is not None:
            self._journal.close()
        self._context.destroy(linger=300)
        # Timeflux's nodes leave their sockets open, which would hold up the end of the process.
        zmq.Context.instance().destroy(linger=0)

    def stats(self) -> dict[str, Any]:
        """Age per edge and late ticks."""
        assert self.graph is not None
        return {
            "edges": {name: age.quantiles() for name, age in self.graph.ages.items()},
            "late_ticks": self._late,
        }
