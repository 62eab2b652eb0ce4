"""A recording: frames under names go in, an XDF file and its manifest come out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from volition.core.errors import SessionError
from volition.core.frames import EpochFrame, EventFrame, Frame, SignalFrame
from volition.sessions.manifest import read_manifest, update_manifest, write_manifest
from volition.sessions.xdf import SEGMENTS, XdfWriter


def signal_type(frame: SignalFrame) -> str:
    """The XDF content type of a signal, by its units and channels; empty when they do not tell."""
    if frame.unit and all(unit == "uV" for unit in frame.unit):
        return "EEG"
    return "Gaze" if {"x", "y"} <= set(frame.channels) else ""


class SessionWriter:
    """Records frames; a stream opens with its first frame.

    A stream whose rate, channels, units or number format change goes on under ``NAME_2``.

    Parameters
    ----------
    path
        The XDF file; the manifest lies beside it.
    utc_offset_ns
        UTC minus LSL's clock, in ns; see ``XdfWriter``.
    manifest
        ``new_manifest(...)`` or a part of it. What a manifest beside the file already says goes before it,
        so that whoever starts the run can say more than the recorder knows.
    overwrite
        Replace a recording that exists, and its manifest.

    Raises
    ------
    SessionError
        When the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        utc_offset_ns: int | None = None,
        manifest: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ):
        self.path = Path(path)
        self._xdf = XdfWriter(path, utc_offset_ns, overwrite)
        self._open: dict[str, tuple[int, tuple[Any, ...]]] = {}
        self._names: set[str] = {SEGMENTS}
        self._closed = False
        try:
            before = {} if overwrite else read_manifest(path)
            before.pop("ended", None)  # whatever ended an earlier recording does not end this one
            write_manifest(path, {**(manifest or {}), **before, "utc_offset_ns": utc_offset_ns})
        except SessionError:
            self._xdf.abandon()
            raise

    def __enter__(self) -> SessionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("clean" if kind is None else f"error: {error}")

    @property
    def pending(self) -> bool:
        """Whether data wait in memory."""
        return self._xdf.pending

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams in the file."""
        return tuple(sorted(self._names - {SEGMENTS}))

    def write(self, name: str, frame: Frame, type: str = "") -> None:
        """Append a frame to the stream ``name``; ``type`` is its XDF content type, guessed when empty."""
        if isinstance(frame, SignalFrame):
            identity = (frame.channels, frame.rate, frame.unit, frame.values.dtype.name)
            stream = self._stream(name, identity, frame, type or signal_type(frame))
            self._xdf.write_signal(stream, frame.times, frame.values, frame.segment)
        elif isinstance(frame, EventFrame):
            stream = self._stream(name, ("events",), frame, type or "Markers")
            self._xdf.write_events(stream, frame)
        else:
            raise SessionError(f"{self.path}: {name!r}: {_kind(frame)} cannot be recorded, only signals and events")

    def flush(self) -> None:
        """Bring everything that waits to the file."""
        self._xdf.flush()

    def close(self, ended: str = "clean", **fields: Any) -> None:
        """End the recording; the manifest says how it ``ended``, and ``fields``. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._xdf.close()
        update_manifest(self.path, **{**fields, "utc_offset_ns": self._xdf.utc_offset_ns, "ended": ended})

    def _stream(self, name: str, identity: tuple[Any, ...], frame: Frame, type: str) -> int:
        number, before = self._open.get(name, (0, ()))
        if before == identity:
            return number
        free = unused_name(name, self._names)
        if isinstance(frame, SignalFrame):
            dtype = frame.values.dtype.name
            number = self._xdf.add_stream(free, type, frame.channels, frame.rate, frame.unit, dtype)
        else:
            number = self._xdf.add_events(free, type)
        self._names.add(free)
        self._open[name] = (number, identity)
        return number


def _kind(frame: Any) -> str:
    return "an EpochFrame" if isinstance(frame, EpochFrame) else f"a {type(frame).__name__}"


def unused_name(name: str, taken: set[str]) -> str:
    """``name``, or the first of ``name_2``, ``name_3``... that is not taken."""
    if name not in taken:
        return name
    n = 2
    while f"{name}_{n}" in taken:
        n += 1
    return f"{name}_{n}"


def unused_path(path: str | Path) -> Path:
    """``path``, or the first of ``NAME-2``, ``NAME-3``... that does not exist."""
    path = Path(path)
    n = 1
    candidate = path
    while candidate.exists():
        n += 1
        candidate = path.with_name(f"{path.stem}-{n}{path.suffix}")
    return candidate
