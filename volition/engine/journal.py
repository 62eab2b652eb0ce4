"""The journal of one graph: at each tick its time, and which inputs came in which order.

With the recorded streams it makes a replay exact. A file of msgpack values, appended to and flushed once a second;
a torn last value is ignored by the reader.
"""

from __future__ import annotations

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
            self._file: BinaryIO | None = path.open("ab")
        except OSError as error:
            raise SessionError(f"the journal {path} cannot be written: {error.strerror}") from None
        self._packer = msgpack.Packer()
        self._flushed = 0
        self._write({"version": VERSION, "graph": graph, "seed": seed})

    def _write(self, value: Any) -> None:
        if self._file is not None:
            try:
                self._file.write(self._packer.pack(value))
            except OSError as error:
                self._file = None
                raise SessionError(f"the journal {self.path} cannot be written: {error.strerror}") from None

    def add(self, entry: list[Any]) -> None:
        """One tick."""
        self._write(entry)
        if entry[0] - self._flushed > SECOND and self._file is not None:
            self._flushed = entry[0]
            try:
                self._file.flush()
            except OSError as error:
                raise SessionError(f"the journal {self.path} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Flush and close; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read(path: Path) -> Iterator[Any]:
    """The values of a journal, up to a torn tail."""
    with path.open("rb") as file:
        unpacker = msgpack.Unpacker(file)
        while True:
            try:
                yield unpacker.unpack()
            except (msgpack.OutOfData, ValueError, msgpack.UnpackException):
                return
