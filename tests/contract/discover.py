"""Finds every node class below ``volition.nodes``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path

import volition.nodes
from tests.contract.cases import CASES, Case
from volition.core import Node

PREFIX = "volition.nodes."
FOLDER = Path(next(iter(volition.nodes.__path__))).resolve()


@cache
def modules() -> list[str]:
    """Names of all modules below ``volition.nodes``."""
    return sorted(m.name for m in pkgutil.walk_packages(volition.nodes.__path__, PREFIX))


@cache
def node_classes() -> dict[str, type]:
    """Every public node class by module path and name, as in ``eeg.filters.Bandpass``."""
    found = {}
    for name in modules():
        try:
            module = importlib.import_module(name)
        except Exception:  # test_imports says what is wrong with it
            continue
        for cls in vars(module).values():
            own = inspect.isclass(cls) and cls.__module__ == name and not cls.__name__.startswith("_")
            if own and issubclass(cls, Node):
                found[f"{name.removeprefix(PREFIX)}.{cls.__name__}"] = cls
    return found


def case_of(key: str) -> Case:
    """The case of a node class, or the default one."""
    return CASES.get(key, Case())


def sources() -> list[Path]:
    """All source files of the nodes."""
    return sorted(FOLDER.rglob("*.py"))
