"""``volition import``: a recording of another program becomes a session."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from volition.cli import show


def import_session(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the other program recorded.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The XDF file to write.")],
    json: show.Json = False,
) -> None:
    """Convert a recording to a session; several recordings in one file become NAME-PART.xdf each.

    Example: volition import s6.mat -o s6.xdf
    """
    from volition.sessions.convert import import_file
    from volition.sessions.manifest import read_manifest

    with show.sentences():
        with show.bar("import"):
            written = import_file(file, out)
        manifests = [read_manifest(path) or {} for path in written]
        notes = list(dict.fromkeys(n for found in manifests for n in found.get("import", {}).get("notes", [])))
        sessions = [{"path": str(path), "bytes": path.stat().st_size} for path in written]
        for note in notes:
            show.say(f"note: {note}")
        lines = [f"{path} ({path.stat().st_size / 1e6:.2f} MB)" for path in written]
        show.result({"sessions": sessions, "notes": notes}, json, "\n".join(lines))
