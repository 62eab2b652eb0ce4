"""Results in one JSON file, each with what it depends on, so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from volition.core import LoadError

Row = dict[str, Any]


class Store:
    """Measurements that are made once.

    Parameters
    ----------
    path
        The JSON file; it need not exist.
    render
        Make no measurement: what is missing stays missing, and what is there counts whatever it came from.
    report
        Told what is being measured.

    Raises
    ------
    LoadError
        When the file is damaged.
    """

    def __init__(self, path: Path, render: bool = False, report: Callable[[str], None] | None = None):
        self._path, self._render, self._report = path, render, report or (lambda text: None)
        self._known: dict[str, Row] = {}
        if path.is_file():
            try:
                self._known = dict(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError) as error:
                raise LoadError(f"results {str(path)!r}: {error}; delete the file to measure again") from None

    def get(self, key: str, inputs: Row, measure: Callable[[], Row]) -> Row | None:
        """The result of a name: the one that is kept when it came from the same inputs, else a new one.

        Returns
        -------
        None when nothing is to be measured and nothing is kept.
        """
        found = self._known.get(key)
        if found is not None and (self._render or found["inputs"] == inputs):
            return dict(found["result"])
        if self._render:
            return None
        self._report(key)
        result = measure()
        self._known[key] = {"inputs": inputs, "result": result}
        part = self._path.with_name(f"{self._path.name}.part")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
        part.replace(self._path)
        return dict(result)


def digest(path: Path) -> str:
    """What tells one version of a file from another."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def digest_of(lines: Iterable[str]) -> str:
    """What tells some lines from others."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
