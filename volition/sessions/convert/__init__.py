"""Import of recordings that other programs made: one file a format, found by what the file holds."""

from __future__ import annotations

from pathlib import Path

from volition.core.errors import SessionError
from volition.sessions.convert import bcipyspeller, bnci2015003
from volition.sessions.convert.format import Format

__all__ = ["FORMATS", "Format", "import_file"]

FORMATS: tuple[Format, ...] = (bnci2015003.FORMAT, bcipyspeller.FORMAT)
"""What can be imported; the first that recognises a file takes it."""


def import_file(path: str | Path, out: str | Path) -> list[Path]:
    """Convert a recording to sessions.

    Parameters
    ----------
    path
        The file; what belongs to it is looked for beside it.
    out
        The session to write, ``NAME.xdf``. A file that holds several recordings becomes ``NAME-PART.xdf``
        each. What exists there is replaced.

    Returns
    -------
    list of Path
        The sessions written.

    Raises
    ------
    SessionError
        When the file is missing, of no known format, or damaged.
    """
    path, out = Path(path), Path(out)
    if not path.is_file():
        raise SessionError(f"{path}: there is no such file")
    if out.suffix != ".xdf":
        raise SessionError(f"{out}: a session is a file NAME.xdf")
    if out.resolve() == path.resolve():
        raise SessionError(f"{out}: the import would replace the file that it reads; choose another name")
    for form in FORMATS:
        if form.recognises(path):
            return form.convert(path, out)
    raise SessionError(
        f"{path}: of no format that can be imported; these can: "
        + "; ".join(f"{form.name} ({form.description})" for form in FORMATS)
    )
