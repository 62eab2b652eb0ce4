"""An app on virtual time: all its graphs in one process, ticked in the order of the file.

Nodes that act on the world outside are muted unless that is wanted, and slow work is done at once and comes back after
a fixed time. So what comes out depends on the app, its seed and what goes in, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from timeflux.core.node import Node as TimefluxNode

from volition.core.clock import VirtualClock
from volition.core.frames import Frame
from volition.core.node import Node
from volition.engine.app import App, EdgeDef, GraphDef
from volition.engine.graph import REPORTS, Graph, instantiate
from volition.engine.jobs import VirtualJobs
from volition.engine.recording import RECORDER
from volition.engine.step import Mailbox

ROUNDS = 64
"""How often graphs may answer each other at one virtual time before time moves on."""
WORK_NS = 50_000_000
"""Virtual time that slow work takes."""

Each = Callable[[str, str, str, Frame], None]
"""Is called with (graph id, node id, port, frame) for every output."""


class VirtualApp:
    """The graphs of an app, and the edges between them.

    Parameters
    ----------
    app
        The app, loaded; its modules importable.
    seed
        As in a live run.
    work
        Virtual time in ns that slow work takes.
    muted
        Whether nodes that act on the world outside keep still.
    """

    def __init__(self, app: App, seed: int = 0, work: int = WORK_NS, muted: bool = True):
        self.clock = VirtualClock()
        self.graphs: list[Graph] = []
        self._work, self._muted = work, muted
        self._out: dict[str, list[tuple[EdgeDef, Mailbox]]] = {}
        self.graphs = [self._build(definition, seed) for definition in app.graphs if definition.id != RECORDER]
        self._connect(app)

    def _build(self, definition: GraphDef, seed: int) -> Graph:
        nodes: dict[str, TimefluxNode] = {d.id: instantiate(d) for d in definition.nodes if not _records(d)}
        edges = [e for e in definition.edges if e.target_node in nodes and e.source_node in nodes]
        kept = replace(definition, nodes=[d for d in definition.nodes if d.id in nodes], edges=edges)
        graph = Graph(kept, nodes, seed)
        for node in nodes.values():
            if isinstance(node, Node):
                node.muted, node.virtual = self._muted, True
                node.clock = self.clock
                node._jobs = self._jobs()
        return graph

    def _jobs(self) -> VirtualJobs:
        """What serves the slow work of one node."""
        return VirtualJobs(self.clock.now, self._work)

    def _connect(self, app: App) -> None:
        by_id = {graph.id: graph for graph in self.graphs}
        for edge in app.edges:
            if edge.target_graph in by_id and edge.source_node != REPORTS:
                if edge.target_node not in by_id[edge.target_graph].nodes:
                    continue
                box = by_id[edge.target_graph].mailbox(edge.target_node, edge.target_port, edge.name)
                self._out.setdefault(edge.source_graph, []).append((edge, box))

    @property
    def deadline(self) -> int | None:
        """When the next timer is due, in ns UTC; None when there is none."""
        timers = [due for due in (graph.deadline() for graph in self.graphs) if due is not None]
        return min(timers) if timers else None

    def open(self, now: int) -> None:
        """Start the nodes, before the first tick, as live."""
        self.clock.set(now)
        for graph in self.graphs:
            for node in graph.nodes.values():
                if isinstance(node, Node):
                    node.now = now
                    node.open()

    def settle(self, now: int, each: Each | None = None) -> None:
        """Tick every graph at ``now``, again while they have something for each other."""
        for round_number in range(ROUNDS):
            for graph in self.graphs:
                if round_number and not graph.pending():
                    continue
                graph.tick(now)
                if each is not None:
                    for node, port, frame in graph.outputs():
                        each(graph.id, node, port, frame)
                for edge, box in self._out.get(graph.id, ()):
                    box.frames.extend(graph.output(edge.source_node, edge.source_port))
            if not any(graph.pending() for graph in self.graphs):
                return

    def live(self, start: int, each: Each | None = None) -> Iterator[int]:
        """Run an app that needs nothing from outside, from timer to timer; gives each virtual time.

        It ends when no timer is left; whoever has seen enough stops sooner.
        """
        self.open(start)
        now = start
        while True:
            self.clock.set(now)
            self.settle(now, each)
            yield now
            due = self.deadline
            if due is None:
                return
            now = max(now + 1, due)

    def close(self) -> None:
        """Terminate the nodes."""
        for graph in self.graphs:
            graph.terminate(lambda node, error: None)


def _records(definition: Any) -> bool:
    return bool(definition.module == "volition.nodes.outputs.record")
