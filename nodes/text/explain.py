"""What the model's share of an option comes from: the weights as shipped, remembered lines, adapters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.proposals import Proposal
from volition.nodes.text.words import BOUNDARY, Words

Segments = Sequence[Sequence[int]]
_AT_ONCE = 16


def scores(model: LanguageModel, words: Words, paths: Sequence[tuple[int, ...]]) -> list[float]:
    """Log-probability of each path after the model's prompt, with the end of a word after it."""
    prefixes = sorted({path[:n] for path in paths for n in range(len(path) + 1)}, key=lambda p: (len(p), p))
    rows: dict[tuple[int, ...], np.ndarray] = {}
    for begin in range(0, len(prefixes), _AT_ONCE):
        some = prefixes[begin : begin + _AT_ONCE]
        rows.update(zip(some, model.after(some), strict=True))
    found = []
    for path in paths:
        steps = math.fsum(float(rows[path[:n]][token]) for n, token in enumerate(path))
        ends = words.digest(rows[path]).mass(rows[path], BOUNDARY, 0)
        found.append(steps + math.log(max(ends, 1e-300)))
    return found


class Explainer:
    """Splits the share ``model`` of each option into ``base``, ``memory`` and ``adapter``.

    They are added in this order: the model as shipped with the prompt but for remembered lines; with these;
    with adapters and control vector. It takes a second copy of the model, which has none of them.

    Parameters
    ----------
    model, words
        What made the options; holds their prompt.
    """

    def __init__(self, model: LanguageModel, words: Words):
        self._model = model
        self._words = words
        self._reference: LanguageModel | None = None

    def __call__(self, options: Sequence[Proposal], full: Segments, bare: Segments) -> tuple[Proposal, ...]:
        """The options with their shares split; as they are, where there was no time.

        Parameters
        ----------
        full, bare
            The prompt with and without remembered lines, in segments.
        """
        paths = [option.tokens for option in options]
        steered = any(self._model.steering.weights)
        try:
            now = scores(self._model, self._words, paths)
            reference = self._shipped() if steered else self._model
            reference.prefill(bare)
            base = scores(reference, self._words, paths)
            reference.prefill(full)
            remembered = scores(reference, self._words, paths) if steered else now
        except Cancelled:
            return tuple(options)
        return tuple(
            replace(option, why=_split(option.why, m - b, n - m))
            for option, b, m, n in zip(options, base, remembered, now, strict=True)
        )

    def _shipped(self) -> LanguageModel:
        if self._reference is None:
            model = self._model
            self._reference = LanguageModel(
                model.path, model.threads, model.context, model.sequences, cancel=model.cancel
            )
        return self._reference

    def close(self) -> None:
        """Free the second copy."""
        if self._reference is not None:
            self._reference.close()


def _split(why: dict[str, float], memory: float, adapter: float) -> dict[str, float]:
    rest = {name: share for name, share in why.items() if name != "model"}
    return {"base": why["model"] - memory - adapter, "memory": memory, "adapter": adapter, **rest}
