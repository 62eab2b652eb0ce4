"""How the tests call commands: inside this process where that is enough, else as a person does."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from volition.cli import COMMANDS, _app


def call(*arguments: str) -> Result:
    """Run ``volition ARGUMENTS`` in this process."""
    app: typer.Typer = _app([arguments[0]] if arguments[0] in COMMANDS else list(COMMANDS))
    return CliRunner().invoke(app, list(arguments))


def answer(*arguments: str) -> dict[str, Any]:
    """The JSON object that ``volition ARGUMENTS --json`` prints."""
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def shell(line: str, folder: Path) -> str:
    """Standard output of a line of the documentation, run in ``folder``; fails when the command does."""
    words = shlex.split(line)
    start = {"volition": [sys.executable, "-m", "volition"], "python": [sys.executable]}[words[0]]
    done = subprocess.run([*start, *words[1:]], cwd=folder, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fences(page: Path, language: str) -> list[str]:
    """The code blocks of one language in a page of Markdown."""
    parts = page.read_text(encoding="utf-8").split("```")[1::2]
    return [part.partition("\n")[2] for part in parts if part.partition("\n")[0] == language]
