"""What there is to compose: every node of ``volition.nodes`` as data, read from its class."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic import BaseModel

from volition.core.node import Node, Source
from volition.core.params import Unit, signature_of
from volition.core.ports import PortSpec

HOME = "volition.nodes"


@dataclass(frozen=True)
class PortEntry:
    """A declared port; ``unit``, ``channels`` and ``labels`` are empty where the class leaves them open."""

    name: str
    kind: str
    unit: str = ""
    channels: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    optional: bool = False

    def __str__(self) -> str:
        said = [self.kind, *self.labels, ", ".join(self.channels), self.unit]
        said += ["optional"] if self.optional else []
        return f"{self.name} ({' '.join(filter(None, said))})"


@dataclass(frozen=True)
class ParamEntry:
    """A parameter; ``default`` is its YAML text, or None when it must be given."""

    name: str
    type: str
    unit: str
    bounds: str
    default: str | None
    doc: str


@dataclass(frozen=True)
class NodeEntry:
    """A node class."""

    name: str
    module: str
    summary: str
    description: str
    source: bool
    inputs: list[PortEntry]
    outputs: list[PortEntry]
    params: list[ParamEntry]

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class BrokenModule:
    """A module that cannot be imported, and why."""

    module: str
    reason: str


def catalogue() -> tuple[list[NodeEntry], list[BrokenModule]]:
    """All nodes in the order of their modules, and the modules that cannot be imported."""
    entries: list[NodeEntry] = []
    broken: list[BrokenModule] = []
    for name in _modules():
        try:
            module = importlib.import_module(name)
        except Exception as error:  # whatever a module does wrong is a row of the table
            broken.append(BrokenModule(name, f"{type(error).__name__}: {' '.join(str(error).split())}"))
            continue
        classes = [value for value in vars(module).values() if inspect.isclass(value)]
        entries += [describe(cls) for cls in classes if cls.__module__ == name and _is_public_node(cls)]
    return entries, broken


def _is_public_node(cls: type) -> TypeGuard[type[Node]]:
    return issubclass(cls, Node) and not cls.__name__.startswith("_")


def _modules() -> Iterator[str]:
    package = importlib.import_module(HOME)
    return iter(sorted(m.name for m in pkgutil.walk_packages(package.__path__, HOME + ".", lambda _: None)))


def describe(cls: type[Node]) -> NodeEntry:
    """What a node's class says of itself."""
    text = inspect.cleandoc(cls.__doc__ or "")
    ports = {d: [_port(p) for p in cls.port_specs.values() if p.direction == d] for d in "io"}
    return NodeEntry(
        cls.__name__,
        cls.__module__,
        " ".join(text.partition("\n\n")[0].split()),
        text,
        issubclass(cls, Source),
        ports["i"],
        ports["o"],
        _params(cls),
    )


def _port(spec: PortSpec) -> PortEntry:
    stated: Any = getattr(spec, "spec", None)
    return PortEntry(
        spec.name,
        spec.kind,
        getattr(stated, "unit", None) or "",
        list(getattr(stated, "channels", None) or ()),
        list(getattr(stated, "labels", None) or ()),
        spec.optional,
    )


def _params(cls: Any) -> list[ParamEntry]:
    if cls.__init__ in (Node.__init__, object.__init__):
        return []
    hints = typing.get_type_hints(cls.__init__, include_extras=True)
    parameters = signature_of(cls).parameters
    docs = parameter_docs(cls.__init__.__doc__, list(parameters))
    entries = []
    for name, parameter in parameters.items():
        hint = hints.get(name, Any)
        marks = list(_marks(hint))
        unit = next((mark.name for mark in marks if isinstance(mark, Unit)), "")
        default = None if parameter.default is parameter.empty else _yaml(parameter.default)
        said = docs.get(name, "")
        entries.append(ParamEntry(name, type_name(hint), unit, bounds_text(marks), default, said))
    return entries


def _yaml(value: Any) -> str:
    if isinstance(value, str):
        return value if re.fullmatch(r"[A-Za-z][\w .:/-]*", value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    return json.dumps(value, ensure_ascii=False, default=str)


def parameter_docs(text: str | None, names: list[str]) -> dict[str, str]:
    """The explanations in a docstring, of lines ``name: text`` and those that carry them on.

    >>> parameter_docs("Describe.\\n\\nlow: lower edge,\\n  in short.\\nhigh: upper edge.", ["low", "high"])
    {'low': 'lower edge, in short.', 'high': 'upper edge.'}
    """
    found: dict[str, str] = {}
    current = ""
    for line in inspect.cleandoc(text or "").splitlines():
        head, colon, rest = line.partition(":")
        if colon and head.strip() in names:
            current = head.strip()
            found[current] = rest.strip()
        elif not line.strip():
            current = ""
        elif current:
            found[current] += " " + line.strip()
    return found


def _marks(hint: Any) -> Iterator[Any]:
    """The annotations of a type, and of the members of a union."""
    if get_origin(hint) is Annotated:
        base, *marks = get_args(hint)
        yield from marks
        yield from _marks(base)
    elif get_origin(hint) in (Union, types.UnionType, list, tuple):
        for member in get_args(hint):
            yield from _marks(member)


def bounds_text(marks: list[Any]) -> str:
    """Bounds as people write them.

    >>> bounds_text([Gt(0), Le(1)]), bounds_text([Interval(ge=1, le=10)]), bounds_text([])
    ('> 0, <= 1', '>= 1, <= 10', '')
    """
    said = []
    for mark in marks:
        for sign, name, kind in ((">", "gt", Gt), (">=", "ge", Ge), ("<", "lt", Lt), ("<=", "le", Le)):
            value = getattr(mark, name, None) if isinstance(mark, (kind, Interval)) else None
            if value is not None:
                said.append(f"{sign} {value:g}")
    return ", ".join(dict.fromkeys(said))


def type_name(hint: Any) -> str:
    """A type in words that YAML users know.

    >>> type_name(list[str] | dict[str, str] | None), type_name(Literal["a", "b"])
    ('list of text or map of text to text or null', 'a or b')
    """
    origin, members = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return type_name(members[0])
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(member) for member in members)
    if origin is Literal:
        return " or ".join(filter(None, [", ".join(map(str, members[:-1])), str(members[-1])]))
    if origin in (dict, Mapping):
        return f"map of {type_name(members[0])} to {type_name(members[1])}"
    if origin is tuple and members[-1] is not ...:
        return "[" + ", ".join(type_name(member) for member in members) + "]"
    if origin is not None:
        return f"list of {type_name(members[0])}"
    # On Python 3.10 an alias such as list[int] passes for a class.
    if inspect.isclass(hint) and get_origin(hint) is None and issubclass(hint, BaseModel):
        return f"map with {', '.join(hint.model_fields)}"
    simple = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
    return simple.get(hint, "anything" if hint is Any else getattr(hint, "__name__", str(hint)))
