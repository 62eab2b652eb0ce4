"""An app as data: graphs, nodes and edges, each with its position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from volition.core.errors import LoadError
from volition.engine.positions import Position, did_you_mean
from volition.engine.tree import Unset

POLICIES = ("block", "drop_oldest", "latest")
CAPACITY = 1024
"""Frames that an edge across graphs holds when it states no capacity."""


@dataclass(frozen=True)
class NodeDef:
    """A node of a graph; ``positions`` gives the key paths below it, as ``("params", "low")``."""

    id: str
    module: str
    class_name: str
    params: dict[str, Any]
    position: Position
    positions: dict[tuple[str | int, ...], Position] = field(default_factory=dict, repr=False)

    def at(self, *path: str | int) -> Position:
        """The position of a key path, or of the nearest thing around it."""
        while path:
            if path in self.positions:
                return self.positions[path]
            path = path[:-1]
        return self.position


@dataclass(frozen=True)
class EdgeDef:
    """An edge from port to port; a ``source_port`` that ends in ``*`` stands for all ports that begin so."""

    source_graph: str
    source_node: str
    source_port: str
    target_graph: str
    target_node: str
    target_port: str
    policy: str
    capacity: int
    position: Position
    source_position: Position
    target_position: Position

    @property
    def source_key(self) -> tuple[str, str]:
        """The graph and the node it comes from."""
        return self.source_graph, self.source_node

    @property
    def target_key(self) -> tuple[str, str]:
        """The graph and the node it leads to."""
        return self.target_graph, self.target_node

    @property
    def many(self) -> bool:
        """Whether it stands for any number of edges."""
        return self.source_port.endswith("*")

    @property
    def name(self) -> str:
        """Both ends, as ``graph.node:port -> graph.node:port`` without default ports; unique in an app."""

        def end(graph: str, node: str, port: str) -> str:
            return f"{graph}.{node}" + (f":{port[2:]}" if len(port) > 1 else "")

        source = end(self.source_graph, self.source_node, self.source_port)
        return f"{source} -> {end(self.target_graph, self.target_node, self.target_port)}"

    @property
    def crosses(self) -> bool:
        """Whether the edge leads from one graph to another."""
        return self.source_graph != self.target_graph


@dataclass(frozen=True)
class GraphDef:
    """One graph; ``rate`` in Hz is None when it is not given."""

    id: str
    rate: float | None
    nodes: list[NodeDef]
    edges: list[EdgeDef]
    position: Position


@dataclass(frozen=True)
class App:
    """A loaded app.

    ``edges`` are those across graphs. ``folders`` are where its files lie: modules beside them are importable
    inside ``beside(*app.folders)``.
    """

    path: Path
    folder: Path
    graphs: list[GraphDef]
    edges: list[EdgeDef]
    folders: tuple[Path, ...] = ()

    @cached_property
    def text(self) -> str:
        """The whole app as one YAML document, imports merged and variables filled in."""
        return as_yaml(self.graphs, self.edges)


def with_params(app: App, params: Mapping[str, Mapping[str, Any]]) -> App:
    """The app with some parameters replaced; ``params`` by node id, in whatever graph the node is.

    Raises
    ------
    LoadError
        When there is no such node.
    """
    known = [node.id for graph in app.graphs for node in graph.nodes]
    for name in params:
        if name not in known:
            hint = did_you_mean(name, known)
            raise LoadError(f"there is no node {name!r} in {app.path.name}; {hint or 'it has ' + ', '.join(known)}")

    def changed(node: NodeDef) -> NodeDef:
        return replace(node, params={**node.params, **params[node.id]}) if node.id in params else node

    graphs = [replace(graph, nodes=[changed(node) for node in graph.nodes]) for graph in app.graphs]
    return replace(app, graphs=graphs)


def as_yaml(graphs: Iterable[GraphDef], edges: Iterable[EdgeDef]) -> str:
    """The app as one YAML document."""

    def end(graph: str, node: str, port: str, prefix: bool) -> str:
        return (f"{graph}." if prefix else "") + node + (f":{port[2:]}" if len(port) > 1 else "")

    def written(edge: EdgeDef) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "source": end(edge.source_graph, edge.source_node, edge.source_port, edge.crosses),
            "target": end(edge.target_graph, edge.target_node, edge.target_port, edge.crosses),
        }
        return {**entry, "policy": edge.policy, "capacity": edge.capacity} if edge.crosses else entry

    document: dict[str, Any] = {"graphs": []}
    for graph in graphs:
        nodes = [
            {"id": node.id, "module": node.module, "class": node.class_name}
            | ({"params": node.params} if node.params else {})
            for node in graph.nodes
        ]
        entry: dict[str, Any] = {"id": graph.id} | ({} if graph.rate is None else {"rate": graph.rate})
        entry["nodes"] = nodes
        document["graphs"].append(entry | ({"edges": [written(e) for e in graph.edges]} if graph.edges else {}))
    if cross := [written(edge) for edge in edges]:
        document["edges"] = cross
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


_Fastest: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Fastest):
    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


_Dumper.add_representer(Unset, lambda dumper, _: dumper.represent_none(None))
