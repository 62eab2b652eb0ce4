"""The models that are measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.propose.random_model import EMBEDDED as EMBEDDED_SHAPE
from benchmarks.propose.random_model import QWEN3_06B, random_model
from benchmarks.propose.texts import sentences
from volition.core import LoadError
from volition.nodes.text.find import EMBEDDED, SMOLLM2, find_model
from volition.nodes.text.llama import LanguageModel

RANDOM = "qwen3-0.6b-random"
NAMES = (EMBEDDED, SMOLLM2, RANDOM)


@dataclass(frozen=True)
class Subject:
    """A model, and how it was come by when it is not the one of that name."""

    name: str
    path: Path
    random: bool = False
    note: str = ""


def subject(name: str, folder: str | None = None) -> Subject:
    """The model of a name or a path; random ones are written to ``folder`` first.

    Raises
    ------
    LoadError
        When there is none.
    """
    if name == RANDOM:
        return Subject(name, random_model("qwen3-0.6b", QWEN3_06B, folder), random=True)
    try:
        return Subject(name, find_model(name))
    except LoadError:
        if name != EMBEDDED:
            raise
        note = "random weights of its shape stand in for the embedded model, which this installation lacks"
        return Subject(name, random_model(name, EMBEDDED_SHAPE, folder), random=True, note=note)


def prompts(model: LanguageModel, random: bool, n_tokens: int, seed: int = 0) -> Iterator[list[int]]:
    """Prompts of so many tokens: everyday sentences, or any tokens for a model of random weights."""
    rng = np.random.default_rng(seed)
    lines = sentences(seed)
    while True:
        if random:
            yield rng.integers(300, model.n_vocab, n_tokens).tolist()
            continue
        tokens = list(model.opening)
        while len(tokens) < n_tokens:
            tokens += model.tokenise(next(lines) + "\n")
        yield tokens[:n_tokens]
