"""Greedy choice of the lines of a frame: each added at the end, where it lowers bits per character most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from volition.lab.score import Scorer
from volition.nodes.text.llama import LanguageModel

Report = Callable[[str], None]


class Bits:
    """Bits per character of phrases after a prompt.

    Parameters
    ----------
    model, scorer
        What tokenises, and what evaluates.
    phrases
        In the style of the frames that are compared.
    """

    def __init__(self, model: LanguageModel, scorer: Scorer, phrases: Sequence[str]):
        self.model, self.scorer = model, scorer
        self.phrases = phrases
        self.tokens = [model.tokenise(phrase) for phrase in phrases]
        self.characters = sum(map(len, phrases))

    def after(self, prompt: Sequence[int]) -> float:
        """Bits per character after the tokens of a prompt."""
        self.scorer.prompt(prompt)
        return -sum(float(s.sum()) for s in self.scorer(self.tokens)) / math.log(2) / self.characters

    def __call__(self, frame: str) -> float:
        """Bits per character after the text of a frame."""
        return self.after([*self.model.opening, *self.model.tokenise(frame)])


def greedy(
    pool: Sequence[str],
    quick: Callable[[str], float],
    full: Callable[[str], float],
    lines: int,
    tries: int,
    report: Report,
    begin: Sequence[str] = (),
    finalists: int = 8,
) -> list[tuple[list[str], float]]:
    """The best frames of 1, 2, ... lines that are found by adding lines at the end.

    Each step tries ``tries`` lines drawn from the pool on a few phrases, and the best of them on more.

    Parameters
    ----------
    pool
        Lines to choose from, in the style of the phrases.
    quick, full
        Bits per character after a frame: on a few phrases, and on more.
    lines
        How many lines the longest frame has.
    tries
        Lines tried in each step.
    report
        Called with a sentence after each step.
    begin
        Lines to begin with.
    finalists
        Lines that are tried on more phrases.

    Returns
    -------
    For each number of lines, the lines and their bits per character on more phrases.
    """
    rng = np.random.default_rng(0)
    chosen = list(begin)
    found: list[tuple[list[str], float]] = []
    for _ in range(lines - len(chosen)):
        left = [line for line in pool if line not in chosen]
        drawn = [left[n] for n in rng.permutation(len(left))[:tries]]

        def frame(line: str, before: tuple[str, ...] = tuple(chosen)) -> str:
            return "".join(f"{item}\n" for item in (*before, line))

        ranked = sorted(drawn, key=lambda line: quick(frame(line)))[:finalists]
        bits, best = min((full(frame(line)), line) for line in ranked)
        chosen.append(best)
        found.append((list(chosen), bits))
        report(f"{len(chosen)} lines, {bits:.4f} bits/char: {best}")
    return found
