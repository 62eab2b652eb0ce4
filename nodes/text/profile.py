"""A person's profile: a folder with all that was learned from them, which can be shown, moved, and forgotten.

=============  ==========================================================================================
profile.json   how to learn (``Taste``), for a person to edit
choices.jsonl  the log of choices; the truth, from which the rest follows
learned.json   what was learned from the log up to a place in it, so that a start need not read all of it
memory.jsonl   accepted sentences and notes, see ``memory``
=============  ==========================================================================================

The log is only added to, the other files are replaced as a whole. One that is damaged is passed over, and ``problems``
says so: what was learned is then made anew from the log.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from volition.core import LoadError, NodeError
from volition.nodes.text.choicelog import SENTENCE, Row, choice, result, sentence, sentences, valid, write_parquet
from volition.nodes.text.learned import TASTE, Learned, Taste
from volition.nodes.text.linefile import LineFile, objects
from volition.nodes.text.memory import Memory, joined, own_file

__all__ = ["OWN", "Profile", "choice", "find_profile", "sentence"]

OWN = "own"
"""Names the profile of this account."""

TASTE_FILE, LOG_FILE, LEARNED_FILE, MEMORY_FILE = "profile.json", "choices.jsonl", "learned.json", "memory.jsonl"

_NAME = re.compile(r"\w[\w -]{0,60}")
_CHECKED = 4096  # bytes of the log before the place that was learned to, by which it is known again
_LARGEST = 1 << 30


def find_profile(name: str = OWN) -> Path:
    """The folder of a profile: that of this account (``own``), or one beside it for each further person.

    Raises
    ------
    LoadError
        When the name is none.
    """
    if not _NAME.fullmatch(name):
        raise LoadError(f"profile {name!r}: a name is letters, digits, spaces and hyphens, up to 60")
    root = own_file().parent
    return root if name == OWN else root / "people" / name


class Profile:
    """What one person taught, in a folder.

    Parameters
    ----------
    folder
        Made with the first thing that is written.

    Attributes
    ----------
    learned
        From the finished sentences of the log.
    pending
        Answers to menus of a sentence that is not finished.
    version
        Rises whenever ``learned`` changes; 1 at first.
    problems
        What could not be read, a sentence each.

    Raises
    ------
    LoadError
        When a file is there and cannot be read at all.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = LineFile(folder / LOG_FILE, "log of choices")
        self.version = 0
        self._unwritten: list[Row] = []
        self.newest: tuple[list[Row], str] | None = None
        """What ``learned`` was given last, when that made this ``version`` of the one before."""
        self._load()

    @property
    def memory_file(self) -> Path:
        """Where accepted sentences and notes lie."""
        return self.folder / MEMORY_FILE

    # Reading

    def _load(self) -> None:
        self.problems: list[str] = []
        self.taste = self._read_taste()
        self.learned, begin = self._snapshot()
        self.pending: list[Row] = []
        for row in self._rows(begin):
            self._apply(row)
        self.newest = None
        self.version += 1

    def _rows(self, begin: int = 0) -> list[Row]:
        rows = self.log.read(begin)
        kept = [row for row in rows if valid(row)]
        damaged = self.log.damaged + len(rows) - len(kept)
        if damaged:
            self.problems.append(f"{damaged} lines of {LOG_FILE} are damaged and passed over")
        return kept

    def rows(self) -> list[Row]:
        """All lines of the log that are whole, oldest first."""
        return [row for row in self.log.read() if valid(row)]

    def _read_taste(self) -> Taste:
        data = self._json(TASTE_FILE)
        try:
            return Taste() if data is None else TASTE.validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            self.problems.append(f"{TASTE_FILE}: {where}: {first['msg']}; the defaults are used")
            return Taste()

    def _snapshot(self) -> tuple[Learned, int]:
        """What was learned, and up to which byte of the log; from its beginning when the file does not fit."""
        data = self._json(LEARNED_FILE)
        if data is not None:
            try:
                learned, end = Learned.unpack(data["learned"]), int(data["end"])
                if data["log"] != self._mark(end):
                    self.problems.append(f"{LOG_FILE} is not as {LEARNED_FILE} knew it: all is learned anew from it")
                elif learned.taste == self.taste:
                    return learned, end
            except (ValueError, KeyError, TypeError, AttributeError):
                self.problems.append(f"{LEARNED_FILE} is damaged: what was learned is made anew from the log")
        return Learned(self.taste), 0

    def _json(self, name: str) -> Any:
        path = self.folder / name
        try:
            return json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            self.problems.append(f"{name} is damaged and passed over")
            return None
        except OSError as error:
            raise LoadError(f"the profile's {path} cannot be read: {error.strerror}") from None

    def _mark(self, end: int) -> str:
        """By what the log is known again up to a byte; empty where it is shorter."""
        try:
            with self.log.path.open("rb") as file:
                file.seek(max(0, end - _CHECKED))
                data = file.read(min(end, _CHECKED))
        except OSError:
            data = b""
        return hashlib.sha256(data).hexdigest() if len(data) == min(end, _CHECKED) else ""

    # Learning

    def take(self, row: Row) -> None:
        """Learn from a line at once; ``flush`` writes it."""
        self._unwritten.append(row)
        self._apply(row)
        self.version += row["kind"] == SENTENCE

    def _apply(self, row: Row) -> None:
        if row["kind"] == SENTENCE:
            self.learned.learn(self.pending, row["text"])
            self.newest = (self.pending, row["text"])
            self.pending = []
        else:
            self.pending.append(row)

    def flush(self) -> None:
        """Write what was taken; what another process wrote or forgot meanwhile is taken in.

        Raises
        ------
        NodeError
            When it cannot be written.
        """
        if self._unwritten:
            with self.log.alone():
                others = self.log.changed
                self.log.append(self._unwritten)
                self._unwritten = []
                if others:
                    self._load()

    def refresh(self) -> None:
        """Take in what another process wrote or forgot."""
        self.flush()
        if self.log.changed:
            self._load()

    def save(self) -> None:
        """Write what was learned, so that the next start need not read the log; only between sentences."""
        if not self.pending and self.log.path.exists():
            with self.log.alone():
                self.refresh()
                if not self.pending:
                    end = self.log.path.stat().st_size
                    self._replace(LEARNED_FILE, {"end": end, "log": self._mark(end), "learned": self.learned.pack()})

    def _replace(self, name: str, value: Mapping[str, Any]) -> None:
        path = self.folder / name
        fresh = path.with_name(name + ".new")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(value, file, ensure_ascii=False)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise NodeError(f"the profile's {path} cannot be written: {error.strerror}") from None

    # Forgetting

    def forget(self, text: str) -> dict[str, int]:
        """Forget whatever holds the words of ``text``, side by side; how much that was, by kind.

        Of the log, all of each sentence that holds it at any step goes, and each menu with an option that would have
        made it. Counts, biases and weights are made anew from what is left.

        Raises
        ------
        LoadError
            When there is no word in ``text``.
        """
        sought = joined(text)
        if not sought.strip():
            raise LoadError(f"{text!r} has no words to look for")
        with self.log.alone():
            self.flush()
            before, after = self.rows(), []
            for group, end in sentences(before):
                texts = [*(row["text"] for row in group), *map(result, group), *([end["text"]] if end else ())]
                if not any(sought in joined(each) for each in texts):
                    after += [row for row in group if not _offers(row, sought)] + ([end] if end else [])
            self._rewrite(after)
            if sought in joined(self.taste.style):
                self._replace(TASTE_FILE, asdict(replace(self.taste, style="")))
            self._load()
            self.save()
        gone = Memory(self.memory_file).forget(text)
        self._sweep()
        return {"lines": len(before) - len(after), "remembered": gone}

    def _rewrite(self, rows: list[Row]) -> None:
        (self.folder / LEARNED_FILE).unlink(missing_ok=True)  # first: a crash must not leave what was forgotten
        if self.log.path.exists():
            self.log.rewrite(rows)

    def _sweep(self) -> None:
        """Remove what a crash left half written."""
        for path in self.folder.glob("*.new"):
            path.unlink(missing_ok=True)

    def reset(self) -> None:
        """Forget everything, notes and settings as well."""
        with self.log.alone():
            self._unwritten = []
            self._rewrite([])
            (self.folder / TASTE_FILE).unlink(missing_ok=True)
            self._load()
        Memory(self.memory_file).clear()
        self._sweep()

    # Moving

    @property
    def empty(self) -> bool:
        """Whether nothing was learned, remembered or set."""
        files = [self.folder / name for name in (TASTE_FILE, LOG_FILE, MEMORY_FILE)]
        return not any(path.exists() and path.stat().st_size for path in files)

    def export(self, path: Path) -> int:
        """Write the whole profile into a ``.zip``, or the log of choices into a ``.parquet``; how many lines that are.

        Raises
        ------
        LoadError
            When the file cannot be written, or is of another kind.
        """
        if path.suffix == ".parquet":
            return write_parquet(self.rows(), path)
        if path.suffix != ".zip":
            raise LoadError(f"{path}: a profile is exported to a .zip, its log of choices to a .parquet")
        with self.log.alone():
            texts = {
                name: (self.folder / name).read_bytes()
                for name in (TASTE_FILE, LOG_FILE, MEMORY_FILE)
                if (self.folder / name).exists()
            }
        try:
            with (
                os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            ):
                for name, data in texts.items():
                    archive.writestr(name, data)
        except OSError as error:
            raise LoadError(f"{path} cannot be written: {error.strerror}") from None
        return sum(data.count(b"\n") for name, data in texts.items() if name != TASTE_FILE)

    def take_over(self, path: Path) -> int:
        """Put what ``export`` wrote into a ``.zip`` in the place of all that is here; how many lines that are.

        Raises
        ------
        LoadError
            When the file is none; nothing is changed then.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                known = [info for info in archive.infolist() if info.filename in (TASTE_FILE, LOG_FILE, MEMORY_FILE)]
                if not known or sum(info.file_size for info in known) > _LARGEST:
                    raise LoadError(f"{path} is no exported profile")
                texts = {info.filename: archive.read(info) for info in known}
            taste = TASTE.validate_python(json.loads(texts.get(TASTE_FILE, b"{}")))
            rows, lines = (objects(texts.get(name, b""))[0] for name in (LOG_FILE, MEMORY_FILE))
        except OSError as error:
            raise LoadError(f"{path} cannot be read: {error.strerror}") from None
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError):
            raise LoadError(f"{path} is no exported profile") from None
        rows = [row for row in rows if valid(row)]
        self.reset()
        with self.log.alone():
            self._replace(TASTE_FILE, asdict(taste))
            self.log.append(rows)
            self._load()
            self.save()
        memory = LineFile(self.memory_file)
        with memory.alone():
            memory.rewrite(lines)
        return len(rows) + len(lines)


def _offers(row: Row, sought: str) -> bool:
    """Whether an option of a menu, alone or after its text, holds the words."""
    texts = (row["text"], "")
    return any(sought in joined(before + option["text"]) for option in row["options"] for before in texts)
