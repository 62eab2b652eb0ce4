"""The lines that the adapter learns from, as sequences of tokens."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np

Tokeniser = Callable[[str], list[int]]

_OVERUSED = re.compile(r"\b(tom|mary)('s)?\b", re.IGNORECASE)  # every fifth sentence of one source has them
_LONG = 80  # characters


def mix(stream: Iterable[str], share: float, rng: random.Random, pool: int = 400) -> Iterator[str]:
    """Break up a share of the documents: their lines come in any order, among lines of the same style.

    After a frame of unrelated lines comes a line on anything; in a dialogue each line hints at the next. Long lines are
    left out of the mixture, and out of everything most of those on two people whom only one source knows.
    """
    lines: dict[bool, list[str]] = {False: [], True: []}
    for document in stream:
        found = document.splitlines(keepends=True)
        found = [line for line in found if not _OVERUSED.search(line) or rng.random() < 0.1]
        if rng.random() >= share:
            yield "".join(found)
            continue
        loose = lines[document == document.lower()]
        loose += [line for line in found if len(line) <= _LONG]
        if len(loose) >= pool:
            rng.shuffle(loose)
            while len(loose) > pool // 2:
                yield "".join(loose.pop() for _ in range(8))


def sequences(stream: Iterable[str], tokenise: Tokeniser, length: int) -> Iterator[tuple[list[int], int]]:
    """Sequences of ``length + 1`` tokens that begin with a line, and how many tokens that first line has.

    Documents follow each other without a mark, as lines do in the prompt. A line cut at the end is not gone on with.
    """
    kept: list[int] = []
    first = 0
    for document in stream:
        for line in document.splitlines(keepends=True):
            tokens = tokenise(line)
            first = first or len(tokens)
            kept += tokens
            if len(kept) > length:
                yield kept[: length + 1], min(first, length // 4)
                kept, first = [], 0


def frequent_tokens(stream: Iterable[tuple[list[int], int]], count: int) -> np.ndarray:
    """The most frequent tokens of some sequences, int64, sorted, shape (at most count,)."""
    counts: Counter[int] = Counter()
    for tokens, _ in stream:
        counts.update(tokens)
    return np.array(sorted(token for token, _ in counts.most_common(count)), dtype=np.int64)
