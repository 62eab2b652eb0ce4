"""YAML or JSON text to a tree that knows where each of its parts stands in the file.

YAML is read event by event, so that depth, size and aliases are bounded and no file, however made, can
exhaust the machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from volition.engine.positions import UNSET, Position, Problem, Text, did_you_mean

MAX_BYTES = 500_000
MAX_TREE = 50_000
"""Most values in one file, with every alias written out."""
MAX_DEPTH = 60

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp")}


class Unset:
    """Stands in a tree for a value whose variable is not set, so that the rest can still be checked."""

    def __repr__(self) -> str:
        return "<a variable that is not set>"


@dataclass
class Tree:
    """A value with its position: a scalar, a list of trees, or a dict of trees."""

    value: Any
    position: Position
    keys: dict[Any, Position] = field(default_factory=dict)
    anchored: bool = False
    size: int = 1

    def plain(self) -> Any:
        """The value without positions; new lists and dicts each time."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value

    def positions(self, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Position]]:
        """Each key's and each list item's path with its position."""
        if isinstance(self.value, list):
            for index, item in enumerate(self.value):
                yield (*path, index), item.position
                yield from item.positions((*path, index))
        elif isinstance(self.value, dict):
            for key, item in self.value.items():
                yield (*path, key), self.keys[key]
                yield from item.positions((*path, key))


class _UnreadableError(Exception):
    """Reading cannot go on; the problem is in the list already."""


def read(
    raw: bytes, file: str, environment: Mapping[str, str], size: int | None = None
) -> tuple[Tree | None, list[Problem]]:
    """The tree of a YAML or JSON file (by its ending), and what is wrong with its text.

    Parameters
    ----------
    raw
        The bytes of the file.
    file
        Its name, as problems shall show it.
    environment
        The variables of its templates.
    size
        The size of the whole file, when ``raw`` is its beginning.
    """
    start = Position(file, 1, 1)
    if len(raw) > MAX_BYTES:
        found = f"{(size or len(raw)) / 1e6:.1f} MB"
        return None, [Problem.at(start, f"the file is too big for an app: {found}, at most {MAX_BYTES / 1e6:g} MB")]
    try:
        text = Text(file, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        head = raw[: error.start].decode("utf-8", "replace")
        position = Position(file, head.count("\n") + 1, len(head) - head.rfind("\n"))
        return None, [Problem.at(position, f"byte {raw[error.start]:#04x} is not UTF-8 text", "save the file as UTF-8")]
    problems = text.render(environment)
    if len(text.rendered) > 2 * MAX_BYTES:
        return None, [*problems, Problem.at(start, "the file is too big once its variables are filled in")]
    json_file = file.lower().endswith(".json")
    if json_file:
        try:
            json.loads(text.rendered)
        except (ValueError, RecursionError) as error:
            index = getattr(error, "pos", 0)
            return None, [
                *problems,
                Problem.at(text.at(index), f"this is not JSON: {getattr(error, 'msg', error)}"),
            ]
    reader = _Reader(text, json_file, problems)
    try:
        return reader.tree(), problems
    except _UnreadableError:
        return None, problems


class _Reader:
    """YAML events to a tree, with everything bounded."""

    def __init__(self, text: Text, json_file: bool, problems: list[Problem]):
        self._text = text
        self._json = json_file
        self._problems = problems
        self._anchors: dict[str, Tree | None] = {}
        self._size = 0
        self._resolver = yaml.resolver.Resolver()
        self._constructor = yaml.constructor.SafeConstructor()
        # In JSON a tab is a blank like any other; in strings it cannot occur.
        self._events = yaml.parse(
            text.rendered.replace("\t", " ") if json_file else text.rendered,
            getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )

    def tree(self) -> Tree | None:
        """The one document of the file."""
        self._next()  # the stream starts
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            self._problem(0, "the file is empty")
            return None
        tree = self._node(self._next(), 0)
        self._next()  # the document ends
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._problem(event.start_mark.index, "an app is one YAML document; a second one begins here")
        return tree

    def _problem(self, index: int, message: str, hint: str | None = None) -> None:
        self._problems.append(Problem.at(self._text.at(index), message, hint))

    def _stop(self, index: int, message: str, hint: str | None = None) -> _UnreadableError:
        self._problem(index, message, hint)
        return _UnreadableError()

    def _next(self) -> Any:
        try:
            return next(self._events)
        except yaml.YAMLError as error:
            raise self._syntax(error) from None
        except StopIteration:
            raise self._stop(len(self._text.rendered), "the file ends too early") from None

    def _syntax(self, error: yaml.YAMLError) -> _UnreadableError:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        index = mark.index if mark is not None else getattr(error, "position", 0) or 0
        index = min(index, len(self._text.rendered))
        tab = re.search(r"^ *\t", self._text.rendered[: self._line_end(index)], re.MULTILINE)
        if tab:
            return self._stop(tab.end() - 1, "a tab: YAML is indented with spaces only", "replace tabs by spaces")
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        context = getattr(error, "context", None)
        if "maximum nesting" in reason:  # libyaml has a limit of its own, from 0.2.6 on
            return self._stop(index, f"nested more than {MAX_DEPTH} levels deep")
        return self._stop(index, f"this is not YAML: {context + ', ' if context else ''}{reason}")

    def _line_end(self, index: int) -> int:
        end = self._text.rendered.find("\n", index)
        return len(self._text.rendered) if end < 0 else end

    def _node(self, event: Any, depth: int) -> Tree:
        index = event.start_mark.index
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), index)
        if depth > MAX_DEPTH:
            raise self._stop(index, f"nested more than {MAX_DEPTH} levels deep")
        self._grow(1, index)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            tree = Tree(self._scalar(event), self._text.at(index))
        elif isinstance(event, yaml.SequenceStartEvent):
            tree = self._list(event, depth)
        else:
            tree = self._mapping(event, depth)
        if event.anchor:
            tree.anchored = True
            self._anchors[event.anchor] = tree
        return tree

    def _grow(self, size: int, index: int) -> None:
        self._size += size
        if self._size > MAX_TREE:
            raise self._stop(index, f"more than {MAX_TREE} values once all aliases (*name) are written out")

    def _alias(self, name: str, index: int) -> Tree:
        if name not in self._anchors:
            raise self._stop(index, f"the alias *{name} has no anchor", did_you_mean(name, self._anchors))
        tree = self._anchors[name]
        if tree is None:
            raise self._stop(index, f"the alias *{name} stands inside its own anchor")
        self._grow(tree.size, index)
        return tree

    def _list(self, start: Any, depth: int) -> Tree:
        self._check_tag(start, "seq")
        items: list[Tree] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Tree(items, self._text.at(start.start_mark.index), size=1 + sum(item.size for item in items))

    def _mapping(self, start: Any, depth: int) -> Tree:
        self._check_tag(start, "map")
        tree = Tree({}, self._text.at(start.start_mark.index))
        merged: list[Tree] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            index = event.start_mark.index
            merge = isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key = self._node(event, depth + 1)
            value = self._node(self._next(), depth + 1)
            tree.size += value.size
            if isinstance(key.value, (list, dict)):
                self._problem(index, "a key is a word, not a list or a mapping")
            elif merge and not self._json:
                merged += self._merge(value, index)
            elif key.value in tree.value:
                before = tree.keys[key.value].line
                self._problem(index, f"the key {key.value!r} is here twice; first in line {before}")
            else:
                tree.value[key.value] = value
                tree.keys[key.value] = self._text.at(index)
        for other in merged:
            for name in other.value:
                if name not in tree.value:
                    tree.value[name] = other.value[name]
                    tree.keys[name] = other.keys[name]
        return tree

    def _merge(self, value: Tree, index: int) -> list[Tree]:
        sources = value.value if isinstance(value.value, list) else [value]
        if all(isinstance(source.value, dict) for source in sources):
            return list(sources)
        self._problem(index, "'<<' takes a mapping or a list of mappings, as in <<: *name")
        return []

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{kind}"):
            self._problem(event.start_mark.index, f"the tag {event.tag!r} is not allowed in an app")

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if self._json:
            value = json.loads(text) if event.style in (None, "") else text
        elif event.tag not in (None, "!", *_TAGS):
            self._check_tag(event, "str")
            return text
        else:
            tag = event.tag
            if tag in (None, "!"):
                tag = self._resolver.resolve(yaml.ScalarNode, text, event.implicit)  # type: ignore[no-untyped-call]
            value = self._construct(tag, text, event.start_mark.index)
        return Unset() if isinstance(value, str) and UNSET in value and UNSET not in self._text.source else value

    def _construct(self, tag: str, text: str, index: int) -> Any:
        if tag not in _TAGS:
            return text
        try:
            construct = yaml.constructor.SafeConstructor.yaml_constructors[tag]
            return construct(self._constructor, yaml.ScalarNode(tag, text))
        except (ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
            self._problem(index, f"{text[:60]!r} cannot be read: {error}", "put it in quotes if it is text")
            return text
