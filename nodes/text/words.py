"""The vocabulary of a language model as words: which tokens begin, continue or end one."""

from __future__ import annotations

import math
import re
import unicodedata
import weakref
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

STARTS = 1
"""A space and the beginning of a word."""
INNER = 2
"""Letters, digits, apostrophes and hyphens only."""
BOUNDARY = 4
"""What may follow a complete word."""
ENDS_LINE = 8
"""A line end, or a control token."""
NOT_LATIN = 16
"""Holds a letter of another script than Latin."""
NOT_CYRILLIC = 32
"""Holds a letter of another script than Cyrillic."""

SCRIPTS = {"latin": NOT_LATIN, "cyrillic": NOT_CYRILLIC}
"""Scripts that options may be limited to, and what the tokens then must not be."""

_LINE_END = re.compile(rb"^\s*[\r\n]")
_ASCII_WORD = re.compile(r"^[0-9A-Za-z'-]+$")
_CONTINUATION = bytes(range(0x80, 0xC0))
_LATIN_END = "\u024f"
_CYRILLIC = range(0x400, 0x530)
_NEEDS = 64
_ROWS = 512


def _stand_in(piece: bytes) -> str:
    """A token's characters; one of which it holds a part only is stood for by one of the same kind.

    The end of a character becomes "0", which is no letter of any script; the beginning of one is told by
    its first byte: Latin to U+024F, Cyrillic, other letters, or no letter.
    """
    body = piece.lstrip(_CONTINUATION)
    head = "0" if len(body) < len(piece) else ""
    try:
        return head + body.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return head + body.decode(errors="replace")
        lead = body[error.start]
        kinds = ((0xC3, 0xC9, "é"), (0xD0, 0xD3, "я"), (0xCA, 0xDF, "ω"), (0xE0, 0xE1, "ω"), (0xE3, 0xED, "ω"))
        letter = next((letter for low, high, letter in kinds if low <= lead <= high), "\ufffd")
        return head + body[: error.start].decode() + letter


def _is_word_character(character: str) -> bool:
    return character in "'’-" or unicodedata.category(character)[0] in "LNM"


def _is_word(text: str) -> bool:
    return bool(_ASCII_WORD.match(text)) or (bool(text) and all(map(_is_word_character, text)))


def _scripts(text: str) -> int:
    """Flags of the scripts that ``text`` leaves."""
    flags = 0
    for character in text:
        if character.isalpha():
            if character > _LATIN_END:
                flags |= NOT_LATIN
            if ord(character) not in _CYRILLIC:
                flags |= NOT_CYRILLIC
    return flags


def kind(piece: bytes, special: bool = False) -> int:
    """Flags of a token: its bytes, and whether it ends a text or controls the model.

    >>> kind(b" the") == STARTS | BOUNDARY | NOT_CYRILLIC, kind(b".") == BOUNDARY
    (True, True)
    """
    if special:
        return BOUNDARY | ENDS_LINE
    text = _stand_in(piece)
    flags = _scripts(text)
    if _is_word(text):
        flags |= INNER
    elif text[:1] == " " and _is_word(text[1:]) and text[1] not in "'’-":
        flags |= STARTS
    if not text or not _is_word_character(text[0]):
        flags |= BOUNDARY
    if _LINE_END.match(piece):
        flags |= ENDS_LINE
    return flags


class PieceIndex:
    """Finds the tokens that agree with bytes that the text must go on with.

    Parameters
    ----------
    pieces
        Bytes of every token, by number; tokens without bytes are never found.
    """

    def __init__(self, pieces: Sequence[bytes]):
        order = sorted((piece, token) for token, piece in enumerate(pieces) if piece)
        self._sorted = [piece for piece, _ in order]
        self._tokens = np.array([token for _, token in order], dtype=np.int64)

    def extending(self, prefix: bytes) -> np.ndarray:
        """Numbers of the tokens whose bytes begin with ``prefix``, rising."""
        begin = bisect_left(self._sorted, prefix)
        top = prefix.rstrip(b"\xff")
        end = bisect_left(self._sorted, top[:-1] + bytes([top[-1] + 1])) if top else len(self._sorted)
        return np.sort(self._tokens[begin:end])

    def exactly(self, piece: bytes) -> list[int]:
        """Numbers of the tokens whose bytes are ``piece``."""
        place, found = bisect_left(self._sorted, piece), []
        while place < len(self._sorted) and self._sorted[place] == piece:
            found.append(int(self._tokens[place]))
            place += 1
        return found

    def inside(self, prefix: bytes) -> np.ndarray:
        """Numbers of the tokens that ``prefix`` begins with, and is longer than, rising."""
        found = [token for size in range(1, len(prefix)) for token in self.exactly(prefix[:size])]
        return np.array(sorted(found), dtype=np.int64)


class Digest:
    """What is summed and looked up once in the log-probabilities of a next token, whatever shifts them later."""

    def __init__(self, words: Words):
        self._words = words
        self._masses: dict[tuple[int, int], float] = {}
        self._least = math.inf
        self._likely = np.empty(0, dtype=np.int64)

    def mass(self, log_p: np.ndarray, required: int, forbidden: int) -> float:
        """The probability of the tokens with all flags ``required`` and none of ``forbidden``."""
        key = (required, forbidden)
        if key not in self._masses:
            self._masses[key] = self._words.mass(np.exp(log_p), required, forbidden)
        return self._masses[key]

    def likely(self, log_p: np.ndarray, least: float) -> np.ndarray:
        """Numbers of all tokens likelier than ``least``, and perhaps of others; rising."""
        if least < self._least:
            self._least = least - 1.0  # evidence may ask for a little more the next time
            self._likely = np.flatnonzero(log_p > self._least)
        return self._likely


class Words:
    """Which tokens of a vocabulary begin, continue or end a word.

    Parameters
    ----------
    pieces
        Bytes of every token.
    special
        Numbers of the tokens that end a text or control the model.

    Attributes
    ----------
    flags
        Of every token, uint8, shape (n_vocab,); see ``kind``.
    spelled
        What was found out about the tokens of words; see ``focus.tokens_of``.
    """

    def __init__(self, pieces: Sequence[bytes], special: np.ndarray):
        self.n_vocab = len(pieces)
        self.pieces = pieces
        self.index = PieceIndex(pieces)
        control = set(special.tolist())
        kinds = (kind(piece, token in control) for token, piece in enumerate(pieces))
        self.flags = np.fromiter(kinds, dtype=np.uint8, count=len(pieces))
        self.spelled: dict[tuple[str, float], dict[int, float]] = {}
        self._vectors: dict[tuple[int, int], np.ndarray] = {}
        self._needs: OrderedDict[bytes, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._digests: OrderedDict[int, tuple[weakref.ref[np.ndarray], Digest]] = OrderedDict()

    def agreeing(self, need: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Tokens that fulfil ``need`` as the beginning of a word, and those that fulfil a part of it; rising."""
        if need not in self._needs:
            whole = self.index.extending(need)
            self._needs[need] = (whole[self.flags[whole] & (STARTS | INNER) > 0], self.index.inside(need))
            if len(self._needs) > _NEEDS:
                self._needs.popitem(last=False)
        return self._needs[need]

    def vector(self, required: int, forbidden: int) -> np.ndarray:
        """1 at the tokens with all flags ``required`` and none of ``forbidden``, else 0; float32, (n_vocab,)."""
        key = (required, forbidden)
        if key not in self._vectors:
            fits = ((self.flags & required) == required) & ((self.flags & forbidden) == 0)
            self._vectors[key] = fits.astype(np.float32)
        return self._vectors[key]

    def mass(self, probabilities: np.ndarray, required: int, forbidden: int) -> float:
        """The sum of ``probabilities``, shape (n_vocab,), over the tokens of ``vector``."""
        # Not a matrix product: BLAS would wake its threads, which contend with those of the model.
        return float(np.einsum("i,i->", probabilities, self.vector(required, forbidden)))

    def digest(self, log_p: np.ndarray) -> Digest:
        """Of a row, shape (n_vocab,), that does not change; kept as long as the row is."""
        known = self._digests.get(id(log_p))
        if known is None or known[0]() is not log_p:  # the number of an array that is gone may be used again
            known = (weakref.ref(log_p), Digest(self))
            self._digests[id(log_p)] = known
            if len(self._digests) > _ROWS:
                self._digests.popitem(last=False)
        return known[1]


@dataclass(frozen=True)
class Tilt:
    """What is added to the log-probabilities of a few tokens at every step, whatever came before.

    Attributes
    ----------
    tokens
        Their numbers, rising, int64, shape (n,).
    bias
        What was learned or set about each token, in nats, float64, shape (n,).
    focus
        What the person's attention adds, likewise.
    """

    tokens: np.ndarray
    bias: np.ndarray
    focus: np.ndarray

    @classmethod
    def of(cls, bias: Mapping[int, float] | None = None, focus: Mapping[int, float] | None = None) -> Tilt:
        """From what is added to each token.

        Raises
        ------
        ValueError
            When a value is not finite: a token is forbidden by other means.
        """
        bias, focus = bias or {}, focus or {}
        tokens = sorted({*bias, *focus})
        parts = [np.array([float(part.get(token, 0.0)) for token in tokens]) for part in (bias, focus)]
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError("a tilt is finite at every token")
        return cls(np.array(tokens, dtype=np.int64), *parts)
