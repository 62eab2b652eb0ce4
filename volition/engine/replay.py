"""Runs an app on a recorded session: all graphs in one process, on virtual time, with the same answers every time.

The sources are replaced by the session's streams under the same names. Time moves in steps of ``chunk`` samples of
the fastest stream, and stops in between where a timer is due. How the streams were cut when they were recorded plays
no part. Nodes that act on the world outside are muted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from volition.core.clock import SECOND
from volition.core.errors import LoadError, SessionError
from volition.core.frames import EventFrame, Frame, SignalFrame
from volition.core.node import Source
from volition.engine.app import with_params
from volition.engine.feed import Digest, Feed
from volition.engine.load import App, beside, load
from volition.engine.recording import node_class, recorded_names
from volition.engine.virtual import VirtualApp
from volition.sessions.reader import Session

TAIL_NS = SECOND
"""Virtual time that a replay goes on after the session's end, so that nothing stays in a window."""

Streams = Mapping[str, Sequence[SignalFrame] | Sequence[EventFrame]]


@dataclass
class Result:
    """What a replay gave."""

    sha256: str
    seconds: float
    wall_seconds: float
    outputs: int
    taps: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    reports: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    @property
    def realtime_factor(self) -> float:
        """Recorded seconds per second of computing."""
        return self.seconds / self.wall_seconds if self.wall_seconds else float("inf")

    def events(self, node: str, port: str = "o", label: str | None = None) -> list[tuple[int, str, Mapping[str, Any]]]:
        """The events of a tapped port."""
        return [e for frame in self.taps[node, port] for e in frame if label is None or e[1] == label]


def streams_for(app: App, streams: Streams, names: Mapping[str, str] | None = None) -> dict[tuple[str, str, str], Any]:
    """Which recorded stream stands in for which output, (graph id, node id, port), of which source.

    Parameters
    ----------
    app
        The app.
    streams
        The session's streams by name.
    names
        Stream name by source id, where they differ.

    Raises
    ------
    SessionError
        When no output of a source has a stream.
    """
    found: dict[tuple[str, str, str], Any] = {}
    wanted = {(g.id, n.id) for g in app.graphs for n in g.nodes if issubclass(node_class(n), Source)}
    for (graph, node, port), recorded in recorded_names(app).items():
        name = (names or {}).get(node, recorded) if port == "o" else recorded
        if (graph, node) in wanted and name in streams:
            found[graph, node, port] = streams[name]
    missing = sorted(wanted - {key[:2] for key in found})
    if missing:
        node = missing[0][1]
        raise SessionError(
            f"source {node!r} has no stream in the session, which holds "
            f"{', '.join(map(repr, sorted(streams))) or 'nothing'}: name one with --map {node}=STREAM"
        )
    return found


def upstream(app: App, node: str) -> App:
    """The part of the app that ``node`` depends on, without the node itself and without the loops across graphs."""
    for graph in app.graphs:
        if any(n.id == node for n in graph.nodes):
            keep: set[str] = set()
            todo = [node]
            while todo:
                at = todo.pop()
                for edge in graph.edges:
                    if edge.target_node == at and edge.source_node not in keep:
                        keep.add(edge.source_node)
                        todo.append(edge.source_node)
            edges = [e for e in graph.edges if e.source_node in keep and e.target_node in keep]
            part = replace(graph, nodes=[n for n in graph.nodes if n.id in keep], edges=edges)
            return replace(app, graphs=[part], edges=[])
    raise LoadError(f"{app.path}: there is no node {node!r}")


class Replay(VirtualApp):
    """An app on virtual time, fed from a recorded session.

    Parameters
    ----------
    app
        The app, loaded; its modules importable.
    streams
        The recorded streams by name.
    chunk
        Samples of the fastest stream per step.
    seed
        As in the live run.
    names
        Stream name by source id, where they differ.
    """

    def __init__(
        self,
        app: App,
        streams: Streams,
        chunk: int = 26,
        seed: int = 0,
        names: Mapping[str, str] | None = None,
    ):
        if chunk < 1:
            raise SessionError(f"a replay moves in steps of at least one sample, not {chunk}")
        given = streams_for(app, streams, names)
        super().__init__(app, seed)
        self.feeds: dict[tuple[str, str, str], Feed] = {}
        for graph in self.graphs:
            for node_id, source in graph.sources.items():
                source.replayed = True
                for key, frames in given.items():
                    if key[:2] == (graph.id, node_id):
                        self.feeds[key] = Feed(source, key[2], frames)
        feeds = self.feeds.values()
        starts = [f.start for f in feeds if f.start is not None]
        if not starts:
            raise SessionError("the session holds no samples and no events for this app")
        self.start = min(starts)
        self.end = max(f.end for f in feeds if f.end is not None)
        rate = max((f.rate for f in feeds), default=0.0)
        self._step = chunk / rate * SECOND if rate else SECOND / 10

    def _times(self) -> Iterator[int]:
        """The virtual times: the grid, and between its points the timers that are due."""
        last, k = self.start - 1, 0
        end = self.end + TAIL_NS
        while last < end:
            # The last step ends with the tail, so that timers run equally long whatever the step.
            grid = min(end, self.start + round(k * self._step))
            timer = self.deadline
            due = grid if timer is None else max(last + 1, timer)
            if due < grid:
                last = due
            else:
                last = grid
                k += 1
            yield last

    def run(
        self,
        each: Callable[[str, str, str, Frame], None] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[int]:
        """Step through the session; gives each virtual time.

        Parameters
        ----------
        each
            Called with (graph id, node id, port, frame) for every output.
        progress
            Called now and then with the part that is done, 0..1.
        """
        self.open(self.start)
        whole = max(1, self.end + TAIL_NS - self.start)
        for count, now in enumerate(self._times()):
            self.clock.set(now)
            for feed in self.feeds.values():
                feed.advance(now)
            self.settle(now, each)
            if progress is not None and count % 256 == 0:
                progress(min(1.0, (now - self.start) / whole))
            yield now


def replay(  # noqa: PLR0913 - one call for notebooks; all but two have defaults
    app: App | str | Path,
    session: Any,
    *,
    chunk: int = 26,
    override: Mapping[str, Mapping[str, Any]] | None = None,
    taps: Sequence[tuple[str, str]] = (),
    upto: str | None = None,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
    progress: Callable[[float], None] | None = None,
    digest: bool = True,
) -> Result:
    """Replay a session through an app.

    Parameters
    ----------
    app
        The app, or the path of its YAML file.
    session
        The path of an XDF file, an open ``Session``, or a mapping of frames by stream name.
    chunk
        Samples of the fastest stream per step.
    override
        Parameters by node id that replace those of the file.
    taps
        (node id, port) of outputs to keep, all frames of them.
    upto
        Run only what this node depends on.
    seed
        Seeds all chance in the nodes.
    names
        Stream name by source id, where they differ.
    progress
        Called now and then with the part that is done, 0..1.
    digest
        Whether to compute the SHA-256 over all outputs of nodes that are not replayed themselves.

    Raises
    ------
    LoadError, SessionError, NodeError
        When the app or the session cannot be used, or a node fails.
    """
    app = with_params(app if isinstance(app, App) else load(app), override or {})
    streams = _streams(session)
    kept: dict[tuple[str, str], list[Any]] = {tap: [] for tap in taps}
    hashes = Digest()

    def each(graph: str, node: str, port: str, frame: Frame) -> None:
        if (node, port) in kept:
            kept[node, port].append(frame)
        if digest and (node not in sources or only_sources):
            hashes.add(graph, node, port, frame)

    reports: list[tuple[int, str, dict[str, Any]]] = []
    with beside(*(app.folders or (app.folder,))):
        runner = Replay(upstream(app, upto) if upto else app, streams, chunk, seed, names)
        # What sources give is what the session holds; it counts only where there is nothing else.
        sources = {node for graph in runner.graphs for node in graph.sources}
        only_sources = all(node in sources for graph in runner.graphs for node in graph.nodes)
        begin = time.perf_counter()
        try:
            for _ in runner.run(each if digest or kept else None, progress):
                for graph in runner.graphs:
                    if graph.reports:
                        reports += [event for _, event in graph.reports]
                        graph.reports.clear()
        finally:
            runner.close()
        wall = time.perf_counter() - begin
    seconds = (runner.end - runner.start) / SECOND
    return Result(hashes.hexdigest() if digest else "", seconds, wall, hashes.frames, kept, reports)


def _streams(session: Any) -> Streams:
    if isinstance(session, Mapping):
        return {name: list(f) if isinstance(f, (list, tuple)) else [f] for name, f in session.items()}
    if isinstance(session, (str, Path)):
        session = Session.open(session)
    return {name: list(stream.frames) for name, stream in session.streams.items()}
