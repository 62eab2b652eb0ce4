"""The journal of one graph: at each tick its time, and which inputs came in which order.

With the recorded streams it makes a replay exact. A file of msgpack values, appended to and flushed once a second;
a torn last value is ignored by the reader.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgpack

from volition.core.clock import SECOND
from volition.core.errors import SessionError

VERSION = 1


class Journal:
    """Writes the entries that ``Graph.tick`` gives; ticks without input from outside are kept, too."""

    def __init__(self, path: Path, graph: str, seed: int):
        self.path = path
        try:
            if path.exists():
                _cut_torn_tail(path)
            self._file: BinaryIO | None = path.open("ab")
        except OSError as error:
            raise SessionError(f"the journal {path} cannot be written: {error.strerror}") from None
        self._packer = msgpack.Packer()
        self._flushed = 0
        self._write({"version": VERSION, "graph": graph, "seed": seed})

    def _write(self, value: Any) -> None:
        if self._file is not None:
            self._file.write(self._packer.pack(value))

    def add(self, entry: list[Any]) -> None:
        """One tick.

        Raises
        ------
        SessionError
            When the disk is full; the journal then ends here.
        """
        try:
            self._write(entry)
            if entry[0] - self._flushed > SECOND and self._file is not None:
                self._flushed = entry[0]
                self._file.flush()
        except OSError as error:
            self.close()
            raise SessionError(f"the journal {self.path} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Flush and close; may be called twice."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk was reported when it filled
                file.close()


def _values(unpacker: msgpack.Unpacker) -> Iterator[Any]:
    while True:
        try:
            yield unpacker.unpack()
        except (msgpack.OutOfData, ValueError, msgpack.UnpackException):
            return


def _cut_torn_tail(path: Path) -> None:
    """Cut off what a killed process left half-written, so that the next one's entries can be read."""
    with path.open("r+b") as file:
        unpacker, whole = msgpack.Unpacker(file), 0
        for _ in _values(unpacker):
            whole = unpacker.tell()
        file.truncate(whole)


def read(path: Path) -> Iterator[Any]:
    """The values of a journal, up to a torn tail."""
    with path.open("rb") as file:
        yield from _values(msgpack.Unpacker(file))
