"""Replays a session tick by tick as its journals say, so that every node sees what it saw live.

A virtual-time replay moves on a grid of its own; this one takes each tick's time, and how many samples, messages and
results of slow work came in at it, from the journal. What nodes give is then, byte for byte, what they gave live.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volition.core.clock import SECOND
from volition.core.errors import SessionError
from volition.core.frames import EventFrame, Frame
from volition.engine.app import App
from volition.engine.feed import Digest
from volition.engine.graph import Graph
from volition.engine.jobs import JournalledJobs
from volition.engine.journal import read
from volition.engine.modules import beside
from volition.engine.recording import recorded_names
from volition.engine.replay import Replay, Streams
from volition.engine.step import Mailbox
from volition.sessions.reader import Session


def journals_of(session: Path) -> dict[str, list[Any]]:
    """The journals beside a session, by graph.

    Raises
    ------
    SessionError
        When there is none, or a graph was restarted while it was recorded.
    """
    found: dict[str, list[Any]] = {}
    for path in sorted(session.parent.glob(f"{session.stem}.*.journal")):
        values = list(read(path))
        if sum(isinstance(value, dict) for value in values) != 1:
            raise SessionError(f"{path}: the graph was restarted while it was recorded; replay without --exact")
        found[values[0]["graph"]] = values[1:]
    if not found:
        raise SessionError(
            f"{session} has no journals beside it ({session.stem}.GRAPH.journal): replay without --exact"
        )
    return found


class ExactReplay(Replay):
    """An app on the ticks of a recorded run.

    Parameters
    ----------
    app
        The app the session was recorded with.
    streams
        The recorded streams by name.
    journals
        Entries of ``Graph.tick`` by graph, in order.
    seed
        As in the live run.
    """

    def __init__(self, app: App, streams: Streams, journals: Mapping[str, list[Any]], seed: int = 0):
        self._wires: dict[str, tuple[deque[Frame], Mailbox]] = {}
        super().__init__(app, streams, seed=seed)
        self.graphs_by_id = {graph.id: graph for graph in self.graphs}
        numbers = {graph.id: number for number, graph in enumerate(self.graphs)}
        missing = sorted(set(numbers) - set(journals))
        if missing:
            raise SessionError(f"the session has no journal of the graph {missing[0]!r}: it is of another app")
        ticks = [(entry[0], numbers[name], entry) for name in numbers for entry in journals[name]]
        self._ticks = sorted(ticks, key=lambda tick: tick[:2])
        if ticks:
            self.start, self.end = self._ticks[0][0], self._ticks[-1][0]

    def _jobs(self) -> JournalledJobs:
        return JournalledJobs()

    def open(self, now: int) -> None:
        """As ``VirtualApp.open``."""
        for graph in self.graphs:
            for node in graph.nodes.values():
                if isinstance(getattr(node, "_jobs", None), JournalledJobs):
                    node._jobs.written = node.journals_results
        super().open(now)

    def _connect(self, app: App) -> None:
        super()._connect(app)
        for pairs in self._out.values():
            for edge, box in pairs:
                self._wires[edge.name] = (deque(), box)

    def run(
        self,
        each: Callable[[str, str, str, Frame], None] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[int]:
        """Step through the journals; gives the time of each tick. Parameters as in ``Replay.run``."""
        self.open(self.start)
        for count, (now, number, entry) in enumerate(self._ticks):
            graph = self.graphs[number]
            self.clock.set(now)
            for node, what, amount in entry[1:]:
                self._hand(graph, node, what, amount)
            graph.tick(now)
            if each is not None:
                for node, port, frame in graph.outputs():
                    each(graph.id, node, port, frame)
            for edge, _ in self._out.get(graph.id, ()):
                self._wires[edge.name][0].extend(graph.output(edge.source_node, edge.source_port))
            if progress is not None and count % 256 == 0:
                progress(count / len(self._ticks))
            yield now

    def _hand(self, graph: Graph, node: str, what: str, amount: Any) -> None:
        """Give a node what the journal says came in for it."""
        if what == "results":
            graph.nodes[node]._jobs.allowed = amount
        elif what == "answers":
            target = graph.nodes[node]
            target._jobs.give([target.unpack_result(packed) for packed in amount])
        elif (graph.id, node, what) in self.feeds:
            self.feeds[graph.id, node, what].give(amount)
        elif what in self._wires:
            wire, box = self._wires[what]
            if len(wire) < amount:
                raise SessionError(
                    f"edge {what}: the journal asks for {amount} messages where {len(wire)} were sent; the code or the "
                    "models differ from those of the recording, or messages were dropped"
                )
            box.frames.extend(wire.popleft() for _ in range(amount))


@dataclass
class ExactResult:
    """What an exact replay gave, and where it departed from the recording."""

    sha256: str
    seconds: float
    wall_seconds: float
    outputs: int
    compared: int
    differences: list[str]

    @property
    def realtime_factor(self) -> float:
        """Recorded seconds per second of computing."""
        return self.seconds / self.wall_seconds if self.wall_seconds else float("inf")


def replay_exact(
    app: App, session: Session, seed: int = 0, progress: Callable[[float], None] | None = None
) -> ExactResult:
    """Replay a session on its journals, and compare every recorded event with what comes out.

    Parameters
    ----------
    app
        The app the session was recorded with.
    session
        The open session; its journals lie beside its file.
    seed
        As in the live run.
    progress
        Called now and then with the part that is done, 0..1.

    Raises
    ------
    SessionError
        When there are no journals, or they do not fit the app and the recording.
    """
    streams: dict[str, Any] = {name: list(stream.frames) for name, stream in session.streams.items()}
    digest, given = Digest(), dict[str, list[Any]]()

    def each(graph: str, node: str, port: str, frame: Frame) -> None:
        if node not in runner.graphs_by_id[graph].sources:
            digest.add(graph, node, port, frame)
        if isinstance(frame, EventFrame):
            given.setdefault(names.get((graph, node, port), ""), []).extend(frame)

    with beside(*(app.folders or (app.folder,))):
        names = recorded_names(app)
        runner = ExactReplay(app, streams, journals_of(session.path), seed)
        begin = time.perf_counter()
        try:
            for _ in runner.run(each, progress):
                pass
        finally:
            runner.close()
        wall = time.perf_counter() - begin
    events = {name: frames for name, frames in streams.items() if name in names.values() and _are_events(frames)}
    differences = [text for name, frames in events.items() if (text := _difference(name, frames, given.get(name, [])))]
    compared = sum(len(frame) for frames in events.values() for frame in frames)
    seconds = (runner.end - runner.start) / SECOND
    return ExactResult(digest.hexdigest(), seconds, wall, digest.frames, compared, differences)


def _are_events(frames: list[Any]) -> bool:
    return bool(frames) and isinstance(frames[0], EventFrame)


def _difference(name: str, frames: list[EventFrame], given: list[Any]) -> str:
    """Where the events of one stream differ, in a sentence; empty when they do not."""
    live = [(when, label, _text(data)) for frame in frames for when, label, data in frame]
    now = [(when, label, _text(data)) for when, label, data in given]
    if live == now:
        return ""
    for number, (before, after) in enumerate(zip(live, now, strict=False)):
        if before != after:
            return f"{name}: event {number} was {before[1:]} at {before[0]} and is {after[1:]} at {after[0]}"
    return f"{name}: {len(live)} events were recorded, {len(now)} came out"


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, default=str)
