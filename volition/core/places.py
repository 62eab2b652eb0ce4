"""Where the things that ship with the program lie: graphs, recordings, models."""

from __future__ import annotations

from pathlib import Path

from volition.core.errors import LoadError

PACKAGE = Path(__file__).resolve().parent.parent


def shipped(kind: str) -> Path:
    """The folder of ``graphs``, ``recordings`` or ``models``, installed or in a checkout."""
    for folder in (PACKAGE / kind, PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise LoadError(f"the folder {kind!r} of this installation is missing: install volition again")


def find(kind: str, name: str | Path) -> Path:
    """A path as given if it exists, else the shipped file of that name.

    ``find("graphs", "p300.yaml")`` and ``find("graphs", "graphs/p300.yaml")`` give the shipped graph when no
    such file lies in the working folder.
    """
    path = Path(name)
    if path.exists():
        return path
    candidate = shipped(kind) / path.name
    if candidate.exists() and path.parent.name in ("", kind):
        return candidate
    raise LoadError(f"{name}: no such file")
