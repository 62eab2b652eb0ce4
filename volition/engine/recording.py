"""What a recording adds to an app: one more graph, whose recorder gets all sources, events and reports.

Only what came in from outside is needed to replay; the events are there to be read, and to compare a replay with.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from volition.core.node import Node, Source
from volition.engine.graph import REPORTS
from volition.engine.load import App, EdgeDef, GraphDef, NodeDef, Position
from volition.engine.modules import import_module

RECORDER = "recorder"
CAPACITY = 20_000
"""Frames that wait for a recorder that is down; it must never hold up what it records."""


def node_class(definition: NodeDef) -> type:
    """The class that a node definition names."""
    cls: type = getattr(import_module(definition.module), definition.class_name)
    return cls


def stream_name(graph: str, node: str, port: str, taken: set[str]) -> str:
    """The name of a stream in the recording: the node's id, its port if it is not ``o``, its graph if need be."""
    name = node if port == "o" else f"{node}-{port[2:]}"
    return name if name not in taken else f"{graph}-{name}"


def recorded_ports(definition: NodeDef) -> list[str]:
    """The output ports of a node that a recording keeps: all of a source, the events of any other node."""
    cls = node_class(definition)
    if not issubclass(cls, Node):
        return []
    whole = issubclass(cls, Source)
    return [
        name
        for name, spec in cls.port_specs.items()
        if spec.direction == "o" and not spec.many and (whole or spec.kind == "events")
    ]


def recorded_names(app: App) -> dict[tuple[str, str, str], str]:
    """The stream that a recording keeps each output in, by (graph id, node id, port)."""
    names: dict[tuple[str, str, str], str] = {}
    taken = {"reports"}  # which the supervisor leads to the recorder, as to every node that hears them
    for graph in app.graphs:
        for node in graph.nodes:
            for port in recorded_ports(node):
                name = stream_name(graph.id, node.id, port, taken)
                taken.add(name)
                names[graph.id, node.id, port] = name
    return names


def with_reports(app: App) -> App:
    """The app with edges that lead the reports of every graph to the nodes that hear them.

    The modules of the app must be importable (``beside``).
    """
    hearers = [
        (graph.id, node)
        for graph in app.graphs
        for node in graph.nodes
        if getattr(node_class(node), "hears_reports", False)
    ]
    edges = [
        _edge(graph.id, REPORTS, "o", hearer, node.id, "i_reports", node.position)
        for hearer, node in hearers
        for graph in app.graphs
    ]
    return dataclasses.replace(app, edges=[*app.edges, *edges])


def _edge(
    source_graph: str, source: str, port: str, target_graph: str, target: str, target_port: str, position: Position
) -> EdgeDef:
    """An edge whose reader may be down: it keeps what fits, and never holds up the writer."""
    ends = (source_graph, source, port, target_graph, target, target_port)
    return EdgeDef(*ends, "drop_oldest", CAPACITY, position, position, position)


def with_recorder(app: App, out: Path) -> App:
    """The app with a graph that records it to ``out``.

    Parameters
    ----------
    app
        The app, checked; its modules must be importable (``beside``).
    out
        The XDF file.
    """
    position = Position(str(app.path), 1, 1)
    edges = [
        _edge(graph, node, port, RECORDER, RECORDER, f"i_{name}", position)
        for (graph, node, port), name in recorded_names(app).items()
    ]
    recorder = NodeDef(RECORDER, "volition.nodes.outputs.record", "Record", {"path": str(out)}, position)
    graph = GraphDef(RECORDER, None, [recorder], [], position)
    return dataclasses.replace(app, graphs=[*app.graphs, graph], edges=[*app.edges, *edges])


__all__ = ["RECORDER", "node_class", "recorded_names", "recorded_ports", "stream_name", "with_recorder", "with_reports"]
