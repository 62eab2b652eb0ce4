"""Parameters: the signature of a node's ``__init__`` is its schema.

``Annotated[float, Unit("Hz"), Gt(0)] = 1.0`` states type, unit, bounds and default; pydantic checks what a YAML file
gives against it, and the same model prints the help.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from volition.core.errors import LoadError

__all__ = [
    "Ge",
    "Gt",
    "Interval",
    "Le",
    "Lt",
    "Problem",
    "Unit",
    "build",
    "problems",
    "schema_of",
    "signature_of",
]


_BRANCH = re.compile(r"(list|dict|tuple|set)\[.*\]|str|int|float|bool|constrained-(str|int|float)|literal\[.*\]")


@dataclass(frozen=True)
class Unit:
    """The unit of a parameter: shown in help, checked by nobody."""

    name: str


@dataclass(frozen=True)
class Problem:
    """One wrong parameter: where it is inside ``params`` and what is wrong with it."""

    path: tuple[str | int, ...]
    message: str


@cache
def signature_of(cls: type) -> inspect.Signature:
    """The signature of ``cls.__init__`` without ``self``."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    return signature.replace(parameters=list(signature.parameters.values())[1:])


@cache
def schema_of(cls: type) -> type[BaseModel]:
    """The pydantic model of a node's parameters."""
    hints = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    fields: dict[str, Any] = {}
    for parameter in signature_of(cls).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    # Names such as "model" or "copy" are fine for parameters, so nothing is protected.
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(cls.__name__ + "Params", __config__=config, **fields)


def problems(cls: type, params: Mapping[str, Any]) -> list[Problem]:
    """Everything that is wrong with ``params`` for ``cls``; empty when nothing is."""
    try:
        schema_of(cls).model_validate_json(json.dumps(params, default=str))
    except ValidationError as error:
        return [Problem(tuple(e["loc"]), _sentence(e)) for e in error.errors(include_url=False)]
    return []


def _sentence(error: Any) -> str:
    # Where a parameter may be of several types, pydantic puts the type that it tried into the path.
    name = ".".join(str(part) for part in error["loc"] if not _BRANCH.fullmatch(str(part)))
    if error["type"] == "extra_forbidden":
        return f"there is no parameter {name!r}"
    if error["type"] == "missing":
        return f"the parameter {name!r} is missing"
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{name}: {message.replace('input should', 'should')}, got {json.dumps(error['input'], default=str)[:60]}"


def build(cls: type, params: Mapping[str, Any], name: str = "") -> Any:
    """An instance of ``cls`` with checked and converted parameters.

    Raises
    ------
    LoadError
        Names the node and every wrong parameter.
    """
    found = problems(cls, params)
    if found:
        raise LoadError(f"{name or cls.__name__}: " + "; ".join(p.message for p in found))
    model = schema_of(cls).model_validate_json(json.dumps(params, default=str))
    return cls(**{key: getattr(model, key) for key in params})
