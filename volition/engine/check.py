"""All mistakes in an app that can be known before it runs, in one go, each with its place."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from volition.core import params as parameters
from volition.core.node import Node
from volition.core.ports import PortSpec
from volition.engine.app import App, EdgeDef, GraphDef, NodeDef
from volition.engine.classes import ClassError, ClassFinder
from volition.engine.infer import Key, Known, infer
from volition.engine.load import load_with_problems
from volition.engine.modules import beside
from volition.engine.positions import MAX_PROBLEMS, Position, Problem, as_number, did_you_mean
from volition.engine.tree import Unset

__all__ = ["MAX_PROBLEMS", "Problem", "check", "check_app"]


def check(path: str | Path) -> list[Problem]:
    """Everything that is wrong with an app, in the order of its files and lines; empty when nothing is.

    The modules that its nodes name are imported. No node of Timeflux is built, and nothing is opened.
    """
    return check_app(path)[1]


def check_app(path: str | Path) -> tuple[App | None, list[Problem]]:
    """As ``check``, and the app itself as far as it could be read."""
    app, problems = load_with_problems(path)
    files = list(dict.fromkeys([str(path), *(p.file for p in problems)]))
    if app is not None:
        files = list(dict.fromkeys([*files[:1], *(graph.position.file for graph in app.graphs), *files]))
        with beside(*app.folders):
            problems = problems + _Check(app).run()
    unique = sorted(set(problems), key=lambda p: (files.index(p.file), p.line, p.column, p.message))
    if len(unique) > MAX_PROBLEMS:
        last = unique[MAX_PROBLEMS]
        more = f"at least {len(unique) - MAX_PROBLEMS} more mistakes from here on"
        unique = [*unique[:MAX_PROBLEMS], Problem(last.file, last.line, last.column, more)]
    return app, unique


class _Check:
    """Checks the nodes and edges of a loaded app."""

    def __init__(self, app: App):
        self._app = app
        self._problems: list[Problem] = []
        self._finder = ClassFinder(app.folders)
        self._graphs = {graph.id: graph for graph in app.graphs}
        self._nodes: dict[Key, Known] = {}
        self._edges = [*(edge for graph in app.graphs for edge in graph.edges), *app.edges]
        self._misdirected: set[Key] = set()

    def run(self) -> list[Problem]:
        """All problems, unsorted."""
        for graph in self._app.graphs:
            for node in graph.nodes:
                known = self._nodes.setdefault((graph.id, node.id), Known(node))
                self._node(known)
        sound = [edge for edge in self._edges if self._edge(edge)]
        self._doubled(sound)
        self._unfed()
        for graph in self._app.graphs:
            self._cycles(graph)
        self._problems += infer(self._nodes, sound)
        return self._problems

    def _problem(self, position: Position, message: str, hint: str | None = None) -> None:
        self._problems.append(Problem.at(position, message, hint))

    def _near(self, word: str, known: Iterable[str]) -> str | None:
        return did_you_mean(word, known) if len(self._problems) < MAX_PROBLEMS else None

    def _node(self, known: Known) -> None:
        node = known.definition
        if not node.module or not node.class_name or len(self._problems) > MAX_PROBLEMS:
            return
        try:
            known.cls = self._finder.find(node.module, node.class_name)
        except ClassError as error:
            self._problem(node.at(error.part), f"{node.id}: {error}", error.hint)
            return
        try:
            found = list(islice(_wrong_parameters(known.cls, node), MAX_PROBLEMS))
        except Exception as error:  # a signature that cannot be read is the author's mistake, not the user's
            reason = " ".join(str(error).split())[:200]
            message = f"{node.id}: the parameters of {node.class_name} cannot be read: {reason}"
            self._problem(node.at("class"), message)
            return
        self._problems += found
        known.sound = not found and not any(isinstance(value, Unset) for _, value in _flat(node.params))

    def _edge(self, edge: EdgeDef) -> bool:
        source = self._end(edge.source_graph, edge.source_node, edge.source_position)
        target = self._end(edge.target_graph, edge.target_node, edge.target_position)
        given = self._port(source, edge.source_port, edge.source_position, "o") if source else None
        taken = self._port(target, edge.target_port, edge.target_position, "i", edge.many) if target else None
        if target is not None and taken is False:
            self._misdirected.add(edge.target_key)
        if isinstance(given, PortSpec) and isinstance(taken, PortSpec) and taken.kind not in ("any", given.kind):
            message = (
                f"{_written(edge.source_node, edge.source_port)} gives {_KINDS[given.kind]}, and "
                f"{_written(edge.target_node, edge.target_port)} takes {_KINDS[taken.kind]}"
            )
            self._problem(edge.target_position, message, self._of_kind(target, "i", given.kind))
        return source is not None and target is not None and given is not False and taken is not False

    def _of_kind(self, node: Known | None, direction: str, kind: str) -> str | None:
        ports = node.ports or {} if node else {}
        names = [n for n, spec in ports.items() if spec.direction == direction and spec.kind == kind]
        return f"did you mean {_written(node.definition.id, names[0])!r}?" if node and len(names) == 1 else None

    def _end(self, graph_id: str, node_id: str, position: Position) -> Known | None:
        """The node at one end of an edge, or None and a problem."""
        if graph_id not in self._graphs:
            self._problem(position, f"there is no graph {graph_id!r}", self._near(graph_id, self._graphs))
            return None
        known = self._nodes.get((graph_id, node_id))
        if known is None:
            home = next((graph for graph in self._graphs if (graph, node_id) in self._nodes), None)
            hint = f"did you mean {f'{home}.{node_id}'!r}?" if home else None
            hint = hint or self._near(node_id, (node.id for node in self._graphs[graph_id].nodes))
            self._problem(position, f"there is no node {node_id!r} in graph {graph_id!r}", hint)
        return known

    def _port(
        self, node: Known, name: str, position: Position, direction: str, many: bool = False
    ) -> PortSpec | bool | None:
        """The declaration of a port; None if the node declares nothing, False if there is no such port."""
        ports = node.ports
        if ports is None:
            return None
        if name.endswith("*"):
            stem = name[:-1]
            fitting = [p for p in ports.values() if p.name.startswith(stem) or (p.many and p.matches(stem))]
        elif many:  # a globbed source adds to the name of the target
            fitting = [p for p in ports.values() if p.many and p.matches(name + "_x")]
        else:
            fitting = [p for p in ports.values() if p.matches(name)]
        if fitting:
            return min(fitting, key=lambda spec: spec.many)
        own = {_written(node.definition.id, spec.name): spec for spec in ports.values() if spec.direction == direction}
        what = "output" if direction == "o" else "input"
        written = _written(node.definition.id, name)
        hint = self._near_port(node.definition.id, name, own)
        if hint is None:
            hint = f"it has {', '.join(own)}" if own else f"it has no {what}s"
        plural = " for more than one port" if many else ""
        self._problem(position, f"{node.definition.class_name} has no {what} {written!r}{plural}", hint)
        return False

    @staticmethod
    def _near_port(node_id: str, name: str, own: Iterable[str]) -> str | None:
        own = list(own)
        bare = _written(node_id, name[2:])  # somebody wrote node:o_name
        if bare in own or (name[2:] in ("i", "o") and node_id in own):
            return f"did you mean {bare if bare in own else node_id!r}?"
        suffixes = {end.partition(":")[2]: end for end in own}
        hint = did_you_mean(name[2:], [suffix for suffix in suffixes if suffix])
        if hint is not None:
            return next(f"did you mean {end!r}?" for s, end in suffixes.items() if s and repr(s) in hint)
        return f"did you mean {own[0]!r}?" if len(own) == 1 else None

    def _doubled(self, edges: Sequence[EdgeDef]) -> None:
        """Two signals that lead into one port: the later would overwrite the earlier."""
        first: dict[tuple[Key, str], EdgeDef] = {}
        for edge in edges:
            target, source = self._nodes[edge.target_key], self._nodes[edge.source_key]
            declared, given = target.declared(edge.target_port), source.declared(edge.source_port)
            kind = declared.kind if declared is not None else ""
            if kind == "any" and given is not None:
                kind = given.kind
            if edge.many or kind not in ("signal", "epochs"):
                continue
            before = first.setdefault((edge.target_key, edge.target_port), edge)
            if before is not edge:
                target_name = _written(edge.target_node, edge.target_port)
                other = _written(before.source_node, before.source_port)
                message = f"{target_name!r} is fed by {other!r} already; a port takes one {kind} stream"
                self._problem(edge.target_position, message)

    def _unfed(self) -> None:
        fed = {(edge.target_key, edge.target_port) for edge in self._edges}
        for key, node in self._nodes.items():
            if key in self._misdirected:
                continue
            for name, spec in (node.ports or {}).items():
                if spec.direction == "i" and not (spec.many or spec.optional or (key, name) in fed):
                    written = _written(node.definition.id, name)
                    message = f"{node.definition.id}: nothing feeds its input {written!r}"
                    self._problem(node.definition.position, message, "add an edge to it")

    def _cycles(self, graph: GraphDef) -> None:
        """Each strongly connected group once, at the edge that closes it."""
        following: dict[str, list[EdgeDef]] = {node.id: [] for node in graph.nodes}
        for edge in graph.edges:
            if edge.source_node in following and edge.target_node in following:
                following[edge.source_node].append(edge)
        for trail in _circles(following):
            names = " -> ".join([*(edge.source_node for edge in trail), trail[-1].target_node])
            self._problem(
                trail[-1].target_position,
                f"the edges {names} form a circle inside graph {graph.id!r}; only edges across graphs may",
                "put one of the nodes into a graph of its own",
            )


_KINDS = {"signal": "a signal", "events": "events", "epochs": "epochs"}


def _written(node: str, port: str) -> str:
    """A port as an edge names it."""
    return f"{node}:{port[2:]}" if len(port) > 1 else node


def _circles(following: dict[str, list[EdgeDef]]) -> Iterator[list[EdgeDef]]:
    """The edges of circles that a walk over all nodes closes; no node is in two of them."""
    state: dict[str, int] = {}  # 1: on the way, 2: done
    told: set[str] = set()
    for start, edges in following.items():
        if start in state:
            continue
        state[start] = 1
        trail: list[EdgeDef] = []
        stack = [iter(edges)]
        while stack:
            edge = next(stack[-1], None)
            if edge is None:
                stack.pop()
                state[trail.pop().target_node if trail else start] = 2
            elif edge.target_node not in state:
                state[edge.target_node] = 1
                trail.append(edge)
                stack.append(iter(following[edge.target_node]))
            elif state[edge.target_node] == 1:
                begin = next((n for n, step in enumerate(trail) if step.source_node == edge.target_node), len(trail))
                circle = [*trail[begin:], edge]
                if not told & {step.source_node for step in circle}:
                    told |= {step.source_node for step in circle}
                    yield circle


def _wrong_parameters(cls: type, node: NodeDef) -> Iterator[Problem]:
    names = [p.name for p in _named(cls)]
    if not issubclass(cls, Node):
        yield from _wrong_names(cls, node)
        return
    told: set[Position] = set()
    for problem in parameters.problems(cls, node.params):
        position = node.at("params", *problem.path)
        value = _value(node.params, problem.path)
        if isinstance(value, Unset) or position in told:
            continue
        name = problem.path[0] if problem.path else ""
        hint = as_number(value)
        if name not in names:
            free = [other for other in names if other not in node.params]
            hint = did_you_mean(name, free) or (f"it has {', '.join(names)}" if names else "it has no parameters")
        elif name in node.params:
            told.add(position)
        yield Problem.at(position, f"{node.id}: {problem.message}", hint)


def _wrong_names(cls: type, node: NodeDef) -> Iterator[Problem]:
    """For a node of Timeflux, whose signature has names and no types."""
    known = _named(cls)
    names = [p.name for p in known]
    kinds = [p.kind for p in parameters.signature_of(cls).parameters.values()]
    free = [name for name in names if name not in node.params]
    for name in node.params:
        if name not in names and inspect.Parameter.VAR_KEYWORD not in kinds:
            hint = did_you_mean(name, free) or (f"it has {', '.join(names)}" if names else "it has no parameters")
            yield Problem.at(node.at("params", name), f"{node.id}: there is no parameter {name!r}", hint)
    for parameter in known:
        if parameter.default is parameter.empty and parameter.name not in node.params:
            yield Problem.at(node.at("params"), f"{node.id}: the parameter {parameter.name!r} is missing")


def _named(cls: type) -> list[inspect.Parameter]:
    """The parameters of a class that have a name to be given by."""
    unnamed = (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.POSITIONAL_ONLY,
    )
    return [p for p in parameters.signature_of(cls).parameters.values() if p.kind not in unnamed]


def _value(params: Any, path: Sequence[str | int]) -> Any:
    """What stands at a path of ``params``, or the nearest thing around it."""
    for step in path:
        try:
            params = params[step]
        except (KeyError, IndexError, TypeError):
            break
    return params


def _flat(value: Any) -> Iterator[tuple[None, Any]]:
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _flat(item)
    else:
        yield None, value
