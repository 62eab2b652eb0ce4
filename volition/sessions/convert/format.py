"""What a format to import is, and how its importer writes a session."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from volition.core.frames import EventFrame, SignalFrame
from volition.sessions.manifest import file_sha256, new_manifest
from volition.sessions.writer import SessionWriter

EPOCH_NS = 946_684_800_000_000_000
"""2000-01-01 UTC in ns: where recordings without a date are put."""


@dataclass(frozen=True)
class Format:
    """A format that can be imported."""

    name: str
    description: str
    recognises: Callable[[Path], bool]
    convert: Callable[[Path, Path], list[Path]]


def write_session(
    out: Path, source: Path, form: str, streams: Mapping[str, SignalFrame | EventFrame], notes: Sequence[str]
) -> Path:
    """Write ``streams`` as the session ``out``; its manifest names the ``source`` and holds the ``notes``.

    Times of the streams are relative to ``EPOCH_NS``, so that the time stamps in the file are those of the
    source.
    """
    about = {"format": form, "file": source.name, "sha256": file_sha256(source), "notes": list(notes)}
    manifest = {**new_manifest(time.time_ns()), "import": about}
    with SessionWriter(out, EPOCH_NS, manifest, overwrite=True) as session:
        for name, frame in streams.items():
            session.write(name, frame)
    return out
