"""Reading recordings: our own to the nanosecond and the bit, those of others with clocks brought together.

A file that was cut off or damaged gives what can be read, and ``Session.notes`` says what could not.
"""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from volition.core.errors import SessionError
from volition.core.frames import EventFrame, SignalFrame
from volition.core.ports import EventsSpec, SignalSpec
from volition.sessions import foreign
from volition.sessions.header import StreamHeader
from volition.sessions.manifest import read_manifest
from volition.sessions.salvage import whole_chunks
from volition.sessions.writer import unused_name
from volition.sessions.xdf import MAGIC, SEGMENTS


@dataclass(frozen=True)
class RecordedStream:
    """One stream of a recording.

    Attributes
    ----------
    name
        Unique in the session.
    kind
        ``signal`` or ``events``.
    spec
        What is known of it before it runs.
    type
        The XDF content type: ``EEG``, ``Gaze``, ``Markers``...
    frames
        One SignalFrame a segment; or one EventFrame, which may be empty.
    """

    name: str
    kind: str
    spec: SignalSpec | EventsSpec
    type: str
    frames: list[SignalFrame] | list[EventFrame]

    def __len__(self) -> int:
        return sum(map(len, self.frames))

    @property
    def start_ns(self) -> int | None:
        """Time of the first sample or event; None when there is none."""
        return next((int(f.times[0]) for f in self.frames if len(f)), None)

    @property
    def end_ns(self) -> int | None:
        """Time of the last sample or event; None when there is none."""
        return max((int(f.times[-1]) for f in self.frames if len(f)), default=None)

    @property
    def events(self) -> EventFrame:
        """The events of an events stream; a SessionError for a signal."""
        frame = self.frames[0] if self.frames else None
        if not isinstance(frame, EventFrame):
            raise SessionError(f"the stream {self.name!r} holds samples, not events")
        return frame


@dataclass(frozen=True)
class Session:
    """A recording that has been read.

    Attributes
    ----------
    path
        The file.
    streams
        By name, in the order of the file.
    manifest
        What stands beside it; empty when there is none.
    notes
        Sentences on what was not as it should be: a torn tail, lost samples, times that had to be moved.
    """

    path: Path
    streams: dict[str, RecordedStream]
    manifest: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def start_ns(self) -> int:
        """Time of the first sample or event of all streams; 0 when there is none."""
        return min((s.start_ns for s in self.streams.values() if s.start_ns is not None), default=0)

    @property
    def end_ns(self) -> int:
        """Time of the last sample or event of all streams; 0 when there is none."""
        return max((s.end_ns for s in self.streams.values() if s.end_ns is not None), default=0)

    def stream(self, name: str) -> RecordedStream:
        """The stream of that name; a SessionError that lists what there is."""
        if name not in self.streams:
            raise SessionError(
                f"{self.path}: there is no stream {name!r}; the recording holds {', '.join(map(repr, self.streams))}"
            )
        return self.streams[name]

    @classmethod
    def open(cls, path: str | Path) -> Session:
        """Read a recording (.xdf, .xdfz, .xdf.gz).

        Raises
        ------
        SessionError
            When there is no such file, it is no XDF file, or nothing in it can be read.
        """
        path = Path(path)
        data, notes = whole_chunks(_bytes(path))
        raw, header = _load(data, False, path, notes)
        own = bool((header or {}).get("info", {}).get("volition"))
        if not own:
            try:
                synchronized, header = _load(data, True, path, notes)
                raw = foreign.mend_resets(raw, synchronized, notes)
            except SessionError as error:
                notes.append(f"clocks could not be brought together: {error}")
        if not raw:
            raise SessionError(f"{path}: the file holds no stream" + (f" ({notes[0]})" if notes else ""))
        try:
            streams = _own_streams(raw) if own else foreign.streams(raw, header or {}, notes)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SessionError(f"{path}: a stream header cannot be understood: {error!r}") from None
        named: dict[str, RecordedStream] = {}
        for head, frames in streams:
            name = unused_name(head.name, set(named))
            named[name] = _recorded(name, head, frames)
        try:
            manifest = read_manifest(path)
        except SessionError as error:
            manifest = {}
            notes.append(str(error))
        if own and manifest and "ended" not in manifest:
            notes.append("the recording was cut off: its manifest does not say how it ended")
        return cls(path, named, manifest, notes)


def _bytes(path: Path) -> bytes:
    try:
        zipped = path.suffix == ".xdfz" or path.suffixes[-2:] == [".xdf", ".gz"]
        data = gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()
    except FileNotFoundError:
        raise SessionError(f"{path}: there is no such file") from None
    except (OSError, EOFError) as error:
        raise SessionError(f"{path}: cannot be read: {error}") from None
    if not data:
        raise SessionError(f"{path}: the file is empty")
    if not data.startswith(MAGIC):
        raise SessionError(
            f"{path}: this is no XDF file; `volition import {path.name} -o NAME.xdf` turns others into one"
        )
    return data


class _Notes(logging.Handler):
    """Turns what pyxdf complains of into notes."""

    def __init__(self, notes: list[str]):
        super().__init__(logging.WARNING)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message, once."""
        text = f"pyxdf: {record.getMessage()}"
        if text not in self._notes and "effective sampling rate" not in text:  # we say that in our own words
            self._notes.append(text)


def _load(data: bytes, synchronize: bool, path: Path, notes: list[str]) -> tuple[list[Any], Mapping[str, Any] | None]:
    import pyxdf

    logger = logging.getLogger("pyxdf.pyxdf")
    handler, propagate = _Notes(notes), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        with np.errstate(all="ignore"):
            streams, header = pyxdf.load_xdf(
                io.BytesIO(data),
                synchronize_clocks=synchronize,
                dejitter_timestamps=synchronize,
                jitter_break_threshold_seconds=foreign.BREAK_SECONDS,
                jitter_break_threshold_samples=foreign.BREAK_SAMPLES,
            )
    except Exception as error:  # pyxdf lets through whatever a damaged file makes happen
        raise SessionError(f"{path}: the file is damaged beyond reading: {type(error).__name__}: {error}") from None
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    return streams, header


Frames = list[SignalFrame] | list[EventFrame]


def _own_streams(raw: list[Any]) -> list[tuple[StreamHeader, Frames]]:
    """Our own recording: times as they were, pieces where the recorder says they begin."""
    found: list[tuple[StreamHeader, Frames]] = []
    borders: dict[str, list[tuple[int, int]]] = {}
    heads = [StreamHeader.of(stream["info"]) for stream in raw]
    times = [
        np.rint(np.asarray(stream["time_stamps"], dtype=np.float64) * 1e9).astype(np.int64) + head.utc_offset_ns
        for stream, head in zip(raw, heads, strict=True)
    ]
    for stream, head, at in zip(raw, heads, times, strict=True):
        if head.name == SEGMENTS:
            for time, _, data in foreign.events(head, at, stream["time_series"]):
                borders.setdefault(data["stream"], []).append((time, data["segment"]))
    for stream, head, at in zip(raw, heads, times, strict=True):
        if head.format == "string":
            if head.name != SEGMENTS:
                found.append((head, [foreign.events(head, at, stream["time_series"])]))
        else:
            values = np.asarray(stream["time_series"]).reshape(len(at), len(head.channels))
            found.append((head, _pieces(head, at, values, borders.get(head.name, []))))
    return found


def _pieces(
    head: StreamHeader, times: np.ndarray, values: np.ndarray, borders: list[tuple[int, int]]
) -> list[SignalFrame]:
    starts, segments = [0], [0]
    for time, segment in borders:
        later = np.flatnonzero(times[starts[-1] :] >= time)
        if not len(later):
            break  # its samples were lost with the tail
        start = starts[-1] + int(later[0])
        if start == starts[-1]:
            segments[-1] = segment
        else:
            starts.append(start)
            segments.append(segment)
    stops = [*starts[1:], len(times)]
    return [
        head.frame(times[a:b], values[a:b], segment)
        for a, b, segment in zip(starts, stops, segments, strict=True)
        if b > a
    ]


def _recorded(name: str, head: StreamHeader, frames: Frames) -> RecordedStream:
    if frames and isinstance(frames[0], EventFrame):
        labels = tuple(sorted(set(frames[0].labels))) or None
        return RecordedStream(name, "events", EventsSpec(labels), head.type, frames)
    unit: str | tuple[str, ...] = head.units[0] if len(set(head.units)) == 1 else head.units
    spec = SignalSpec(head.channels, head.rate, unit)
    return RecordedStream(name, "signal", spec, head.type, frames)
