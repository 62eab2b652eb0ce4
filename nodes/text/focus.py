"""Focus: words that the person looks at make the model lean towards them for a while.

The eyes of someone who writes rest on what the next words are about: in the partner's turn, in a note, in their
own text. Such words get a bounded bonus on the log-probabilities of their tokens. A bonus of at most s nats moves
at most tanh(s / 4) of the probability of the next token: raising a set of tokens of mass m by s gives it
m e^s / (1 + m (e^s - 1)), and the difference to m is largest at m = 1 / (1 + e^(s/2)).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from volition.nodes.text.spelling import is_function_word, normalised, stem
from volition.nodes.text.words import STARTS, Tilt, Words

STRENGTH = 2.0
"""Most that is added to the log-probability of a token, in nats; see benchmarks/focus."""

HALF_LIFE = 8.0
"""After so many seconds a look counts half."""

_LEVELS = 4
_MOST = 12  # words
_SECOND = 1_000_000_000
_INFLECTED = 0.5
"""Of a word's bonus, for its inflections."""

_ENDING = 4  # most letters by which an inflection is longer than its stem
_KEPT = 1000

_WORD = re.compile(r"[^\W_][\w'’-]*")


class Focus:
    """The words that were looked at, and how much that still counts.

    A weight halves in ``half_life`` and is rounded to quarters, so that what depends on it changes now and then
    and not all the time.

    Parameters
    ----------
    half_life
        In seconds.
    """

    def __init__(self, half_life: float = HALF_LIFE):
        self.half_life = half_life
        self._words: dict[str, tuple[int, float]] = {}  # when it was looked at, in ns, and the weight then

    def look(self, words: Mapping[str, float], now: int) -> None:
        """Words are looked at, with weights in 0..1, at ``now`` in ns; a look never lowers a weight."""
        for word, weight in words.items():
            key = normalised(word)
            if key and weight > 0.0:
                self._words[key] = (now, max(min(1.0, weight), self._weight(key, now)))
        self._words = {word: seen for word, seen in self._words.items() if self._level(word, now)}

    def at(self, now: int) -> tuple[tuple[str, float], ...]:
        """Words and weights in 1/4, 1/2, 3/4, 1 at ``now`` in ns; the twelve strongest, in their alphabet's order."""
        levels = {word: self._level(word, now) for word in self._words}
        strongest = sorted((word for word in levels if levels[word]), key=lambda word: (-levels[word], word))
        return tuple((word, levels[word]) for word in sorted(strongest[:_MOST]))

    def forget(self) -> None:
        """Nothing was looked at."""
        self._words = {}

    def _weight(self, word: str, now: int) -> float:
        seen, weight = self._words.get(word, (now, 0.0))
        return weight * 2.0 ** (-max(0, now - seen) / _SECOND / self.half_life)

    def _level(self, word: str, now: int) -> float:
        return math.floor(self._weight(word, now) * _LEVELS + 0.5) / _LEVELS


def neighbours(
    focus: Iterable[tuple[str, float]], texts: Iterable[str], share: float = 0.5, reach: int = 2
) -> dict[str, float]:
    """Words in focus, and the content words beside them in ``texts`` with a ``share`` of their weights.

    Parameters
    ----------
    texts
        Where they may have been looked at: the text, turns, notes.
    reach
        How many words to each side are looked at.
    """
    weights = {normalised(word): weight for word, weight in focus}
    spread = dict(weights)
    for text in texts:
        found = [normalised(word) for word in _WORD.findall(text)]
        for place, word in enumerate(found):
            for near in found[max(0, place - reach) : place + reach + 1] if word in weights else ():
                if not is_function_word(near):
                    spread[near] = max(spread.get(near, 0.0), share * weights[word])
    return spread


def focus_tilt(
    focus: Iterable[tuple[str, float]],
    bias: Iterable[tuple[str, float]],
    words: Words,
    tokenise: Callable[[str], list[int]],
    strength: float = STRENGTH,
) -> Tilt | None:
    """What focus and word biases add to the log-probabilities of tokens; None for nothing.

    A word's bonus goes to its tokens, with a space before it and without, in lower case and with a capital; one
    of several tokens shares it among them by their lengths. Half of it goes to inflections that are one token.
    Words of the grammar (*the*, *you*) get none from focus: eyes pass them all the time.

    Parameters
    ----------
    focus
        Words and weights in 0..1.
    bias
        Words, and what is to be added to the log-probability of each, in nats.
    words, tokenise
        Of the model.
    strength
        What a weight of 1 adds; no token gets more, however many words it is in.
    """
    raised: dict[int, float] = {}
    for word, weight in focus:
        if not is_function_word(word):
            for token, share in tokens_of(word, words, tokenise, inflected=_INFLECTED).items():
                raised[token] = max(raised.get(token, 0.0), share * strength * min(1.0, max(0.0, weight)))
    added: dict[int, float] = {}
    for word, nats in bias:
        for token, share in tokens_of(word, words, tokenise).items():
            added[token] = added.get(token, 0.0) + share * nats
    return Tilt.of(added, raised) if raised or added else None


def tokens_of(
    word: str, words: Words, tokenise: Callable[[str], list[int]], inflected: float = 0.0
) -> dict[int, float]:
    """The tokens of a word, and which share of what is added to the word each of them gets.

    Parameters
    ----------
    inflected
        The share of tokens that are inflections of the word.
    """
    key = (word, inflected)
    if key not in words.spelled:
        if len(words.spelled) >= _KEPT:
            words.spelled.clear()
        words.spelled[key] = _tokens_of(word.strip(), words, tokenise, inflected)
    return words.spelled[key]


def _tokens_of(word: str, words: Words, tokenise: Callable[[str], list[int]], inflected: float) -> dict[int, float]:
    shares: dict[int, float] = {}
    if not word:
        return shares
    if inflected:
        shares = dict.fromkeys(_inflections(word, words), inflected)
    for form in {word, word.lower(), word[:1].upper() + word[1:]}:
        for spelling in (" " + form, form):
            data = spelling.encode()
            tokens = words.index.exactly(data)[:1] or tokenise(spelling)
            pieces = [words.pieces[token] for token in tokens]
            if b"".join(pieces) != data:
                continue  # the tokeniser brings a space of its own
            for token, piece in zip(tokens, pieces, strict=True):
                share = len(piece.strip()) / len(form.encode())
                shares[token] = max(shares.get(token, 0.0), share)
    return shares


def _inflections(word: str, words: Words) -> Sequence[int]:
    """Tokens that are whole words, with a space before them, and have the stem of ``word``."""
    root = stem(word)
    lower = normalised(word)
    shared = next((n for n, (a, b) in enumerate(zip(root, lower, strict=False)) if a != b), min(len(root), len(lower)))
    found = []
    for begin in {lower[:shared], lower[:shared].capitalize()} if shared > 1 else ():
        for token in words.index.extending((" " + begin).encode()).tolist():
            text = words.pieces[token].decode(errors="replace").strip()
            short = len(text) <= len(root) + _ENDING
            if short and words.flags[token] & STARTS and text.lower() != lower and stem(text) == root:
                found.append(token)
    return found
