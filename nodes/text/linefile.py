"""A file of JSON lines that loses nothing when the program is killed, and forgets for good."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from volition.core import LoadError, NodeError


class LineFile:
    """JSON objects, one a line, in a file that several processes write to.

    An object is there whole or not at all: a line that a crash tore is passed over, and the next one begins
    on a line of its own. It is on the disk when ``append`` comes back. Each has a ``text``.

    Parameters
    ----------
    path
        The file; made with the first line.
    what
        What errors call it.
    """

    def __init__(self, path: Path, what: str = "memory"):
        self.path = path
        self.what = what
        self.damaged = 0
        self._seen: tuple[int, int, int] | None = None
        self._held = False

    @property
    def changed(self) -> bool:
        """Whether somebody else wrote since the last ``read``, ``append`` or ``rewrite``."""
        return self._state() != self._seen

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def read(self, begin: int = 0) -> list[dict[str, Any]]:
        """All objects from a byte of the file on, in the order they came in; ``damaged`` counts lines that are none."""
        self._seen = self._state()
        try:
            data = self._bytes(begin) if self._seen else b""
        except OSError as error:
            raise LoadError(f"the {self.what} {self.path} cannot be read: {error.strerror}") from None
        found, self.damaged = objects(data)
        return found

    def _bytes(self, begin: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(begin)
            return file.read()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing; the system takes the lock back from one that dies.

        Whoever holds it may ask again: the system's lock belongs to an open file, and a second one would wait for
        the first. Threads of one process keep each other out by themselves.
        """
        if self._held:
            yield
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self.path.with_name(self.path.name + ".lock").open("ab") as file:
                _lock(file)
                self._held = True
                try:
                    yield
                finally:
                    self._held = False
        except OSError as error:
            raise NodeError(f"the {self.what} {self.path} cannot be written: {error.strerror}") from None

    def append(self, values: Iterable[Mapping[str, Any]]) -> None:
        """Add objects at the end; the caller keeps others out."""
        data = b"".join(map(_line, values))
        with open(self.path, "ab+", opener=_own) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                data = data if file.read(1) == b"\n" else b"\n" + data  # what a crash tore stays apart
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._seen = self._state()

    def rewrite(self, values: Iterable[Mapping[str, Any]]) -> None:
        """Put objects in the place of all that was there; the caller keeps others out."""
        fresh = self.path.with_name(self.path.name + ".new")
        with open(fresh, "wb", opener=_own) as file:
            file.writelines(map(_line, values))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self._seen = self._state()


def objects(data: bytes) -> tuple[list[dict[str, Any]], int]:
    """The objects with a ``text`` among JSON lines, and how many lines hold something else."""
    found, damaged = [], 0
    for line in filter(None, data.split(b"\n")):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict) and isinstance(value.get("text"), str):
            found.append(value)
        else:
            damaged += 1
    return found, damaged


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _own(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # a person's words are for no other account


def _lock(file: IO[bytes]) -> None:
    """Wait for the lock of an open file, which its closing gives back."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
