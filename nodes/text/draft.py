"""A text as it is edited: how options, letters and marks join it, and the way back and forth."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from volition.nodes.text.prompt import is_cased
from volition.nodes.text.spelling import split

MARKS = ",.?!;:…"
"""What stands at the word before it."""

_STEPS_BACK = 1000
_TAIL = 200  # characters that tell how the next one joins; a text may be long


def taken(text: str, option: str) -> str:
    """The text after an option was chosen, which brings its own space where it needs one.

    A space that is there already is not doubled, and a mark takes the place of one. In a text with capitals,
    the first word of a sentence gets one.

    >>> taken("hello, ", " world"), taken("hello ", "."), taken("I am.", " you are")
    ('hello, world', 'hello.', 'I am. You are')
    """
    if option[:1] and option[0] in MARKS:
        return text.rstrip(" ") + option
    piece = option.lstrip(" ") if text[-1:].isspace() else option
    return text + _begun(text, piece or option)


def spelt(text: str, letter: str, half_typed: bool) -> str:
    """The text after a character was chosen: it goes on with a half-typed word, and begins one otherwise.

    A mark brings the space that follows it.

    >>> spelt("i wo", "u", True), spelt("i would", "l", False), spelt("it", "'", False), spelt("hello ", ",", False)
    ('i wou', 'i would l', "it'", 'hello, ')
    """
    if letter in MARKS:
        return text.rstrip(" ") + letter + " "
    where = split(text[-_TAIL:], half_typed)
    begins = letter.isalnum() and where.need == b" " and not where.typed
    return text + (" " if begins else "") + _begun(text, letter)


def shortened(text: str) -> str:
    """The text without its last word, what is attached to it, and the space before it.

    >>> shortened("i would like"), shortened("well, "), shortened("one\\ntwo")
    ('i would', '', 'one\\n')
    """
    whole = text.rstrip()
    word = whole.split()[-1] if whole else ""
    return whole[: len(whole) - len(word)].rstrip(" \t")


def within_word(text: str) -> bool:
    """Whether the last character may be followed by more of its word."""
    return text[-1:].isalnum() or text[-1:] in ("'", "’", "-")


def shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    least = min(len(one), len(other))
    if one[:least] == other[:least]:
        return least
    return next(n for n in range(least) if one[n] != other[n])


def _begun(text: str, piece: str) -> str:
    """A piece as it joins the text: with a capital where a sentence begins, if the person writes with capitals."""
    first = piece.lstrip(" ")[:1]
    if not first.islower() or not split(text[-_TAIL:]).begins_sentence or not is_cased(text):
        return piece
    return piece.replace(first, first.upper(), 1)


class Edit(NamedTuple):
    """One step: from ``kept`` on, ``removed`` gave way to ``added``; ``typed`` if that may end within a word."""

    kept: int
    removed: str
    added: str
    typed: bool


class Draft:
    """A text with the way back and forth: at most 1000 steps."""

    def __init__(self) -> None:
        self.text = ""
        self._done: deque[Edit] = deque(maxlen=_STEPS_BACK)
        self._undone: list[Edit] = []

    @property
    def half_typed(self) -> bool:
        """Whether the last word is being typed: other than after an option, more letters belong to it."""
        return bool(self._done) and self._done[-1].typed and within_word(self.text)

    def become(self, text: str, typed: bool = False) -> bool:
        """Make it another text, in one step; whether it is another one."""
        before = self.text
        if text == before:
            return False
        kept = shared(before, text)
        self._done.append(Edit(kept, before[kept:], text[kept:], typed))
        self._undone.clear()
        self.text = text
        return True

    def add(self, piece: str) -> None:
        """Append characters as they are, such as those of a keyboard."""
        self.become(self.text + piece, typed=True)

    def choose(self, option: str) -> None:
        """Append an option; see ``taken``."""
        self.become(taken(self.text, option))

    def spell(self, letter: str) -> None:
        """Append a character that was chosen; see ``spelt``."""
        self.become(spelt(self.text, letter, self.half_typed), typed=True)

    def word_back(self) -> bool:
        """Take the last word away; whether there was one."""
        return self.become(shortened(self.text))

    def empty(self) -> bool:
        """Take everything away, with a way back; whether there was anything."""
        return self.become("")

    def undo(self) -> bool:
        """Take the last step back; whether there was one."""
        if not self._done:
            return False
        edit = self._done.pop()
        self._undone.append(edit)
        self.text = self.text[: edit.kept] + edit.removed
        return True

    def redo(self) -> bool:
        """Take the last undo back; whether there was one since the last step."""
        if not self._undone:
            return False
        edit = self._undone.pop()
        self._done.append(edit)
        self.text = self.text[: edit.kept] + edit.added
        return True

    def clear(self, text: str = "") -> None:
        """Begin anew, with no way back."""
        self.text = text
        self._done.clear()
        self._undone.clear()
