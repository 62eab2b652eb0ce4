"""Letters to choose from: how likely each comes next, and how they are put on menus.

A menu of K options and *none* shows letters, or groups of letters, of which one is opened by choosing it; *none*
turns to further groups, in a group it goes back. The arrangement has the least expected number of selections that
such menus allow. That is Huffman's problem with two kinds of branching: a group opens into K, *none* into K and the
next *none*. Only how many letters lie at each depth matters, for the likelier never lies deeper, so a short dynamic
programme over (places at this depth, letters placed) finds it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.prompt import EVERYDAY_RU
from volition.nodes.text.proposals import Proposal
from volition.nodes.text.rows import Rows
from volition.nodes.text.search import Model, Path
from volition.nodes.text.spelling import Split
from volition.nodes.text.words import Words

SIGNS = " '-.,?!0123456789"
_LATIN = "abcdefghijklmnopqrstuvwxyz"
_CYRILLIC = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
LATIN = _LATIN + SIGNS
CYRILLIC = _CYRILLIC + SIGNS

_COUNTS = {
    " ": 169072, "e": 92209, "t": 71097, "o": 66591, "a": 54421, "i": 52487, "n": 45259, "h": 43549, "s": 41834,
    "r": 40126, "l": 30143, "d": 27951, "u": 24807, "y": 24430, "m": 22053, "w": 20747, ".": 18239, "c": 17740,
    "g": 16709, "f": 13157, "p": 12359, "b": 11439, "k": 10438, "v": 7437, "?": 6896, "'": 6368, ",": 5146,
    "x": 1158, "j": 789, "z": 402, "!": 297, "q": 275, "-": 194, "1": 27, "9": 23, "4": 10, "2": 8, "8": 8, "7": 7,
    "0": 6, "6": 3, "5": 2, "3": 1,
}  # fmt: skip
"""Own count of models/text/en_sent_everyday.txt, without case."""

_RUSSIAN = {
    "о": 9.55, "е": 9.05, "а": 8.09, "т": 7.90, "и": 5.53, "н": 5.26, "с": 4.59, "л": 4.07, "ь": 3.68, "в": 3.57,
    "р": 3.55, "ы": 3.33, "м": 3.27, "д": 3.14, "к": 3.14, "у": 2.91, "п": 2.71, "я": 2.65, "ш": 2.55, "ч": 1.93,
    "з": 1.64, "б": 1.63, "г": 1.47, "ж": 1.19, "й": 0.84, "х": 0.77, "ю": 0.70, "э": 0.54, "щ": 0.27, "ц": 0.21,
    "ф": 0.14, "ё": 0.12, "ъ": 0.02,
}  # fmt: skip
"""Percent of all letters, own count of short everyday sentences (ru_sent_short_koziev of the texts that models/ is made
from); space and marks are taken to be as frequent as in English."""

_LEAST = 1e-4  # of a character that the counts know little of
_OTHER_SCRIPT = 0.02  # share of a letter's frequency that is left where another script is written
_SMOOTHING = 0.02  # share of the table in what the model says
_NEGLIGIBLE = 1e-3  # share of the likeliest path
_WIDTH = 8
_STEPS = 4
_PART = ""  # stands for a character of which a token holds the beginning only


def alphabet(text: str, turns: Sequence[str] = (), frame: str = "") -> str:
    """The characters that can be chosen: letters of the script in use, then of another one in use, and signs.

    The last letter of the text, else of the last turn, tells the script, else the frame; what else is in these is
    in use, too.

    >>> alphabet("я хочу") == CYRILLIC, alphabet("") == LATIN, alphabet("tv", ["привет"])[:29]
    (True, True, 'abcdefghijklmnopqrstuvwxyzабв')
    """
    letters = [c for line in (text, *reversed(turns)) for c in reversed(line) if c.isalpha()]
    if frame == EVERYDAY_RU.name:
        letters.append("я")
    scripts = dict.fromkeys(_CYRILLIC if "\u0400" <= c <= "\u04ff" else _LATIN for c in letters or "a")
    return "".join(scripts) + SIGNS


def frequencies(characters: str, begins_word: bool = False) -> dict[str, float]:
    """How likely each of the characters of an alphabet is without a model; none is impossible.

    A space is not likely where a word begins, nor is a letter of another script than the first.
    """
    counts: dict[str, float] = dict(_COUNTS)
    share = sum(n for c, n in _COUNTS.items() if c.isalpha()) / sum(_RUSSIAN.values())
    counts |= {c: p * share for c, p in _RUSSIAN.items()}
    if begins_word:
        counts[" "] = 0.0
    for other in (_LATIN, _CYRILLIC):
        if characters[0].isalpha() and characters[0] not in other:
            counts |= {c: _OTHER_SCRIPT * counts[c] for c in other}
    total = sum(counts.get(c, 0.0) for c in characters) or 1.0
    return _normalised({c: max(_LEAST, counts.get(c, 0.0) / total) for c in characters})


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(weights.values())
    return {c: weight / total for c, weight in weights.items()}


class NextCharacters:
    """How likely each character comes next, from a language model's next tokens.

    Parameters
    ----------
    words
        The vocabulary.
    """

    def __init__(self, words: Words):
        self._words = words
        self._tokens = np.array([token for token, piece in enumerate(words.pieces) if piece], dtype=np.int64)
        self._after = lru_cache(64)(self._find)
        for need in (b"", b" "):  # these two take as long as a menu
            self._after(need, b"")

    def __call__(self, model: Model, rows: Rows, where: Split, characters: str) -> tuple[dict[str, float], bool]:
        """P of each of ``characters``, sums to 1, none is 0; and whether the model was asked to the end.

        After a whole word, a letter or digit stands for a space and itself, any other character for itself.

        Parameters
        ----------
        model
            Holds the evaluated prompt, which ends with the ``base`` of ``where``.
        rows
            Shifts the model's log-probabilities.
        where
            How the text was split.
        characters
            Those that can be chosen, in small letters; one that the model gives a capital counts, too.
        """
        between = where.need == b" " and where.typed == 0
        found, complete = self.masses(model, rows, where.need)
        if between and complete:
            found = {c: p for c, p in found.items() if c.isalnum()}
            direct, complete = self.masses(model, rows, b"", steps=1)
            found |= {c: p for c, p in direct.items() if not c.isalnum() and c != " "}
        begins_word = where.need in (b"", b" ")
        table = frequencies(characters, begins_word)
        total = math.fsum(found.get(c, 0.0) for c in characters)
        if not total > 0.0:
            return table, complete
        return {c: (1 - _SMOOTHING) * found.get(c, 0.0) / total + _SMOOTHING * table[c] for c in characters}, complete

    def masses(
        self, model: Model, rows: Rows, need: bytes, steps: int = _STEPS, negligible: float = _NEGLIGIBLE
    ) -> tuple[dict[str, float], bool]:
        """P(the text goes on with ``need`` and the character) of every character, and whether that is all of it.

        Tokens that reach beyond ``need`` count for the character after it; paths that end within it, at it, or in
        the middle of a character are followed, the likeliest first, for at most ``steps`` evaluations, unless they are
        ``negligible`` beside the others.
        """
        found: dict[str, float] = {}
        waiting: list[tuple[float, Path, bytes]] = [(0.0, (), b"")]  # -log P, the path, its bytes
        for _ in range(steps):
            waiting.sort()
            likely = max([math.fsum(found.values()), *(math.exp(-cost) for cost, _, _ in waiting[:1])])
            batch = [branch for branch in waiting[:_WIDTH] if math.exp(-branch[0]) >= negligible * likely]
            waiting = waiting[len(batch) :]
            if not batch:
                break
            try:
                evaluated = model.after([path for _, path, _ in batch])
            except Cancelled:
                return found, False
            for (cost, path, text), log_p in zip(batch, evaluated, strict=True):
                tokens, kinds, names = self._after(need[len(text) :], text[len(need) :])
                values = rows(path, log_p).values(tokens) - cost
                sums = np.bincount(kinds, weights=np.exp(values), minlength=len(names)).tolist()
                for name, p in zip(names[1:], sums[1:], strict=True):
                    found[name] = found.get(name, 0.0) + p
                for n in np.flatnonzero((kinds == 0) & np.isfinite(values)).tolist():
                    token = int(tokens[n])
                    waiting.append((-float(values[n]), (*path, token), text + self._words.pieces[token]))
        return found, True

    def _find(self, lead: bytes, begun: bytes) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Tokens that agree with ``lead``, rising; the number of the character that each leads to, and their names.

        ``begun`` are the first bytes of that character. Number 0 is ``_PART``.
        """
        index = self._words.index
        tokens = np.union1d(index.extending(lead), index.inside(lead)) if lead else self._tokens
        names = [_PART]
        numbers = {_PART: 0}
        kept, kinds = [], []
        for token in tokens.tolist():
            name = _first_character(begun + self._words.pieces[token][len(lead) :])
            if name is None:
                continue
            if name not in numbers:
                numbers[name] = len(names)
                names.append(name)
            kept.append(token)
            kinds.append(numbers[name])
        return np.array(kept, dtype=np.int64), np.array(kinds, dtype=np.int64), names


def _first_character(data: bytes) -> str | None:
    """The first character in small letters; empty when the bytes do not reach that far, None when they are none."""
    if not data:
        return _PART
    lead = data[0]
    size = 1 if lead < 0x80 else 2 if 0xC2 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4
    try:
        character = data[:size].decode().lower()[:1]
    except UnicodeDecodeError as error:
        return _PART if error.reason == "unexpected end of data" else None
    return "'" if character == "’" else character


def counts_by_depth(p: Sequence[float], k: int, turning: bool) -> tuple[list[int], float]:
    """How many letters lie one selection away, two, ...; and the expected number of selections.

    Parameters
    ----------
    p
        Probabilities, falling; shape (n,).
    k
        Options of a menu.
    turning
        Whether ``none`` turns to k more places.
    """
    n = len(p)
    if k == 1:
        return [1] * n, math.fsum(selections * share for selections, share in enumerate(p, 1))
    tail = [math.fsum(p[i:]) for i in range(n + 1)]
    more = k if turning else 0

    @lru_cache(None)
    def best(places: int, i: int) -> tuple[float, int]:
        if places >= n - i:
            return tail[i], n - i
        options = []
        for here in range(places + 1):
            following = (places - here) * k + more
            if following > (places if here == 0 else 0):  # else it would never end
                options.append((tail[i] + best(min(n - i - here, following), i + here)[0], here))
        return min(options)

    counts: list[int] = []
    places, i = k, 0
    while i < n:
        here = best(min(places, n - i), i)[1]
        counts.append(here)
        places, i = (places - here) * k + more, i + here
    return counts, best(min(k, n), 0)[0]


def arranged(p: Mapping[str, float], k: int, turning: bool = True) -> list[str]:
    """What the options of the first menu hold, the likeliest first: a letter, or several.

    What is missing comes after ``none``, where that turns to further groups.
    """
    order = sorted(p, key=lambda c: (-p[c], c))
    counts, _ = counts_by_depth([p[c] for c in order], k, turning)
    held = [""] * k
    places: list[int | None] = list(range(k))  # the option that each place is in; None on a later menu
    letters = iter(order)
    left = len(order)
    for here in counts:
        for place in places[:here]:
            letter = next(letters)
            if place is not None:
                held[place] += letter
        left -= here
        places = [place for place in places[here:] for _ in range(k)]
        places = [*places, *([None] * k if turning else [])][: max(left, 1)]
    return sorted(filter(None, held), key=lambda group: -math.fsum(p[c] for c in group))


def letter_options(
    p: Mapping[str, float], k: int, group: str = "", refused: Sequence[str] = ()
) -> tuple[list[Proposal], Literal["letters", "groups"]]:
    """The options of a menu, and what they are: ``letters`` or ``groups``.

    Parameters
    ----------
    p
        Of every character.
    k
        Most options.
    group
        Offer these only.
    refused
        Groups that ``none`` was said to: their characters are not offered, unless there are no others.
    """
    offered = [c for c in p if c in group] if group else list(p)
    left = [c for c in offered if not any(c in texts for texts in refused)] or offered
    weights = _normalised({c: p[c] for c in left})
    groups = arranged(weights, k, turning=not group or k == 1)
    options = [Proposal(text, min(0.0, math.log(math.fsum(weights[c] for c in text)))) for text in groups]
    return options, "letters" if all(len(text) == 1 for text in groups) else "groups"
