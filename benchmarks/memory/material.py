"""Notes cut into what is remembered and what is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from volition.core import LoadError
from volition.lab.lm import spread
from volition.nodes.text.memory import Memory, read_note
from volition.nodes.text.retrieval import passages

_FEWEST = 6  # words of a passage that is written: three are known, three are to be foreseen
_RUSSIAN = "ru_"  # the names of Russian notes begin with it


class Written(NamedTuple):
    """A passage that is being written: what is there, what comes next, and the note that it is from."""

    begin: str
    end: str
    note: str


def read_notes(folder: str | Path, language: str = "en") -> dict[str, str]:
    """The texts of the notes of a folder in a language (``en`` or ``ru``), by their names.

    Raises
    ------
    LoadError
        When there is none.
    """
    found = sorted(Path(folder).glob("*.txt"))
    notes = dict(read_note(path) for path in found if path.name.startswith(_RUSSIAN) == (language == "ru"))
    if not notes:
        raise LoadError(f"notes {str(folder)!r}: the folder holds no .txt file in the language {language!r}")
    return notes


def cut(notes: Mapping[str, str], n: int) -> tuple[Memory, list[Written]]:
    """Every other passage in one memory, and ``n`` of those between them, spread evenly, to be written.

    Parameters
    ----------
    notes
        Texts by their names.
    n
        How many at most; passages of less than six words are left out.
    """
    memory, rest = Memory(), []
    for name, text in notes.items():
        parts = passages(text)
        memory.add_note(name, "\n".join(parts[::2]))
        rest += [(part.split(), name) for part in parts[1::2]]
    rest = [(words, name) for words, name in rest if len(words) >= _FEWEST]
    return memory, [halved(words, name) for words, name in spread(rest, n)]


def halved(words: list[str], note: str) -> Written:
    """A passage cut in its middle.

    >>> halved("we went to the old harbour then".split(), "trip")
    Written(begin='we went to', end=' the old harbour then', note='trip')
    """
    middle = len(words) // 2
    return Written(" ".join(words[:middle]), " " + " ".join(words[middle:]), note)
