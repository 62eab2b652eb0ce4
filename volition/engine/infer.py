"""What each port of an app will carry, derived without running it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from volition.core.errors import VolitionError
from volition.core.node import Node
from volition.core.params import build
from volition.core.ports import EpochsSpec, EventsSpec, PortSpec, SignalSpec, Spec
from volition.core.units import unit_name
from volition.engine.app import EdgeDef, NodeDef
from volition.engine.positions import Position, Problem, did_you_mean

Key = tuple[str, str]
"""A graph's id and a node's."""

_UNKNOWN: dict[str, Spec] = {"signal": SignalSpec(), "events": EventsSpec(), "epochs": EpochsSpec()}


@dataclass
class Known:
    """What the check knows of a node: its definition and, when it was found, its class."""

    definition: NodeDef
    cls: type | None = None
    sound: bool = False
    """Whether its parameters are right, so that it can be built."""

    @property
    def ports(self) -> Mapping[str, PortSpec] | None:
        """The declared ports of a node of ours; None for one that declares nothing."""
        return self.cls.port_specs if self.cls is not None and issubclass(self.cls, Node) else None

    def declared(self, name: str) -> PortSpec | None:
        """The declaration that a port's name falls under; an exact one before a globbed one."""
        ports = self.ports or {}
        fitting = [spec for spec in ports.values() if spec.matches(name)]
        return min(fitting, key=lambda spec: spec.many, default=None)


def infer(nodes: Mapping[Key, Known], edges: Sequence[EdgeDef]) -> list[Problem]:
    """Every problem that shows when specs are carried along the edges, in the order of the data's way."""
    return _Inference(nodes, edges).run()


class _Inference:
    def __init__(self, nodes: Mapping[Key, Known], edges: Sequence[EdgeDef]):
        self._nodes = nodes
        self._into: dict[Key, list[EdgeDef]] = {key: [] for key in nodes}
        for edge in edges:
            if edge.target_key in nodes and edge.source_key in nodes:
                self._into[edge.target_key].append(edge)
        self._outputs: dict[Key, Mapping[str, Spec]] = {}
        self._problems: list[Problem] = []

    def run(self) -> list[Problem]:
        """Visit all nodes."""
        for key in self._order():
            node = self._nodes[key]
            if node.ports is not None:
                self._outputs[key] = self._node(key, node)
        return self._problems

    def _order(self) -> Iterable[Key]:
        """Topological; where graphs feed each other in a circle, what comes across is taken as unknown."""
        waiting = {key: {edge.source_key for edge in edges} - {key} for key, edges in self._into.items()}
        followers: dict[Key, list[Key]] = {}
        for key, sources in waiting.items():
            for source in sources:
                followers.setdefault(source, []).append(key)
        ready = [key for key, sources in reversed(waiting.items()) if not sources]
        while waiting:
            if not ready:
                free = (k for k, sources in waiting.items() if all(source[0] != k[0] for source in sources))
                ready = [next(free, next(iter(waiting)))]
            key = ready.pop()
            if waiting.pop(key, None) is None:
                continue
            yield key
            for follower in followers.get(key, ()):
                if follower in waiting:
                    waiting[follower].discard(key)
                    if not waiting[follower]:
                        ready.append(follower)

    def _node(self, key: Key, node: Known) -> Mapping[str, Spec]:
        assert node.ports is not None
        fallback: dict[str, Spec] = {
            name: spec
            for name, port in node.ports.items()
            if port.direction == "o" and (spec := getattr(port, "spec", None)) is not None
        }
        inputs, fit = self._inputs(key, node)
        if not (node.sound and fit):
            return fallback
        definition = node.definition
        try:
            instance: Node = build(node.cls, definition.params, definition.id)  # type: ignore[arg-type]
            instance.id = definition.id
            return dict(instance.infer(inputs))
        except (VolitionError, ValueError, OSError) as error:
            text = " ".join(str(error).split())
            text = text.removeprefix(f"{definition.id}: ")
        except Exception as error:  # a stranger's code: it may raise anything
            text = f"cannot be checked, {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        position, hint = _blame(definition, text, inputs)
        self._problems.append(Problem.at(position, f"{definition.id}: {text}", hint))
        return fallback

    def _inputs(self, key: Key, node: Known) -> tuple[dict[str, Spec], bool]:
        """The specs at a node's inputs, and whether they fit what its ports declare."""
        assert node.ports is not None
        inputs: dict[str, Spec] = {
            name: _UNKNOWN[spec.kind]
            for name, spec in node.ports.items()
            if spec.direction == "i" and not spec.many and not spec.optional and spec.kind in _UNKNOWN
        }
        fit = True
        for edge in self._into[key]:
            declared = node.declared(edge.target_port)
            source = self._source(edge)
            if declared is None:
                continue
            if source is None:
                if declared.kind in _UNKNOWN:
                    inputs.setdefault(edge.target_port, _UNKNOWN[declared.kind])
                continue
            if declared.kind not in ("any", source.kind):
                fit = False  # the check of the edges says so
                continue
            inputs[edge.target_port] = source
            name = f"{edge.source_node}:{edge.source_port[2:]}".rstrip(":")
            wrong = _misfit(getattr(declared, "spec", None), source, name)
            if wrong:
                fit = False
                message = f"{edge.target_node}: port {edge.target_port!r} {wrong[0]}"
                self._problems.append(Problem.at(edge.target_position, message, wrong[1]))
        return inputs, fit

    def _source(self, edge: EdgeDef) -> Spec | None:
        return self._outputs.get(edge.source_key, {}).get(edge.source_port)


def _misfit(wanted: Any, source: Spec, name: str) -> tuple[str, str | None] | None:
    """How the spec of the source ``name`` contradicts the declared spec ``wanted``, and a hint."""
    if wanted is None:
        return None
    if isinstance(source, EventsSpec):
        if wanted.labels and source.labels and not set(wanted.labels) & set(source.labels):
            return f"takes {_listed(wanted.labels)}, but {name} gives {_listed(source.labels)}", None
        return None
    if wanted.unit and source.unit:
        units = (source.unit,) if isinstance(source.unit, str) else source.unit
        others = sorted({u for u in units if u and unit_name(u) != unit_name(wanted.unit)})
        if others:
            hint = f"convert it to {wanted.unit} before"
            return f"takes {wanted.unit}, but {name} gives {_listed(others)}", hint
    channels = source.channels
    missing = [c for c in getattr(wanted, "channels", None) or () if channels is not None and c not in channels]
    if missing and channels is not None:
        message = f"lacks {_channels(missing)}; {name} has {_listed(channels)}"
        return message, did_you_mean(missing[0], channels)
    if wanted.rate and source.rate is not None and source.rate != wanted.rate:
        return f"takes {wanted.rate:g} Hz, but {name} gives {source.rate:g} Hz", None
    return None


def _channels(names: Sequence[str]) -> str:
    return f"channel{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _blame(definition: NodeDef, text: str, inputs: Mapping[str, Spec]) -> tuple[Position, str | None]:
    """The position of the parameter that a sentence speaks of, else the node's, and a hint."""
    quoted = set(re.findall(r"'([^']*)'|\"([^\"]*)\"", text))
    words = {word for pair in quoted for word in pair if word}
    known = {c for spec in inputs.values() for c in (getattr(spec, "channels", None) or ())}
    for path, value in _leaves(definition.params):
        if isinstance(value, str) and value in words:
            hint = did_you_mean(value, known) if value not in known and "did you mean" not in text else None
            if value not in known:
                return definition.at("params", *path), hint
    named = [
        (match.start(), name) for name in definition.params if (match := re.search(rf"\b{re.escape(name)}\b", text))
    ]
    return (definition.at("params", min(named)[1]) if named else definition.position), None


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterable[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value
