"""Finding the class that a node names, and saying what is wrong when it is not there."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import get_origin

from timeflux.core.node import Node as TimefluxNode

from volition.core.errors import LoadError
from volition.engine.modules import import_module
from volition.engine.positions import did_you_mean

_PACKAGES = {
    "cv2": "opencv-python-headless",
    "pythonosc": "python-osc",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "usb": "pyusb",
}
"""Packages whose modules have another name."""
_HOMES = ("volition.nodes", "timeflux.nodes")
MAX_SUGGESTIONS = 30
MAX_WALK = 2000


class ClassError(LoadError):
    """A module or class that a node names cannot be had; ``part`` is the key of the node that is wrong."""

    def __init__(self, part: str, message: str, hint: str | None = None):
        super().__init__(message)
        self.part = part
        self.hint = hint


class ClassFinder:
    """Imports node classes, each module once, for apps whose files lie in ``folders``.

    What can go wrong in a stranger's module becomes a ``ClassError``; what it prints goes to stderr.
    """

    def __init__(self, folders: Sequence[Path]):
        self._folders = folders
        self._modules: dict[str, ModuleType | ClassError] = {}
        self._pool: dict[str, Path] | None = None
        self._suggested = 0
        self._absent: set[str] = set()

    def find(self, module: str, class_name: str) -> type[TimefluxNode]:
        """The class of a node.

        Raises
        ------
        ClassError
            When there is no such module or class, or it is not a node.
        """
        if module not in self._modules:
            try:
                self._modules[module] = self._import(module, class_name)
            except ClassError as error:
                self._modules[module] = error
        found = self._modules[module]
        if isinstance(found, ClassError):
            raise found
        cls = getattr(found, class_name, None)
        nodes = [name for name, value in vars(found).items() if _is_node(value)]
        if cls is None:
            own = [name for name in nodes if vars(found)[name].__module__ == module]
            hint = did_you_mean(class_name, own or nodes) or (f"it has {', '.join(own[:12])}" if own else None)
            raise ClassError("class", f"the module {module} has no class {class_name!r}", hint)
        if not _is_node(cls):
            hint = did_you_mean(class_name, nodes)
            raise ClassError("class", f"{class_name} in {module} is not a node: it does not derive from Node", hint)
        if inspect.isabstract(cls):
            raise ClassError("class", f"{class_name} in {module} is not a whole node: it has no update()")
        result: type[TimefluxNode] = cls
        return result

    def _import(self, name: str, class_name: str) -> ModuleType:
        top = name.partition(".")[0]
        if top in self._absent:
            raise self._missing(name, class_name)
        try:
            with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(error.name + ".")):
                raise self._missing(name, class_name) from None
            message = f"the module {name} needs {error.name!r}, which is not installed"
            raise ClassError("module", message, _install(error.name or "")) from None
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise ClassError("module", f"the module {name} cannot be imported: {reason}") from None

    def _missing(self, name: str, class_name: str) -> ClassError:
        top = name.partition(".")[0]
        hint = self._near(name, class_name)
        if top not in self._absent and _exists(top):
            return ClassError("module", f"there is no module {name!r}", hint)
        self._absent.add(top)
        message = f"the module {name!r} is not installed and does not lie beside the app"
        return ClassError("module", message, hint or _install(top))

    def _near(self, name: str, class_name: str) -> str | None:
        self._suggested += 1
        if self._suggested > MAX_SUGGESTIONS or len(name) > 200:
            return None
        if self._pool is None:
            self._pool = dict(self._known())
        top, last = name.partition(".")[0], name.rpartition(".")[2]
        kin = {m.partition(".")[0] for m in self._pool}
        kin = {t for t in kin if difflib.SequenceMatcher(None, top, t).ratio() >= 0.8}
        akin = [m for m in self._pool if m.partition(".")[0] in kin]
        with_class = [m for m, file in self._pool.items() if class_name and _defines(file, class_name)]
        if top.startswith("timeflux_"):  # a plugin to install rather than a class of the same name elsewhere
            with_class = [m for m in with_class if m in akin]
        same_end = [m for m in akin if m.rpartition(".")[2] == last]
        for candidates in (with_class, same_end):
            if candidates:
                best = max(candidates, key=lambda m: difflib.SequenceMatcher(None, name, m).ratio())
                return f"did you mean {best!r}?"
        return did_you_mean(name, akin, 0.75)

    def _known(self) -> Iterator[tuple[str, Path]]:
        for home in _HOMES:
            yield from _below(home)
        with contextlib.suppress(OSError):
            for module in pkgutil.iter_modules():
                if module.name.startswith("timeflux_"):
                    yield from _below(module.name)
        for folder in self._folders:
            yield from _walk(folder, "")


def _is_node(value: object) -> bool:
    # On Python 3.10 an alias such as list[int] passes for a class.
    return inspect.isclass(value) and get_origin(value) is None and issubclass(value, TimefluxNode)


def _exists(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _install(top: str) -> str | None:
    top = top.partition(".")[0]
    if top.startswith("timeflux_"):
        return f"pip install {top}"
    return f"pip install {_PACKAGES[top]}" if top in _PACKAGES else "install the package that has it"


def _below(package: str) -> Iterator[tuple[str, Path]]:
    """The modules of a package and their files, found without importing them."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield from _walk(Path(place), package)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    seen = 0
    for place, folders, files in os.walk(folder):
        below = Path(place).relative_to(folder).parts
        folders[:] = [name for name in folders if name.isidentifier() and name != "__pycache__"]
        if len(below) >= 3:
            folders.clear()
        for file in files:
            stem, _, ending = file.rpartition(".")
            if ending == "py" and stem.isidentifier():
                parts = (prefix, *below, "" if stem == "__init__" else stem)
                yield ".".join(part for part in parts if part), Path(place, file)
        seen += len(files) + len(folders)
        if seen > MAX_WALK:
            return


def _defines(file: Path, class_name: str) -> bool:
    """Whether a source defines a class, told without running it."""
    try:
        return f"class {class_name}(" in file.read_text(encoding="utf-8", errors="ignore")
    except OSError:
        return False
