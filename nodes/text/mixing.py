"""A person's own counts mixed into the model's probabilities of words, for one menu.

With lambda and P_cache of ``cache.py``, and V(w) what evidence says of a word (1 without any), Bayes' rule over the
mixture is

    P(w | evidence) = ((1 - lambda) P_model(w) + lambda P_cache(w)) V(w) / Z

The search knows P_model(w) V(w) / Z_model, so it is done in that unit: each word gets a bonus

    b(w) = lambda / (1 - lambda) P_cache(w) V(w) / Z_model

on its probability, and in the end all are divided by the sum of what the model leaves (1, or the probability of what
is typed) and all bonuses. V(w) / Z_model is the mask's Lambda at the word over Lambda at the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from volition.nodes.text.cache import END, Next, WordCache, history, longest, sentences
from volition.nodes.text.mask import TrieMask
from volition.nodes.text.spelling import Split, normalised

Path = tuple[int, ...]

Spell = Callable[[str], Path]
"""The tokens of a text, beginning with its space; () when they cannot spell it."""

_LEAST = 0.003
"""S of a word that is worth an evaluation of the model."""


class Continued:
    """What follows an option: P(w) = (1 - lambda) P_model(w) + lambda P_cache(w), given the option."""

    def __init__(self, known: Next, strength: float, word: str, spelled: bytes, tokens: Path):
        self._known = known
        self._strength = strength
        self._model = 1.0 - strength * known.total()
        self.word, self.spelled, self.tokens = word, spelled, tokens
        """The person's own likeliest next word, and how it is written; empty for none."""

    def log_mixed(self, word: str, log_p: float) -> float:
        """Log-probability of a word of which the model says ``log_p``."""
        return _log(self._model * math.exp(log_p) + self._strength * self._known.of(word))


class Mixing:
    """What the search for one menu needs of a person's own counts.

    Parameters
    ----------
    cache
        The counts.
    where
        How the text was split.
    strength
        Lambda_max, in [0, 1).
    spell
        Gives the tokens of words.
    """

    def __init__(self, cache: WordCache, where: Split, strength: float, spell: Spell):
        self._cache = cache
        self._strength = strength
        self._spell = spell
        self._lead = where.need[:1].decode() if where.need[:1] == b" " else ""
        self._typed = where.need.decode()[len(self._lead) :]
        self._prefix = normalised(self._typed)
        self._before = history(where.base)
        self.known = cache.after(self._before)
        self._continued: dict[str, Continued | None] = {}
        self._odds = strength / (1.0 - strength * self.known.total())

    def brought(self, n: int) -> list[tuple[bytes, Path]]:
        """The person's likeliest words, as the text goes on with them, and their tokens; at most n."""
        found = []
        for word, _ in self.known.best(n, self._prefix, _LEAST):
            written = self._typed + self._cache.form(word)[len(self._typed) :]
            text = self._lead + written
            if normalised(written) == word and (tokens := self._spell(text)):
                found.append((text.encode(), tokens))
        return found

    def log_bonus(self, word: str, leaning: float = 0.0) -> float:
        """Log b(w), where ``leaning`` is log V(w) / Z_model."""
        return _log(self._odds * self.known.of(word)) + leaning

    def log_total(self, leanings: Mapping[str, float], otherwise: float = 0.0) -> float:
        """Log of the sum of all bonuses; ``leanings`` of the words that evidence speaks about, of all others."""
        total = self._odds * self.known.total(self._prefix) * math.exp(otherwise)
        for word, leaning in leanings.items():
            if word.startswith(self._prefix):
                total += self._odds * self.known.of(word) * (math.exp(leaning) - math.exp(otherwise))
        return _log(total)

    def then(self, option: str) -> Continued | None:
        """What the counts say of the word after an option; None for nothing."""
        if option not in self._continued:
            self._continued[option] = self._then(option)
        return self._continued[option]

    def _then(self, option: str) -> Continued | None:
        words = [normalised(word) for found in sentences(option) for word in found]
        known = self._cache.after(longest((*self._before, *words)))
        if not known.parts:
            return None
        # Only what follows the last words is likely enough to grow an option: not what is merely frequent.
        counts = {word: c for word, c in known.parts[0][1].items() if word != END} if len(known.parts) > 1 else {}
        if not counts:
            return Continued(known, self._strength, "", b"", ())
        word = max(counts, key=lambda word: (counts[word], word))
        text = " " + self._cache.form(word)
        return Continued(known, self._strength, word, text.encode(), self._spell(text))


def leanings(mask: TrieMask, pieces: Sequence[bytes]) -> tuple[dict[str, float], float]:
    """Log V(w) / Z_model of the first words of a mask's candidates, and of any other word."""
    at_prompt = mask.log_lambda(())
    if not mask.candidates or not math.isfinite(at_prompt):
        return {}, 0.0
    found: dict[str, float] = {}
    for candidate in mask.candidates:
        text, path = b"", 0
        while path < len(candidate.tokens):
            longer = text + pieces[candidate.tokens[path]]
            if path and len(longer.split()) > 1:
                break
            text, path = longer, path + 1
        word = normalised(text.decode(errors="replace"))
        leaning = mask.log_lambda(candidate.tokens[:path]) - at_prompt
        found[word] = max(leaning, found.get(word, -math.inf))
    return found, mask.log_v_none - at_prompt


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf
