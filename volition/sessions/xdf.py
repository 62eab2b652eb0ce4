"""A writer of XDF 1.0 that survives a crash.

Data wait in memory for half a second of data time at most and reach the file in whole chunks, so that a
killed process loses that second and no more. The format is described at
https://github.com/sccn/xdf/wiki/Specifications.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import struct
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any
from xml.etree import ElementTree

import numpy as np

from volition.core.clock import SECOND
from volition.core.errors import SessionError
from volition.core.frames import EventFrame
from volition.core.units import xdf_unit

MAGIC = b"XDF:"
BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, BOUNDARY_CHUNK, STREAM_FOOTER = range(1, 7)
SEGMENTS = "segments"
"""Name of the stream that holds where the pieces of the others begin."""

_FORMATS = {"float32": "float32", "float64": "double64", "string": "string"}
_FLUSH_BYTES = 256 * 1024
FLUSH_NS = SECOND // 2
"""How long data may wait in memory: half of what a crash may cost, to leave room for a late tick."""

# Seconds as a double give back the exact nanosecond below 2**51 ns (26 days): two roundings of 2**-53 each
# stay under half a nanosecond. Beyond half of that, the file's time base is moved by whole seconds.
_EXACT = 2**50
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _varlen(n: int) -> bytes:
    if n < 256:
        return bytes((1, n))
    return b"\x04" + struct.pack("<I", n) if n < 2**32 else b"\x08" + struct.pack("<Q", n)


def chunk(tag: int, content: bytes, stream: int | None = None) -> bytes:
    """One XDF chunk: length, tag, stream id where the tag has one, content."""
    body = struct.pack("<H", tag) + (b"" if stream is None else struct.pack("<I", stream)) + content
    return _varlen(len(body)) + body


def _xml(tag: str, value: Any) -> ElementTree.Element:
    """``value`` as an element: a mapping becomes children, a list repeated children, the rest text."""
    element = ElementTree.Element(tag)
    if isinstance(value, Mapping):
        for key, below in value.items():
            many = below if isinstance(below, (list, tuple)) else [below]
            element.extend(_xml(key, one) for one in many)
    else:
        element.text = str(value)
    return element


def _document(value: Mapping[str, Any]) -> bytes:
    return b'<?xml version="1.0"?>' + ElementTree.tostring(_xml("info", value), encoding="utf-8")


def _plain(value: Any) -> Any:
    """What JSON has no word for, in words that it has."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be recorded")


def event_text(label: str, data: Mapping[str, Any]) -> str:
    """An event as the JSON text that string streams carry: ``{"label": ..., "data": {...}}``."""
    event = {"label": label, "data": dict(data)}
    try:
        text = json.dumps(event, ensure_ascii=False, default=_plain)
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: only escaped can it be stored
        text = json.dumps(event, default=_plain)
    except (TypeError, ValueError) as error:
        raise SessionError(f"an event {label!r} cannot be recorded: {error}") from None
    return text


class _Stream:
    """What the writer remembers of one stream."""

    def __init__(self, number: int, name: str, info: dict[str, Any], dtype: np.dtype | None):
        self.number = number
        self.name = name
        self.info = info
        self.announced = False
        self.packed: list[bytes] = []
        self.waiting = 0
        self.count = 0
        self.first: float | None = None
        self.last = 0.0
        self.segment = 0
        self.dtype = dtype  # one packed sample; None for strings


class XdfWriter:
    """Writes one XDF file.

    Time stamps in the file are seconds of LSL's clock, ``(t_ns - utc_offset_ns) / 1e9``, and give back the
    exact nanosecond when they are read. The offset stands in each stream's header.

    Parameters
    ----------
    path
        The file to write.
    utc_offset_ns
        UTC minus LSL's clock, in ns. None: the time base is the whole second before the first sample.
    overwrite
        Replace a file that exists; otherwise it is an error.

    Raises
    ------
    SessionError
        From any method, when the file cannot be written (no such folder, disk full). What was written before
        stays readable; the writer is of no further use.
    """

    def __init__(self, path: str | Path, utc_offset_ns: int | None = None, overwrite: bool = False):
        self.path = Path(path)
        self._offset = utc_offset_ns
        self._based = False
        self._streams: dict[int, _Stream] = {}
        self._waiting_bytes = 0
        self._oldest: int | None = None
        self._closed = False
        self._syncing: Future[None] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._size = 0
        mode = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL) | getattr(os, "O_BINARY", 0)
        try:
            self._fd = os.open(self.path, mode, 0o644)
        except FileExistsError:
            raise SessionError(f"{self.path}: the file exists and is not overwritten; choose another name") from None
        except OSError as error:
            raise SessionError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._write(MAGIC + chunk(FILE_HEADER, _document({"version": "1.0", "volition": 1})))

    def __enter__(self) -> XdfWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def utc_offset_ns(self) -> int | None:
        """UTC minus the time stamps in the file, in ns; None while it is not known."""
        return self._offset

    @property
    def pending(self) -> bool:
        """Whether data wait in memory."""
        return self._waiting_bytes > 0

    def add_stream(
        self,
        name: str,
        type: str,
        channels: Sequence[str],
        rate: float = 0.0,
        units: str | Sequence[str] = "",
        dtype: str = "float32",
        source_id: str = "",
        desc: Mapping[str, Any] | None = None,
    ) -> int:
        """Announce a stream, and give its id.

        Parameters
        ----------
        rate
            In Hz; 0 when irregular.
        units
            One for all channels, or one a channel.
        dtype
            ``float32``, ``float64``, or ``string`` (one channel; for events).
        desc
            More meta-data for the header's ``desc``.
        """
        if dtype not in _FORMATS:
            raise SessionError(f"{self.path}: stream {name!r}: a stream holds {', '.join(_FORMATS)}, not {dtype!r}")
        units = [units] * len(channels) if isinstance(units, str) else list(units)
        if len(units) != len(channels):
            raise SessionError(f"{self.path}: stream {name!r}: {len(channels)} channels, {len(units)} units")
        for text in (name, type, source_id, *channels, *units):
            if _UNPRINTABLE.search(text):
                raise SessionError(f"{self.path}: stream {name!r}: {text!r} holds characters that XML cannot")
        described = [
            {"label": label, "unit": xdf_unit(unit), "type": type} for label, unit in zip(channels, units, strict=True)
        ]
        number = len(self._streams) + 1
        info: dict[str, Any] = {
            "name": name,
            "type": type,
            "channel_count": len(channels),
            "nominal_srate": repr(float(rate)),
            "channel_format": _FORMATS[dtype],
            "source_id": source_id or name,
            "desc": {"channels": {"channel": described}, **(desc or {})},
        }
        packed = None
        if dtype != "string":
            number_type = "<f4" if dtype == "float32" else "<f8"
            packed = np.dtype([("size", "u1"), ("time", "<f8"), ("values", number_type, (len(channels),))])
        self._streams[number] = _Stream(number, name, info, packed)
        return number

    def write_signal(self, stream: int, times: np.ndarray, values: np.ndarray, segment: int = 0) -> None:
        """Append samples: ``times`` int64 ns UTC, shape (n,); ``values``, shape (n, n_channels).

        A change of ``segment`` is recorded in the stream ``segments``.
        """
        state = self._streams[stream]
        if not len(times):
            return
        if state.dtype is None:
            raise SessionError(f"{self.path}: stream {state.name!r} holds events, not samples")
        if segment != state.segment:
            state.segment = segment
            self._write_border(state.name, int(times[0]), segment)
        samples = np.empty(len(times), dtype=state.dtype)
        samples["size"] = 8
        samples["time"] = stamps = self._stamps(times)
        samples["values"] = values
        self._append(state, samples.tobytes(), stamps, times)

    def write_events(self, stream: int, events: EventFrame) -> None:
        """Append events to a stream of strings."""
        state = self._streams[stream]
        if not len(events):
            return
        if state.dtype is not None:
            raise SessionError(f"{self.path}: stream {state.name!r} holds samples, not events")
        stamps = self._stamps(events.times)
        pieces = []
        for stamp, label, data in zip(stamps.tolist(), events.labels, events.data, strict=True):
            text = event_text(label, data).encode()
            pieces.append(struct.pack("<Bd", 8, stamp) + _varlen(len(text)) + text)
        self._append(state, b"".join(pieces), stamps, events.times)

    def add_events(self, name: str, type: str = "Markers") -> int:
        """Announce a stream of events, and give its id."""
        return self.add_stream(name, type, [name], dtype="string", desc={"content": "volition-events"})

    def flush(self) -> None:
        """Bring everything that waits to the file; the disk follows in a thread."""
        if self._closed:
            return
        ready = [s for s in self._streams.values() if self._based or self._offset is not None]
        pieces = [self._header(s) for s in ready if not s.announced]
        # Borders first: one without its samples does no harm, samples without their border would.
        for state in sorted(ready, key=lambda s: s.name != SEGMENTS):
            if state.waiting:
                content = _varlen(state.waiting) + b"".join(state.packed)
                pieces.append(chunk(SAMPLES, content, state.number))
                state.packed, state.waiting = [], 0
        self._waiting_bytes, self._oldest = 0, None
        if pieces:
            self._write(b"".join(pieces) + chunk(BOUNDARY_CHUNK, BOUNDARY))
            self._sync()

    def close(self) -> None:
        """Flush, write the footers and close. May be called twice, and after an error."""
        if self._closed:
            return
        self.flush()
        footers = [self._footer(s) for s in self._streams.values() if s.announced]
        self._write(b"".join(footers))
        self._release(sync=True)

    def abandon(self) -> None:
        """Close the file as it is, without what waits and without footers."""
        if not self._closed:
            self._release(sync=False)

    def _write_border(self, name: str, time: int, segment: int) -> None:
        number = next((n for n, s in self._streams.items() if s.name == SEGMENTS), None)
        if number is None:
            number = self.add_events(SEGMENTS)
        self.write_events(number, EventFrame.of((time, "segment", {"stream": name, "segment": segment})))

    def _stamps(self, times: np.ndarray) -> np.ndarray:
        """LSL's seconds of ``times``; the first call fixes the time base."""
        if self._closed:
            raise SessionError(f"{self.path}: the recording is closed; nothing can be added")
        if not self._based:
            self._based = True
            first = int(times[0])
            offset = first - first % SECOND if self._offset is None else self._offset
            if abs(first - offset) > _EXACT and not any(s.announced for s in self._streams.values()):
                offset += (first - offset) // SECOND * SECOND
            self._offset = offset
        assert self._offset is not None
        stamps: np.ndarray = (times - self._offset) / 1e9
        return stamps

    def _append(self, state: _Stream, packed: bytes, stamps: np.ndarray, times: np.ndarray) -> None:
        state.packed.append(packed)
        state.waiting += len(stamps)
        state.count += len(stamps)
        if state.first is None:
            state.first = float(stamps[0])
        state.last = float(stamps[-1])
        self._waiting_bytes += len(packed)
        if self._oldest is None:
            self._oldest = int(times[0])
        if self._waiting_bytes > _FLUSH_BYTES or int(times[-1]) - self._oldest >= FLUSH_NS:
            self.flush()

    def _header(self, state: _Stream) -> bytes:
        state.announced = True
        info = dict(state.info)
        info["desc"] = {**info["desc"], "utc_offset_ns": self._offset}
        return chunk(STREAM_HEADER, _document(info), state.number)

    def _footer(self, state: _Stream) -> bytes:
        footer: dict[str, Any] = {"sample_count": state.count}
        if state.first is not None:
            footer = {"first_timestamp": repr(state.first), "last_timestamp": repr(state.last), **footer}
        return chunk(STREAM_FOOTER, _document(footer), state.number)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._fail(error)
        self._size += len(data)

    def _sync(self) -> None:
        """Ask the disk for durability, unless it is still busy with the last request."""
        if self._syncing is not None:
            if not self._syncing.done():
                return
            if isinstance(error := self._syncing.exception(), OSError):
                self._fail(error)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="xdf-sync")
        self._syncing = self._pool.submit(os.fsync, self._fd)

    def _fail(self, error: OSError) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._size)  # no half chunk at the end
        self._release(sync=False)
        full = error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
        raise SessionError(
            f"{self.path}: {'the disk is full' if full else error.strerror}, the recording has stopped; "
            f"what was recorded before ({self._size} bytes) is readable"
        ) from None

    def _release(self, sync: bool) -> None:
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown()
        if sync:
            with contextlib.suppress(OSError):  # pipes and some network disks cannot
                os.fsync(self._fd)
        os.close(self._fd)
