"""The command line: one module a command, thin.

Commands are imported when they are called, so that ``volition --help`` is quick.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("volition.cli.demo", "demo"),
    "run": ("volition.cli.run", "run"),
    "check": ("volition.cli.check", "check"),
    "replay": ("volition.cli.replay", "replay"),
    "record": ("volition.cli.run", "record"),
    "import": ("volition.cli.importing", "import_session"),
    "calibrate": ("volition.cli.calibrate", "app"),
    "evaluate": ("volition.cli.evaluate", "app"),
    "write": ("volition.cli.write", "write"),
    "propose": ("volition.cli.propose", "propose"),
    "model": ("volition.cli.model", "app"),
    "memory": ("volition.cli.memory", "app"),
    "profile": ("volition.cli.profile", "app"),
    "nodes": ("volition.cli.nodes", "nodes"),
    "devices": ("volition.cli.devices", "devices"),
    "doctor": ("volition.cli.doctor", "doctor"),
    "keys": ("volition.cli.keys", "app"),
}


def _app(names: list[str]) -> typer.Typer:
    app = typer.Typer(
        name="volition",
        help="From sensor to sentence: real-time biosignal graphs in YAML.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def whole() -> None:
        pass

    for name in names:
        module, attribute = COMMANDS[name]
        target: Any = getattr(importlib.import_module(module), attribute)
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=name)
        else:
            command: Callable[..., Any] = target
            app.command(name)(command)
    return app


def main() -> None:
    """Entry point of ``volition``."""
    if sys.argv[1:2] == ["--version"]:
        from volition import __version__

        sys.stdout.write(f"volition {__version__}\n")
        return
    asked = [name for name in sys.argv[1:2] if name in COMMANDS]
    try:
        _app(asked or list(COMMANDS))()
    except Exception as error:
        if os.environ.get("VOLITION_DEBUG"):
            raise
        message = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"error: this should not happen: {message}\nVOLITION_DEBUG=1 shows where it happened.\n")
        sys.exit(1)
