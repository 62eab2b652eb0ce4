"""What of an XDF file can be read: whole chunks, and what had to be left out."""

from __future__ import annotations

import struct
from xml.etree import ElementTree

from volition.sessions.xdf import (
    BOUNDARY,
    BOUNDARY_CHUNK,
    CLOCK_OFFSET,
    FILE_HEADER,
    MAGIC,
    SAMPLES,
    STREAM_FOOTER,
    STREAM_HEADER,
)

_ITEM_BYTES = {
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float32": 4,
    "double64": 8,
    "string": 0,
}


def read_varlen(data: bytes, at: int) -> tuple[int, int] | None:
    """The variable-length integer at ``at`` and the place behind it; None when there is none."""
    size = data[at] if at < len(data) else 0
    if size not in (1, 4, 8) or at + 1 + size > len(data):
        return None
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def whole_chunks(data: bytes) -> tuple[bytes, list[str]]:
    """The readable part of an XDF file, and notes on what is missing.

    After a damaged place, reading goes on behind the next boundary chunk.
    """
    kept, notes, judge = [MAGIC], [], _Judge()
    at = len(MAGIC)
    while at < len(data):
        end = _chunk_end(data, at)
        if end is not None and judge.accept(data[at + 1 + data[at] : end]):
            kept.append(data[at:end])
            at = end
            continue
        if end is None or not (end == len(data) or _chunk_end(data, end)):  # its length cannot be trusted either
            boundary = data.find(BOUNDARY, at + 1)
            if boundary < 0:
                notes.append(f"torn tail: the last {len(data) - at} bytes were not readable")
                break
            end = boundary + len(BOUNDARY)
        notes.append(f"damaged: {end - at} bytes at byte {at} were not readable")
        at = end
    return b"".join(kept), notes


def _chunk_end(data: bytes, at: int) -> int | None:
    """Where the chunk at ``at`` ends, if its length and tag can be those of a chunk."""
    length = read_varlen(data, at)
    if length is None or length[0] < 2 or length[1] + length[0] > len(data):
        return None
    (tag,) = struct.unpack_from("<H", data, length[1])
    return length[1] + length[0] if FILE_HEADER <= tag <= STREAM_FOOTER else None


class _Judge:
    """Judges chunks by what the stream headers before them announced."""

    def __init__(self) -> None:
        self._channels: dict[int, tuple[int, int]] = {}  # per stream: how many, bytes each (0: text)

    def accept(self, body: bytes) -> bool:
        """Whether a chunk (without its length) can be what it says it is."""
        (tag,) = struct.unpack_from("<H", body)
        if tag in (FILE_HEADER, BOUNDARY_CHUNK):
            return tag == BOUNDARY_CHUNK or _parsed(body[2:]) is not None
        if len(body) < 6:
            return False
        (stream,) = struct.unpack_from("<I", body, 2)
        if tag == STREAM_HEADER:
            return self._announce(stream, body[6:])
        if stream not in self._channels:
            return False
        if tag == SAMPLES:
            return self._holds(stream, body)
        return len(body) == 22 if tag == CLOCK_OFFSET else _parsed(body[6:]) is not None

    def _announce(self, stream: int, content: bytes) -> bool:
        info = _parsed(content)
        if info is None:
            return False
        try:
            channels = int(info.findtext("channel_count", ""))
            float(info.findtext("nominal_srate", ""))
            itemsize = _ITEM_BYTES[info.findtext("channel_format", "")]
        except (ValueError, KeyError):
            return False
        if channels < 0 or info.find("name") is None:
            return False
        self._channels[stream] = (channels, itemsize)
        return True

    def _holds(self, stream: int, body: bytes) -> bool:
        """Whether the samples fill their chunk exactly."""
        count = read_varlen(body, 6)
        if count is None:
            return False
        channels, itemsize = self._channels[stream]
        n, at = count
        if (
            itemsize
            and len(body) - at == n * (9 + channels * itemsize)
            and not any(size != 8 for size in body[at :: 9 + channels * itemsize])
        ):
            return True  # each sample has its time stamp
        for _ in range(n):
            if at >= len(body) or body[at] not in (0, 8):
                return False
            at += 1 + body[at] + channels * itemsize
            if not itemsize:
                for _ in range(channels):
                    text = read_varlen(body, at)
                    if text is None:
                        return False
                    at = text[1] + text[0]
        return at == len(body)


def _parsed(content: bytes) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(content.decode("utf-8", "replace"))
    except (ElementTree.ParseError, ValueError):
        return None
