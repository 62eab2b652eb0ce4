"""Where the real recordings lie that some tests read; they are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


def data_path(name: str) -> Path:
    """The file or folder ``name`` of the real data; the test is skipped when it is not there.

    They are looked for in the folder that the environment variable VOLITION_DATA names; without it, in
    ``shared/data`` beside the repository or one folder further up.
    """
    named = os.environ.get("VOLITION_DATA")
    roots = [Path(named)] if named else [p / "shared" / "data" for p in list(_REPOSITORY.parents)[:2]]
    for root in roots:
        if (root / name).exists():
            return root / name
    pytest.skip(f"real data {name!r} not found; set VOLITION_DATA to the folder that holds it")
