"""How commands speak: results on stdout (one JSON object with ``--json``), everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from volition.core.errors import VolitionError

errors = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, soft_wrap=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]

Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter", "-a", metavar="FILE[:SCALE]", help="A LoRA in place of the model's own, or none; repeat."
    ),
]


def result(value: dict[str, Any], as_json: bool, text: str | None = None) -> None:
    """Print a result: the object itself, or ``text`` (``key: value`` lines when there is none)."""
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    elif text is not None:
        out.print(text, markup=False)
    else:
        width = max(map(len, value), default=0)
        for key, item in value.items():
            out.print(f"{key.replace('_', ' '):<{width}}  {item}", markup=False)


def say(text: str) -> None:
    """A line for the person, on stderr."""
    errors.print(text, markup=False)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command with one sentence."""
    errors.print(f"error: {message}", markup=False, style="bold red" if errors.is_terminal else None)
    raise typer.Exit(code)


@contextmanager
def sentences() -> Iterator[None]:
    """Turn the errors that a user can do something about into a sentence and an exit code."""
    try:
        yield
    except VolitionError as error:
        fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise typer.Exit(1) from None


@contextmanager
def bar(what: str) -> Iterator[Any]:
    """A progress bar on stderr; gives a function that takes the part done, 0..1. Silent when it is no terminal."""
    if not errors.is_terminal:
        yield lambda part: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda part: progress.update(task, completed=part)
