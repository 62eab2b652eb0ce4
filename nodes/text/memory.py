"""What a person wrote before, and notes they chose: the lines of them that fit what is being written.

Lines are found by their words, which needs no second model and takes a new sentence at once. They are kept in
a file of JSON lines that a person can read.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from volition.core import LoadError, NodeError
from volition.nodes.text.linefile import LineFile
from volition.nodes.text.retrieval import Okapi, passages, terms, words

ACCEPTED, NOTE = "accepted", "note"
KINDS = (ACCEPTED, NOTE)

FOLDER = "VOLITION_PROFILE"
"""Environment variable that names the folder of the profile."""

LARGEST = 4 << 20
"""Most bytes of a note: some 40,000 sentences, beyond which a search is no longer a matter of milliseconds."""


def own_file() -> Path:
    """Where the memory of this account lies: in the folder that VOLITION_PROFILE names, else in the user's data."""
    import platformdirs

    named = os.environ.get(FOLDER)
    return (Path(named) if named else platformdirs.user_data_path("volition", appauthor=False)) / "memory.jsonl"


class Entry(NamedTuple):
    """One remembered line; ``source`` is the name of its note."""

    text: str
    kind: str = ACCEPTED
    source: str = ""


class Passage(NamedTuple):
    """One line that was found, how well it fits, and the note it stands in; empty for an accepted sentence."""

    text: str
    score: float
    source: str


class Memory:
    """Accepted sentences and notes, found again by their words.

    Safe for use from several threads; what other processes write is taken in by ``refresh``.

    Parameters
    ----------
    path
        The file; made with the first line. None keeps everything in this process.

    Raises
    ------
    LoadError
        When the file is there and cannot be read.
    """

    def __init__(self, path: str | Path | None = None):
        self._file = None if path is None else LineFile(Path(path))
        self._using = threading.RLock()
        self._take(self._file.read() if self._file else [])

    def _take(self, values: Iterable[Mapping[str, str]]) -> None:
        self._entries: list[Entry] = []
        self._index = Okapi()
        self._known: set[tuple[str, str, str]] = set()
        for value in values:
            self._index_one(Entry(value["text"], value.get("kind", ACCEPTED), value.get("source", "")))

    def _index_one(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._index.add(terms(entry.text))
        self._known.add(_key(entry))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> list[Entry]:
        """All lines, oldest first."""
        return list(self._entries)

    @property
    def damaged(self) -> int:
        """Lines of the file that could not be read, such as one that a power cut tore."""
        return self._file.damaged if self._file else 0

    def refresh(self) -> bool:
        """Take in what other processes wrote or forgot; whether there was anything."""
        with self._using:
            if self._file is None or not self._file.changed:
                return False
            self._take(self._file.read())
            return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._using:
            if self._file is None:
                yield
                return
            with self._file.alone():
                self.refresh()
                yield

    def add(self, text: str, kind: str = ACCEPTED, source: str = "") -> bool:
        """Remember a line; False when it is there already, or has no words.

        Parameters
        ----------
        text
            One sentence; white space and line ends become single spaces.
        kind
            ``accepted`` or ``note``.
        source
            The name of the note.
        """
        return self._add([Entry(text, kind, source)]) == 1

    def _add(self, entries: Iterable[Entry]) -> int:
        with self._changing():
            new: dict[tuple[str, str, str], Entry] = {}
            for text, kind, source in entries:
                if kind not in KINDS:
                    raise NodeError(f"a memory of the kind {kind!r} is not known; there are {', '.join(KINDS)}")
                entry = Entry(" ".join(text.split()), kind, source)
                if words(text) and _key(entry) not in self._known:
                    new.setdefault(_key(entry), entry)
            if new and self._file:
                self._file.append(entry._asdict() for entry in new.values())
            for entry in new.values():
                self._index_one(entry)
            return len(new)

    def add_note(self, name: str, text: str) -> int:
        """Remember the passages of a note in the place of those that an older one of the name had; their number."""
        with self._changing():
            self._keep(lambda entry: entry.kind != NOTE or entry.source != name)
            return self._add(Entry(passage, NOTE, name) for passage in passages(text))

    def notes(self) -> dict[str, int]:
        """The names of the notes, and how many passages each has."""
        return dict(Counter(entry.source for entry in self._entries if entry.kind == NOTE))

    def remove(self, name: str) -> int:
        """Forget a note; how many passages it had."""
        return self._keep(lambda entry: entry.kind != NOTE or entry.source != name)

    def holding(self, text: str) -> list[Entry]:
        """The lines that hold the words of ``text``, in its order and side by side."""
        sought = joined(text)
        return [entry for entry in self._entries if sought.strip() and sought in joined(entry.text)]

    def forget(self, text: str) -> int:
        """Forget each line that holds the words of ``text``, side by side; how many there were.

        The file is written anew without them, and without what a crash had torn.
        """
        sought = joined(text)
        return self._keep(lambda entry: not sought.strip() or sought not in joined(entry.text))

    def clear(self) -> None:
        """Forget everything."""
        self._keep(lambda entry: False)

    def _keep(self, wanted: Callable[[Entry], bool]) -> int:
        with self._changing():
            kept = [entry for entry in self._entries if wanted(entry)]
            gone = len(self._entries) - len(kept)
            if gone or self.damaged:
                values = [entry._asdict() for entry in kept]
                if self._file:
                    self._file.rewrite(values)
                    self._file.damaged = 0
                self._take(values)
            return gone

    def search(self, query: str | Mapping[str, float], k: int, exclude: Collection[str] = ()) -> list[Passage]:
        """The lines that fit best, the best first; of equals, the older one.

        Parameters
        ----------
        query
            A text, or words with weights.
        k
            How many at most; lines that share no word with the query are never found.
        exclude
            Texts that are in view already: lines whose words stand in one of them are left out.
        """
        weights: dict[str, float] = {}
        for phrase, weight in ({query: 1.0} if isinstance(query, str) else query).items():
            for term in terms(phrase):
                weights[term] = weights.get(term, 0.0) + weight
        with self._using:
            scores = self._index.scores(weights)
            order = np.argsort(-scores, kind="stable")
            seen = [joined(text) for text in exclude]
            found: dict[str, Passage] = {}
            for n in order:
                if len(found) >= k or scores[n] <= 0:
                    break
                entry = self._entries[n]
                line = joined(entry.text)
                if line not in found and not any(line in text for text in seen):
                    found[line] = Passage(entry.text, float(scores[n]), entry.source)
        return list(found.values())


def joined(text: str) -> str:
    """The words of a text with a space before and after each, so that words are found whole."""
    return f" {' '.join(words(text))} "


def _key(entry: Entry) -> tuple[str, str, str]:
    return joined(entry.text), entry.kind, entry.source


def read_note(path: str | Path) -> tuple[str, str]:
    """The name and the text of a note in a file: the file's name, and what it holds.

    Raises
    ------
    LoadError
        When the file is missing, too large, no UTF-8 text, or without a sentence.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST and not path.is_dir() else b""
    except OSError as error:
        raise LoadError(f"note {str(path)!r}: {error.strerror.lower() if error.strerror else error}") from None
    if path.is_dir():
        raise LoadError(f"note {str(path)!r}: this is a folder; name the files in it")
    if size > LARGEST:
        raise LoadError(f"note {str(path)!r}: {size >> 20} MB are too much; keep what is worth finding, up to 4 MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LoadError(f"note {str(path)!r}: no UTF-8 text; save it as plain text in UTF-8") from None
    if "\0" in text or not passages(text):
        raise LoadError(f"note {str(path)!r}: there is no sentence of two words or more in it")
    return path.name, text
