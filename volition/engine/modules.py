"""Node classes from module names, those beside an app's YAML included."""

from __future__ import annotations

import importlib
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_OURS = ("volition", "timeflux")
_INSTALLED = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]


def import_module(name: str) -> ModuleType:
    """The module of a node.

    Timeflux's LSL nodes ask pylsl for two names that it no longer has (a function they never call, and pylsl
    itself); they are put back, so that an app with these nodes runs as it did.
    """
    if name == "timeflux.nodes.lsl":
        import pylsl

        for missing, stand_in in (("resolve_stream", pylsl.resolve_byprop), ("pylsl", pylsl)):
            if not hasattr(pylsl, missing):
                setattr(pylsl, missing, stand_in)
    return importlib.import_module(name)


class _Finder:
    """Finds top-level modules in an app's folders before anything else that has their name.

    The standard library and ourselves come first all the same: a ``signal.py`` beside an app shadows nothing.
    """

    def __init__(self, folders: Sequence[str]):
        self._folders = list(folders)
        self.found: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of a module that lies beside the app."""
        if path is not None or "." in name or name in sys.stdlib_module_names or name in _OURS:
            return None
        spec = PathFinder.find_spec(name, self._folders)
        if spec is None:
            return None
        if spec.loader is None:  # a folder without __init__.py is a package only if it looks like one
            places = list(spec.submodule_search_locations or ())
            if not any(any(Path(place).glob("*.py")) for place in places):
                return None
            if PathFinder.find_spec(name, _INSTALLED) is not None:
                return None
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = places
        self.found.add(name)
        return spec


@contextmanager
def beside(*folders: Path) -> Iterator[None]:
    """Make modules that lie in ``folders`` importable, and forget them afterwards.

    Two apps that each have their own package ``nodes`` never see the other's, and a stray ``nodes`` elsewhere
    does not shadow theirs.
    """
    places = [str(folder.resolve()) for folder in folders]
    importlib.invalidate_caches()
    finder = _Finder(places)
    # A package whose import failed may have left submodules behind.
    tops = {top for name in sys.modules if (top := name.partition(".")[0]) in sys.modules}
    clashing = {top for top in tops if not _installed(top) and finder.find_spec(top) is not None}
    hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in clashing}
    for name in hidden:
        del sys.modules[name]
    added = [place for place in places if place not in sys.path]
    sys.meta_path.insert(0, finder)
    sys.path.extend(added)  # so that processes spawned from here find the modules, too
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for place in added:
            if place in sys.path:
                sys.path.remove(place)
        for name in [name for name in sys.modules if name.partition(".")[0] in finder.found]:
            del sys.modules[name]
        sys.modules.update(hidden)


def _installed(top: str) -> bool:
    module = sys.modules[top]
    spec = getattr(module, "__spec__", None)
    places = [getattr(spec, "origin", None) or "", *(getattr(module, "__path__", None) or [])]
    return spec is None or any(place.startswith(tuple(_INSTALLED)) for place in map(str, places))
