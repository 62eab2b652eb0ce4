"""What a person tends to write next: counts of their own words, the newer the heavier.

With c the weighted counts after a history h of 0, 1 or 2 words, N their sum and T how many different words they are,

    lambda_h = trust_h N / (N + T)
    S_h(w)   = lambda_h c(w) / N + (1 - lambda_h) S_h'(w)        h' is h without its oldest word

after Witten and Bell (1991, IEEE Trans. Inf. Theory 37), where the place of the shortest history is taken by the
language model: S sums to less than 1, and what is left, the product of the (1 - lambda_h), is the model's. So

    P(w) = (1 - lambda) P_model(w) + lambda P_cache(w),     lambda = lambda_max sum S,   lambda P_cache = lambda_max S

where lambda_max bounds what the counts may take from the model, however many there are.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from volition.nodes.text.spelling import normalised

START, END = "^", "$"
"""What stands before and after the words of a sentence; no word is written like this."""

ORDER = 3
"""Words of the longest n-gram."""

TRUST = (0.1, 0.5, 1.0)
"""By length of the history: that a word is used at all says little of where, next to what a model knows."""

HALF_LIFE = 5000.0
"""Words after which a count weighs half: about a week of somebody who writes all day."""

COMMON = 32
"""Most words that can be asked for at once."""

MOST = 30_000
"""N-grams that are kept; the lightest go first."""

_WORD = re.compile(r"[^\W_][\w'’-]*")
_BETWEEN = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\n+")
_RESCALE = 1e6

History = tuple[str, ...]


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence of a text, as they are written.

    >>> sentences("Call Anna. I don't know")
    [['Call', 'Anna'], ['I', "don't", 'know']]
    """
    found = (_WORD.findall(part) for part in _BETWEEN.split(text))
    return [words for words in found if words]


def history(text: str) -> History:
    """What the word after ``text`` is predicted from.

    >>> history("We know. call my"), history("Well.")
    (('call', 'my'), ('^',))
    """
    words = [normalised(word) for word in _WORD.findall(_BETWEEN.split(text + " ")[-1])]
    return longest((START, *words))


def longest(words: Sequence[str]) -> History:
    """The end of ``words`` that a prediction depends on."""
    return tuple(words[-(ORDER - 1) :])


@dataclass(frozen=True)
class Next:
    """What the counts say of the next word: the sum S of the module's formula, as parts.

    Attributes
    ----------
    parts
        Of each history, the longest first: the weight of a count, and the counts.
    share
        The sum of S over all words, the end of the sentence among them.
    common
        The most frequent words of all, if those of no history are a part.
    """

    parts: tuple[tuple[float, Mapping[str, float]], ...] = ()
    share: float = 0.0
    common: tuple[str, ...] = ()

    def of(self, word: str) -> float:
        """S of one word, 0..1."""
        return sum(weight * counts.get(word, 0.0) for weight, counts in self.parts)

    def total(self, prefix: str = "") -> float:
        """The sum of S over all words that begin with ``prefix``."""
        if not prefix:
            return self.share
        return math.fsum(
            weight * count for weight, counts in self.parts for word, count in counts.items() if word.startswith(prefix)
        )

    def best(self, n: int, prefix: str = "", least: float = 0.0) -> list[tuple[str, float]]:
        """The n <= ``COMMON`` words with the largest S, at least ``least``, that go on from ``prefix``; best first."""
        words: set[str] = set()
        for place, (_, counts) in enumerate(self.parts):
            # A word that no longer history holds ranks as it does among all: the most frequent ones suffice.
            last = self.common and place == len(self.parts) - 1 and not prefix
            words.update(self.common if last else (word for word in counts if word.startswith(prefix)))
        ranked = sorted((-self.of(word), word) for word in words - {prefix, END})
        return [(word, -value) for value, word in ranked[:n] if -value >= least]


class WordCache:
    """Counts of what a person wrote.

    Parameters
    ----------
    half_life
        In words; infinite for counts that never fade.
    most
        N-grams that are kept.
    """

    def __init__(self, half_life: float = HALF_LIFE, most: int = MOST):
        self.half_life = half_life
        self.most = most
        self._counts: dict[History, dict[str, float]] = {}
        self._sums: dict[History, float] = {}
        self._size = 0
        self._unit = 1.0  # what one word counts now; rises instead of all others falling
        self._forms: dict[str, str] = {}
        self._used: dict[str, int] = {}
        self._now = 0
        self._common: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self._size

    @property
    def n_words(self) -> int:
        """How many different words there are."""
        return len(self._used)

    def add(self, text: str) -> None:
        """Count the words of a finished text."""
        self._common = ()
        for words in sentences(text):
            self._add(words)
        if self._size > self.most:
            self._prune()

    def _add(self, words: Sequence[str]) -> None:
        before = [START]
        for place, word in enumerate([*words, END]):
            key = END if place == len(words) else normalised(word)
            for length in range(min(ORDER, len(before) + 1)):
                self._count(tuple(before[len(before) - length :]), key)
            before.append(key)
            if key == END:
                break
            self._now += 1
            self._used[key] = self._now
            if place or key not in self._forms:  # the first word of a sentence has a capital that is not its own
                self._forms[key] = word
            self._unit *= 2.0 ** (1.0 / self.half_life)
        if self._unit > _RESCALE:
            self._rescale()

    def _count(self, before: History, word: str) -> None:
        counts = self._counts.setdefault(before, {})
        self._size += word not in counts
        counts[word] = counts.get(word, 0.0) + self._unit
        self._sums[before] = self._sums.get(before, 0.0) + self._unit

    def _rescale(self) -> None:
        for counts in self._counts.values():
            for word in counts:
                counts[word] /= self._unit
        self._sums = {before: math.fsum(counts.values()) for before, counts in self._counts.items()}
        self._unit = 1.0

    def _prune(self) -> None:
        """Keep the heaviest nine tenths, so that it is not done at each word."""
        values = sorted((c for counts in self._counts.values() for c in counts.values()), reverse=True)
        least = values[max(1, int(0.9 * self.most)) - 1]
        kept = {h: {w: c for w, c in counts.items() if c > least} for h, counts in self._counts.items()}
        self._counts = {before: counts for before, counts in kept.items() if counts}
        self._sums = {before: math.fsum(counts.values()) for before, counts in self._counts.items()}
        self._size = sum(map(len, self._counts.values()))
        words = {word for counts in self._counts.values() for word in counts}
        self._forms = {word: form for word, form in self._forms.items() if word in words}
        self._used = {word: when for word, when in self._used.items() if word in words}

    def after(self, before: History) -> Next:
        """What the counts say of the word after a history (see ``history``)."""
        parts: list[tuple[float, Mapping[str, float]]] = []
        left = 1.0
        for length in range(len(before), -1, -1):
            key = before[len(before) - length :]
            counts = self._counts.get(key)
            if counts:
                amount = self._sums[key] / self._unit
                share = TRUST[length] * amount / (amount + len(counts))
                parts.append((left * share / self._sums[key], counts))
                left *= 1.0 - share
        if () in self._counts and not self._common:
            counts = self._counts[()]
            self._common = tuple(heapq.nsmallest(COMMON + 1, counts, key=lambda word: (-counts[word], word)))
        return Next(tuple(parts), 1.0 - left, self._common)

    def form(self, word: str) -> str:
        """How the person writes a word: with a capital where it has one."""
        return self._forms.get(word, word)

    def recency(self, word: str) -> float:
        """1 for the word that was written last, half of it ``half_life`` / 10 words later, 0 for one never written."""
        used = self._used.get(word)
        return 0.0 if used is None else 2.0 ** (-10.0 * (self._now - used) / self.half_life)

    def holds(self, words: Iterable[str]) -> bool:
        """Whether any of the words was counted."""
        return any(normalised(word) in self._used for word in words)

    def pack(self) -> dict[str, Any]:
        """As plain dicts, lists, numbers and strings; histories are joined by spaces."""
        return {
            "half_life": self.half_life,
            "most": self.most,
            "unit": self._unit,
            "now": self._now,
            "counts": {" ".join(before): counts for before, counts in self._counts.items()},
            "sums": list(self._sums.values()),
            "forms": self._forms,
            "used": self._used,
        }

    @classmethod
    def unpack(cls, data: Mapping[str, Any]) -> WordCache:
        """What ``pack`` made, the same to the last bit."""
        cache = cls(float(data["half_life"]), int(data["most"]))
        cache._unit, cache._now = float(data["unit"]), int(data["now"])
        cache._counts = {tuple(key.split()): dict(counts) for key, counts in data["counts"].items()}
        cache._sums = dict(zip(cache._counts, map(float, data["sums"]), strict=True))
        cache._size = sum(map(len, cache._counts.values()))
        cache._forms, cache._used = dict(data["forms"]), dict(data["used"])
        return cache
