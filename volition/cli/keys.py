"""``volition keys``: who may listen when events leave this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer

from volition.cli import show

app = typer.Typer(help="Keys for events that go out.", no_args_is_help=True, rich_markup_mode=None)

Folder = Annotated[Path | None, typer.Option("--folder", help="Where the keys lie.")]


@app.callback()
def whole() -> None:
    """Keys for events that leave this machine: a pair named server, and one for each reader."""


def own_folder() -> Path:
    """Where keys lie when no folder is named."""
    return platformdirs.user_config_path("volition", appauthor=False) / "keys"


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="server, or the name of a reader.")],
    folder: Folder = None,
    json: show.Json = False,
) -> None:
    """Make a key pair; a reader's public key is let in at once.

    Example: volition keys new server
    """
    from volition.core.keys import SERVER, create

    where = folder or own_folder()
    with show.sentences():
        public = create(where, name)
        secret = public.with_suffix(".key_secret")
        if name == SERVER:
            hint = f"set `keys: {where}` on Publish; make a pair for each reader: volition keys new NAME"
        else:
            hint = f"the reader needs {secret.name}, {public.name} and {SERVER}.key from {where}"
        text = f"{public}\n{secret} (keep it secret)\n{hint}"
        show.result({"name": name, "public": str(public), "secret": str(secret), "next": hint}, json, text)


@app.command("list")
def list_keys(folder: Folder = None, json: show.Json = False) -> None:
    """The key pairs, and the readers that are let in.

    Example: volition keys list
    """
    from volition.core.keys import CLIENTS

    where = folder or own_folder()
    with show.sentences():
        secrets = {path.stem for path in where.glob("*.key_secret")}
        public = {path.stem for path in where.glob("*.key")}
        admitted = {path.stem for path in (where / CLIENTS).glob("*.key")}
        rows: list[dict[str, Any]] = [
            {"name": name, "secret": name in secrets, "let_in": name in admitted}
            for name in sorted(public | secrets | admitted)
        ]
        text = "\n".join(map(_row, rows)) or f"no keys in {where}; make one: volition keys new server"
        show.result({"folder": str(where), "keys": rows}, json, text)


def _row(row: dict[str, Any]) -> str:
    kind = "pair" if row["secret"] else "public key"
    return f"{row['name']:<20} {kind:<12} {'let in' if row['let_in'] else ''}".rstrip()
