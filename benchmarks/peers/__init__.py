"""Other frameworks, in a venv of their own: they want other versions of numpy than we do."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
VENV = HERE / ".venv"


def python() -> Path | None:
    """The interpreter of the peers' venv, or None; ``VOLITION_PEERS`` names another venv."""
    venv = Path(os.environ.get("VOLITION_PEERS", VENV))
    path = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    return path if path.exists() else None
