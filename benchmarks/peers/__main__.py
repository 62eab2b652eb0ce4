"""``python -m benchmarks.peers``: install what benchmarks compare with in ``.venv`` here."""

from __future__ import annotations

import subprocess
import sys
import venv

from benchmarks.peers import HERE, VENV, python


def main() -> int:
    """Make the venv when it is missing, and install."""
    if not (VENV / "pyvenv.cfg").exists():
        print(f"making {VENV}", file=sys.stderr)
        venv.create(VENV, with_pip=True)
    interpreter = python()
    if interpreter is None:
        print(f"{VENV} has no interpreter: delete it and try again", file=sys.stderr)
        return 1
    command = [str(interpreter), "-m", "pip", "install", "-r", str(HERE / "requirements.txt")]
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
