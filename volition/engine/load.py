"""An app's YAML (or JSON) files to graphs, nodes and edges, each with its position.

The format is Timeflux's: ``import``, ``graphs`` with ``id``, ``rate``, ``nodes``, ``edges``. Beyond it, edges
may cross graphs: at the top level, or with ``graph.node:port``; those may state a ``policy``, a ``capacity``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from volition.core.errors import LoadError
from volition.engine.app import CAPACITY, POLICIES, App, EdgeDef, GraphDef, NodeDef
from volition.engine.modules import beside
from volition.engine.positions import MAX_PROBLEMS, Position, Problem, as_number, describe, did_you_mean
from volition.engine.tree import MAX_BYTES, Tree, Unset, read

__all__ = [
    "App",
    "EdgeDef",
    "GraphDef",
    "NodeDef",
    "Position",
    "Problem",
    "Unset",
    "beside",
    "environment",
    "load",
    "load_with_problems",
]

MAX_FILES = 100
MAX_GRAPHS = 200
MAX_NODES = 1000

_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
_CLASS = re.compile(r"[A-Za-z_]\w*\Z")
_END = re.compile(r"(?:(?P<graph>[A-Za-z0-9_-]+)\.)?(?P<node>[A-Za-z0-9_-]+)(?::(?P<port>[A-Za-z0-9_-]*\*?))?\Z")


def environment() -> dict[str, str]:
    """What fills in templates: the process environment and, behind it, the working folder's ``.env``."""
    stored = {key: value for key, value in dotenv_values(".env").items() if value is not None}
    return {**stored, **os.environ}


def load(path: str | Path) -> App:
    """Read an app.

    Raises
    ------
    LoadError
        The first problem, as ``file:line:column: message``.
    """
    app, problems = load_with_problems(path)
    if problems or app is None:
        raise LoadError(str(problems[0]))
    return app


def load_with_problems(
    path: str | Path, variables: Mapping[str, str] | None = None
) -> tuple[App | None, list[Problem]]:
    """Read an app as far as it can be read, and give everything that is wrong with its form.

    Parameters
    ----------
    path
        The YAML or JSON file.
    variables
        What templates are filled in from; ``environment()`` when not given.
    """
    loader = _Loader(environment() if variables is None else variables)
    loader.file(str(path), None)
    loader.finish()
    problems = sorted(loader.problems, key=loader.place)
    if not loader.readable:
        return None, problems
    whole = Path(path).resolve()
    app = App(whole, whole.parent, loader.graphs, loader.edges, tuple(loader.folders))
    return app, problems


class _Loader:
    """Reads files and collects graphs, edges and problems."""

    def __init__(self, variables: Mapping[str, str]):
        self.problems: list[Problem] = []
        self.folders: list[Path] = []
        self.graphs: list[GraphDef] = []
        self.edges: list[EdgeDef] = []
        self.readable = False
        self._variables = variables
        self._files: list[Path] = []
        self._names: list[str] = []
        self._too_many = False
        self._trees: list[Tree] = []
        self._loose: list[Tree] = []  # edges at the top level of a file

    def problem(self, position: Position, message: str, hint: str | None = None) -> None:
        """Note a mistake."""
        self.problems.append(Problem.at(position, message, hint))

    def place(self, problem: Problem) -> tuple[int, int, int]:
        """Where a problem comes in the order of the files."""
        order = self._names.index(problem.file) if problem.file in self._names else -1
        return order, problem.line, problem.column

    def file(self, name: str, position: Position | None) -> None:
        """Read one file, once, and what it imports."""
        at = position or Position(name, 1, 1)
        if len(self._files) >= MAX_FILES:
            if not self._too_many:
                self.problem(at, f"more than {MAX_FILES} files are imported")
            self._too_many = True
            return
        try:
            if len(name) > 1000:
                raise ValueError("it is too long")
            path = Path(name).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            self.problem(at, f"{describe(name)} cannot be the name of a file: {error}")
            return
        if path in self._files:
            return
        self._files.append(path)
        self._names.append(name)
        tree = self._read(path, name, at)
        if tree is None:
            return
        if not isinstance(tree.value, dict):
            hint = "begin with graphs:"
            self.problem(tree.position, f"an app is a mapping, not {describe(tree.value)}", hint)
            return
        self.readable = True
        if path.parent not in self.folders:
            self.folders.append(path.parent)
        self._app(tree, name)

    def _read(self, path: Path, name: str, at: Position) -> Tree | None:
        if path.suffix.lower() not in (".yaml", ".yml", ".json"):
            self.problem(at, f"{name!r} is not an app: its name does not end in .yaml, .yml or .json")
            return None
        try:
            if path.exists() and not path.is_file():
                raise IsADirectoryError(0, "not a file")
            with path.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
                size = max(len(raw), os.fstat(stream.fileno()).st_size)
        except OSError as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
            near = did_you_mean(path.name, _apps_beside(path), 0.75)
            self.problem(at, f"{name}: {reason}", near)
            return None
        tree, problems = read(raw, name, self._variables, size)
        self.problems += problems
        return tree

    def _app(self, tree: Tree, name: str) -> None:
        known = ("version", "import", "graphs", "edges")
        self._keys(tree, known, "an app", {key for key, item in tree.value.items() if item.anchored})
        for graph in self._list(tree, "graphs", "a list of graphs, each with nodes"):
            self._trees.append(graph)
        self._loose += self._list(tree, "edges", "a list of edges")
        if "graphs" not in tree.value and "import" not in tree.value:
            self.problem(tree.position, "an app has graphs, or imports files that have", "add graphs:")
        for item in self._list(tree, "import", "a list of files"):
            if isinstance(item.value, str):
                self.file(os.path.normpath(Path(name).parent / item.value), item.position)
            elif not isinstance(item.value, Unset):
                self.problem(item.position, f"a file to import is a name, not {describe(item.value)}")

    def finish(self) -> None:
        """Make the graphs and edges of all files."""
        taken = {self._plain_id(tree) for tree in self._trees}
        if len(self._trees) > MAX_GRAPHS:
            self.problem(self._trees[MAX_GRAPHS].position, f"more than {MAX_GRAPHS} graphs in one app")
        for number, tree in enumerate(self._trees[:MAX_GRAPHS], 1):
            if not isinstance(tree.value, dict):
                self.problem(tree.position, f"a graph is a mapping with nodes, not {describe(tree.value)}")
                continue
            name = self._plain_id(tree)
            if name is None:
                name, extra = f"graph_{number}", number
                while name in taken:
                    extra += 1
                    name = f"graph_{extra}"
                taken.add(name)
            self._graph(tree, name)
        for edge in self._loose:
            self._edge(edge, None)

    @staticmethod
    def _plain_id(tree: Tree) -> str | None:
        item = tree.value.get("id") if isinstance(tree.value, dict) else None
        return item.value if item is not None and isinstance(item.value, str) else None

    def _graph(self, tree: Tree, name: str) -> None:
        self._keys(tree, ("id", "rate", "nodes", "edges"), "a graph")
        given = tree.value.get("id")
        if given is not None and given.value is not None:
            self._word(given, _ID, "a graph's id", "letters, digits, _ and -")
        if any(graph.id == name for graph in self.graphs):
            self.problem(given.position if given else tree.position, f"there is a graph {name!r} already")
        if not isinstance(tree.value.get("nodes"), Tree) or not tree.value["nodes"].value:
            self.problem(tree.position, f"graph {name!r} has no nodes", "add nodes:")
        nodes: list[NodeDef] = []
        taken: set[str] = set()
        graph = GraphDef(name, self._rate(tree), nodes, [], tree.position)
        self.graphs.append(graph)
        items = self._list(tree, "nodes", "a list of nodes, each with id, module and class")
        room = MAX_NODES - sum(len(other.nodes) for other in self.graphs)
        if len(items) > room:
            self.problem(items[room].position, f"more than {MAX_NODES} nodes in one app")
        for item in items[:room]:
            node = self._node(item)
            if node is None:
                continue
            if node.id in taken:
                self.problem(node.at("id"), f"there is a node {node.id!r} already in graph {name!r}")
            else:
                nodes.append(node)
                taken.add(node.id)
        for item in self._list(tree, "edges", "a list of edges, each with source and target"):
            self._edge(item, graph)

    def _rate(self, tree: Tree) -> float | None:
        item = tree.value.get("rate")
        if item is None or item.value is None or isinstance(item.value, Unset):
            return None
        rate = item.value
        if isinstance(rate, bool) or not isinstance(rate, (int, float)):
            self.problem(item.position, f"rate is a number of ticks a second, not {describe(rate)}", as_number(rate))
        elif not 0 <= rate <= 1e6:
            self.problem(item.position, f"rate is a number of ticks a second from 0 to a million, not {rate}")
        else:
            return float(rate)
        return None

    def _node(self, tree: Tree) -> NodeDef | None:
        if not isinstance(tree.value, dict):
            self.problem(tree.position, f"a node is a mapping with id, module and class, not {describe(tree.value)}")
            return None
        self._keys(tree, ("id", "module", "class", "params"), "a node", needed=("id", "module", "class"))
        values = tree.value
        name = self._word(values.get("id"), _ID, "a node's id", "letters, digits, _ and -")
        module = self._word(values.get("module"), _MODULE, "a module", "names joined by dots")
        class_name = self._word(values.get("class"), _CLASS, "a class", "one name")
        params = values.get("params")
        given: dict[Any, Any] = {}
        if params is not None and isinstance(params.value, dict):
            given = params.plain()
            for key in [key for key in given if not isinstance(key, str)]:
                self.problem(params.keys[key], f"a parameter's name is a word, not {describe(key)}")
                del given[key]
        elif params is not None and params.value is not None:
            self.problem(params.position, f"params is a mapping of names to values, not {describe(params.value)}")
        positions = dict(tree.positions())
        positions.update({(key,): item.position for key, item in values.items()})
        return None if name is None else NodeDef(name, module or "", class_name or "", given, tree.position, positions)

    def _edge(self, tree: Tree, graph: GraphDef | None) -> None:
        if not isinstance(tree.value, dict):
            self.problem(tree.position, f"an edge is a mapping with source and target, not {describe(tree.value)}")
            return
        self._keys(tree, ("source", "target", "policy", "capacity"), "an edge", needed=("source", "target"))
        source = self._end(tree.value.get("source"), graph, "o")
        target = self._end(tree.value.get("target"), graph, "i")
        policy, capacity = self._policy(tree, source, target)
        if source is None or target is None:
            return
        edge = EdgeDef(
            *source, *target, policy, capacity,
            tree.position, tree.value["source"].position, tree.value["target"].position,
        )  # fmt: skip
        home = next((g for g in self.graphs if g.id == edge.source_graph), graph)
        if edge.crosses or home is None:
            self.edges.append(edge)
        else:
            home.edges.append(edge)

    def _policy(self, tree: Tree, source: Any, target: Any) -> tuple[str, int]:
        policy, capacity = tree.value.get("policy"), tree.value.get("capacity")
        for key in ("policy", "capacity"):
            if source and target and source[0] == target[0] and key in tree.value:
                self.problem(tree.keys[key], f"only an edge across graphs has a {key}; inside one nothing waits")
        if policy is not None and not isinstance(policy.value, Unset) and policy.value not in POLICIES:
            hint = did_you_mean(policy.value, POLICIES)
            self.problem(policy.position, f"policy is one of {', '.join(POLICIES)}, not {describe(policy.value)}", hint)
            policy = None
        if capacity is not None and not isinstance(capacity.value, Unset):
            value = capacity.value
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
                self.problem(capacity.position, f"capacity is a number of frames from 1, not {describe(value)}")
                capacity = None
        return (
            policy.value if policy is not None and isinstance(policy.value, str) else POLICIES[0],
            capacity.value if capacity is not None and isinstance(capacity.value, int) else CAPACITY,
        )

    def _end(self, item: Tree | None, graph: GraphDef | None, kind: str) -> tuple[str, str, str] | None:
        """Graph, node and port of ``node``, ``node:port`` or ``graph.node:port``."""
        if item is None or isinstance(item.value, Unset):
            return None
        text = item.value
        match = _END.match(text) if isinstance(text, str) else None
        if match is None:
            self.problem(item.position, f"an edge's end is 'node' or 'node:port', not {describe(text)}")
            return None
        port = match["port"]
        if kind == "i" and port and port.endswith("*"):
            self.problem(item.position, f"only a source may end in '*', and {text!r} is a target", "leave out the '*'")
            return None
        if match["graph"] is None and graph is None:
            hint = None
            if len(self.problems) < MAX_PROBLEMS:
                homes = (g.id for g in self.graphs if any(node.id == match["node"] for node in g.nodes))
                hint = next((f"did you mean {f'{home}.{text}'!r}?" for home in homes), None)
            self.problem(item.position, f"an edge outside the graphs says 'graph.node:port', not {text!r}", hint)
            return None
        home = match["graph"] or (graph.id if graph else "")
        return home, match["node"], f"{kind}_{port}" if port else kind

    def _list(self, tree: Tree, key: str, what: str) -> list[Tree]:
        item = tree.value.get(key)
        if item is None or item.value is None:
            return []
        if isinstance(item.value, list):
            return list(item.value)
        self.problem(item.position, f"{key} is {what}, not {describe(item.value)}", "begin each with '- '")
        return []

    def _word(self, item: Tree | None, form: re.Pattern[str], what: str, of: str) -> str | None:
        if item is None or isinstance(item.value, Unset):
            return None
        if not isinstance(item.value, str):
            hint = "put it in quotes" if isinstance(item.value, (int, float)) else None
            self.problem(item.position, f"{what} is text, not {describe(item.value)}", hint)
            return None
        if len(item.value) > 200 or not form.match(item.value):
            self.problem(item.position, f"{what} is made of {of}, not {describe(item.value)}")
            return None
        return item.value

    def _keys(
        self,
        tree: Tree,
        known: Sequence[str],
        what: str,
        allowed: Collection[Any] = (),
        needed: Sequence[str] = (),
    ) -> None:
        """Note unknown and missing keys; those that begin with ``x-`` are the person's own."""
        missing = [key for key in needed if key not in tree.value]
        for key in tree.value:
            if key in known or key in allowed or str(key).startswith("x-"):
                continue
            hint = None
            if len(self.problems) < MAX_PROBLEMS:
                hint = did_you_mean(key, missing) or did_you_mean(key, known)
            self.problem(tree.keys[key], f"{what} has no key {str(key)[:60]!r}", hint or f"it has {', '.join(known)}")
            missing = [name for name in missing if hint != f"did you mean {name!r}?"]
        for key in missing:
            self.problem(tree.position, f"{what} needs the key {key!r}")


def _apps_beside(path: Path) -> list[str]:
    try:
        return [other.name for other in path.parent.iterdir() if other.suffix in (".yaml", ".yml", ".json")]
    except OSError:
        return []
