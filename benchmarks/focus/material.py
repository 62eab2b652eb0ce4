"""Positions in phrases where the next word is one of content, and what the eyes could rest on there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from volition.lab.lm import spread
from volition.nodes.text.spelling import is_function_word, normalised, stem

FEWEST = 4
"""Words of a phrase that is taken."""

LOOKED_AT = 3
"""Words in focus."""


class Position(NamedTuple):
    """The text of a phrase so far, the word that comes next, and three content words of other phrases."""

    text: str
    wanted: str
    others: tuple[str, ...]

    @property
    def right(self) -> tuple[str, ...]:
        """The wanted word, and two others."""
        return (self.wanted, *self.others[: LOOKED_AT - 1])

    @property
    def wrong(self) -> tuple[str, ...]:
        """Three others."""
        return self.others


def content_words(phrase: str) -> list[tuple[int, str]]:
    """The places (in words) and the words of a phrase that do not belong to the grammar.

    >>> content_words("i want some bacon for breakfast")
    [(1, 'want'), (2, 'some'), (3, 'bacon'), (5, 'breakfast')]
    """
    words = [normalised(word) for word in phrase.split()]
    return [(n, word) for n, word in enumerate(words) if word.isalpha() and not is_function_word(word)]


def positions(phrases: Sequence[str], n: int, rng: np.random.Generator) -> list[Position]:
    """At most ``n`` positions, spread evenly over those of all phrases of four words or more.

    Parameters
    ----------
    phrases
        One sentence each.
    rng
        Draws the other words, each as often as it is written.
    """
    known = [(line, content_words(line)) for line in dict.fromkeys(phrases) if len(line.split()) >= FEWEST]
    every = [(k, place, word) for k, (_, found) in enumerate(known) for place, word in found]
    found = []
    for k, place, word in spread(every, n):
        line = known[k][0]
        text = " ".join(line.split()[:place])
        found.append(Position(text, word, _others(every, k, {stem(w) for w in line.split()}, rng)))
    return found


def _others(
    every: Sequence[tuple[int, int, str]], phrase: int, stems: set[str], rng: np.random.Generator
) -> tuple[str, ...]:
    """Three words of other phrases, no two inflections of one, and none of a word that this phrase has."""
    drawn: list[str] = []
    for c in rng.permutation(len(every)):
        other, _, word = every[c]
        if other != phrase and stem(word) not in stems:
            drawn.append(word)
            stems = {*stems, stem(word)}
        if len(drawn) == LOOKED_AT:
            break
    return tuple(drawn)
