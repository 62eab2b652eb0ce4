"""How well a language model foresees text: bits per character of phrases, and hits of the next word.

Bits per character come from the canonical tokens of a phrase as they follow the prompt, from the start of the
phrase, without an end symbol: the sum of -log2 P(token | prompt, tokens before) over the number of characters,
spaces included. Each phrase follows the same prompt by itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from volition.core import LoadError
from volition.lab.score import Progress, Scorer
from volition.nodes.text.find import SMOLLM2, default_adapters, find_model
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.prompt import EVERYDAY, Frame, find_frame, is_cased, segments, suited
from volition.nodes.text.proposals import Limits, propose, split
from volition.nodes.text.steering import Steering, prove
from volition.nodes.text.words import Words

T = TypeVar("T")

RANKS = (3, 5)
"""How many offered words a next word may be among to count as a hit."""

CONTEXT = 1000
"""Longest prompt of the product, in tokens."""

_RESAMPLES = 2000


# What is measured


def read_phrases(path: str | Path) -> list[str]:
    """The lines of a UTF-8 file that are not empty.

    Raises
    ------
    LoadError
        When the file is missing, not UTF-8 or holds no line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise LoadError(f"phrases {str(path)!r}: the file is not UTF-8 text") from None
    except OSError as error:
        raise LoadError(f"phrases {str(path)!r}: {error.strerror or error}") from None
    phrases = [line.strip() for line in lines if line.strip()]
    if not phrases:
        raise LoadError(f"phrases {str(path)!r}: the file holds no line; it takes one phrase a line")
    return phrases


def spread(items: Sequence[T], n: int | None) -> list[T]:
    """At most ``n`` of some items, spread evenly over all; all of them for None.

    >>> spread("abcde", 3), spread("ab", 3)
    (['a', 'c', 'e'], ['a', 'b'])
    """
    n = len(items) if n is None else min(n, len(items))
    return [items[k] for k in np.linspace(0, len(items) - 1, n).round().astype(int)]


def mostly_cased(phrases: Sequence[str]) -> bool:
    """Whether more than half of the phrases begin with a capital."""
    return 2 * sum(map(is_cased, phrases)) > len(phrases)


def interval(bits: np.ndarray, characters: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """95 % of bits per character over phrases drawn again with replacement (percentile bootstrap).

    Parameters
    ----------
    bits, characters
        Of each phrase, shape (n,).
    """
    drawn = [rng.integers(0, len(bits), len(bits)) for _ in range(_RESAMPLES)]
    low, high = np.percentile([bits[n].sum() / characters[n].sum() for n in drawn], [2.5, 97.5])
    return float(low), float(high)


# Hits of the next word


@dataclass(frozen=True)
class Hits:
    """How many next words were among the first 3, 5, ... offered ones."""

    words: int
    hits: dict[int, int]

    def rate(self, rank: int) -> float | None:
        """Share of the words; None when there were none."""
        return self.hits[rank] / self.words if self.words else None


def hits(
    phrases: Sequence[str],
    offer: Callable[[str], Sequence[str]],
    progress: Progress | None = None,
    ranks: Sequence[int] = RANKS,
) -> Hits:
    """For each word of each phrase: whether it is among the words that are offered after the text before it.

    Case and punctuation around words do not count; words that are all punctuation are left out.

    Parameters
    ----------
    offer
        Gives words after a text that ends with a whole word, the likeliest first.
    """
    known: dict[str, list[str]] = {}
    words, found = 0, dict.fromkeys(ranks, 0)
    for done, phrase in enumerate(sorted(phrases), 1):  # neighbours share prompts
        for match in re.finditer(r"\S+", phrase):
            wanted = _bare(match.group())
            if not wanted:
                continue
            text = phrase[: match.start()].rstrip()
            if text not in known:
                known[text] = [_bare(word) for word in offer(text)]
            words += 1
            for rank in ranks:
                found[rank] += wanted in known[text][:rank]
        if progress is not None:
            progress(done / len(phrases))
    return Hits(words, found)


def _bare(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word.casefold().replace("’", "'"))


def offering(model: LanguageModel, frame: Frame, cased: bool | None, k: int = max(RANKS)) -> Callable[[str], list[str]]:
    """What gives the first words of the product's own ``k`` options after a text."""
    words = Words(model.pieces, model.special)
    limits = Limits(k=k, n_words=1)

    def offer(text: str) -> list[str]:
        where = split(text)
        model.prefill(segments(where.base, (), model.tokenise, model.opening, CONTEXT, frame, cased=cased))
        options = propose(model, words, where, limits).options
        model.release()
        return [option.text.split()[0] for option in options]

    return offer


@contextmanager
def opened(path: Path, adapters: Mapping[str, float], threads: int = 0) -> Iterator[tuple[LanguageModel, list[str]]]:
    """A model with room for the product's longest prompt, under adapters; which of them do nothing, in words.

    Raises
    ------
    LoadError
        When the model or an adapter cannot be read.
    """
    model = LanguageModel(path, threads, CONTEXT)
    try:
        yield model, prove(model, Steering.of(adapters))
    finally:
        model.close()


# All of it


def evaluate(
    phrases: str | Path | Sequence[str],
    model: str = SMOLLM2,
    adapters: Mapping[str, float] | None = None,
    frame: str = EVERYDAY.name,
    *,
    limit: int | None = None,
    n_hits: int = 200,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bits per character of phrases, and how often the next word is offered.

    The frame is in the style of most phrases. Hit rates come from ``n_hits`` phrases spread evenly over all.

    Parameters
    ----------
    phrases
        A file with one phrase a line, or phrases.
    model
        As ``find_model`` takes it.
    adapters
        LoRA files and their scales; None for the model's own.
    frame
        As ``find_frame`` takes it.
    limit
        Only so many phrases, the first ones; None for all.
    n_hits
        Most phrases that the hit rates come from.
    threads
        Of llama.cpp; 0 for a number that suits the machine.
    progress
        Called with the part that is done, 0..1.

    Returns
    -------
    dict
        ``bits_per_char`` and ``bits_per_char_ci95``; ``hit_rate_at_3``, ``hit_rate_at_5`` (None without any),
        ``hit_phrases``, ``hit_words``; ``phrases``, ``characters``, ``tokens``; ``frame``, ``frame_style``,
        ``frame_tokens``, ``model``, ``adapters``; ``seconds``; ``notes``.

    Raises
    ------
    LoadError
        When a file cannot be read.
    """
    begin = time.perf_counter()
    adapters = default_adapters(model) if adapters is None else adapters
    lines = (read_phrases(phrases) if isinstance(phrases, (str, Path)) else list(phrases))[:limit]
    chosen, cased = suited(find_frame(frame), " ".join(lines)), mostly_cased(lines)
    with opened(find_model(model), adapters, threads) as (language, notes):
        parts = segments("", (), language.tokenise, language.opening, CONTEXT, chosen, cased=cased)
        prompt = [token for part in parts for token in part]
        tokens = [language.tokenise(line) for line in lines]
        half = 0.5 if n_hits else 1.0
        scores = scored(language, prompt, tokens, portion(progress, 0.0, half))
        some = spread(lines, n_hits)
        hit = hits(some, offering(language, chosen, cased), portion(progress, half, 1.0))
    bits = np.array([-score.sum() / np.log(2) for score in scores])
    characters = np.array([len(line) for line in lines])
    return {
        "bits_per_char": float(bits.sum() / characters.sum()),
        "bits_per_char_ci95": list(interval(bits, characters, np.random.default_rng(0))),
        **{f"hit_rate_at_{rank}": hit.rate(rank) for rank in RANKS},
        "hit_phrases": len(some),
        "hit_words": hit.words,
        "phrases": len(lines),
        "characters": int(characters.sum()),
        "tokens": sum(map(len, tokens)),
        "frame": chosen.name,
        "frame_style": "cased" if cased else "lower",
        "frame_tokens": len(prompt),
        "model": model,
        "adapters": [f"{path}:{scale:g}" for path, scale in adapters.items()],
        "seconds": round(time.perf_counter() - begin, 1),
        "notes": notes,
    }


def scored(
    model: LanguageModel, prompt: Sequence[int], phrases: Sequence[Sequence[int]], progress: Progress | None = None
) -> list[np.ndarray]:
    """Natural log-probabilities of the tokens of each phrase after a prompt; see ``Scorer``."""
    scorer = Scorer(model)
    try:
        scorer.prompt(prompt)
        return scorer(phrases, progress)
    finally:
        scorer.close()


def portion(progress: Progress | None, start: float, end: float) -> Progress | None:
    """What reports on a part of the whole, from ``start`` to ``end`` of it."""
    if progress is None:
        return None
    report = progress
    return lambda part: report(start + (end - start) * part)
