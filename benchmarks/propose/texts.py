"""Everyday sentences without end, for prompts that were not seen before."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

_PARTS = (
    "can you please|i would like to|we should really|tell him to|they never want to|do you think she can|"
    "my sister wants to|it is time to|please do not|why did you",
    "bring|find|open|clean|buy|carry|forget|look for|talk about|pay for|wait for|move|fix|cook|show me",
    "the old radio|my blue coat|a cup of tea|some bread|the garden chair|your letter|the doctor|our dinner|"
    "her new phone|the kitchen window|those flowers|a quiet room|the big dog|that story|the train tickets",
    "before it gets dark|when you have time|because it is cold outside|with my brother|after the meeting|"
    "for the children|if that is all right|next to the door|on your way home|as soon as you can",
)


def sentences(seed: int) -> Iterator[str]:
    """Lower-case sentences; 22,500 different ones."""
    rng = np.random.default_rng(seed)
    parts = [part.split("|") for part in _PARTS]
    while True:
        yield " ".join(choices[rng.integers(len(choices))] for choices in parts)


def beginnings(seed: int) -> Iterator[str]:
    """Each sentence as it is written, word by word."""
    for sentence in sentences(seed):
        yield from itertools.accumulate(sentence.split(), lambda text, word: f"{text} {word}")


def turns(seed: int, n: int) -> tuple[str, ...]:
    """A conversation of ``n`` sentences."""
    return tuple(itertools.islice(sentences(seed), n))
