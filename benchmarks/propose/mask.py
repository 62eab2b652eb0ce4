"""New evidence about the options of a menu: how long the mask, and the menu under it, take without evaluation."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.propose.figures import Figure, spread
from benchmarks.propose.subjects import RANDOM, Subject
from benchmarks.propose.texts import beginnings
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.mask import Candidate, TrieMask, prefix_free
from volition.nodes.text.prompt import segments
from volition.nodes.text.proposals import Limits, Split, propose, split
from volition.nodes.text.rows import Rows
from volition.nodes.text.words import STARTS, Tilt, Words

UPDATES = 50
MOST_MS = {RANDOM: 1.0}
_EVIDENCE = 2.0  # standard deviation of log V: a glance, or a few flashes
_LEAST = -9.0  # about the logarithm of 1e-4


class Kept:
    """A model's rows, each asked for once; ``asked`` counts."""

    def __init__(self, model: LanguageModel):
        self._model = model
        self.pieces, self.special = model.pieces, model.special
        self.asked = 0
        self._rows: dict[tuple[int, ...], np.ndarray] = {}

    def after(self, paths: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """As ``LanguageModel.after``."""
        missing = [path for path in paths if path not in self._rows]
        if missing:
            self.asked += len(missing)
            self._rows.update(zip(missing, self._model.after(missing), strict=True))
        return [self._rows[path] for path in paths]


def measure(subject: Subject, threads: int, menus: int) -> Iterator[Figure]:
    """Menus of a few texts, each under many pieces of evidence."""
    model = LanguageModel(subject.path, threads, 512)
    words = Words(model.pieces, model.special)
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {"dense": [], "first": [], "menu": []}
    evaluated = 0
    try:
        for text in itertools.islice(beginnings(1), 2, 2 + 3 * menus, 3):
            where = split(text)
            model.prefill(segments(where.base, (), model.tokenise, model.opening, model.context))
            kept = Kept(model)
            shown = propose(kept, words, where, Limits()).options
            candidates = prefix_free(option.candidate(0.0) for option in shown)
            for log_v in rng.normal(0.0, _EVIDENCE, (UPDATES, len(candidates))).tolist():
                for key, value in _first(kept, words, candidates, log_v).items():
                    times[key].append(value)
                before = kept.asked
                took = _menu(kept, words, where, [replace(c, log_v=v) for c, v in zip(candidates, log_v, strict=True)])
                if kept.asked == before:
                    times["menu"].append(took)
                else:  # other words have become likely, and were looked at
                    evaluated += 1
    finally:
        model.close()
    name, most = subject.name, (MOST_MS.get(subject.name),) * 2
    size = f"{model.n_vocab:,} tokens"
    yield from spread(name, "mask_logits", f"evidence to biased log-probabilities, {size}", times["dense"], most)
    yield from spread(name, "mask_words", "evidence to likeliest first words", times["first"], most)
    yield from spread(name, "mask_menu", "evidence to a whole menu, from known rows", times["menu"])
    share = evaluated / max(1, len(times["dense"]))
    yield Figure(name, "mask_evaluated_share", "... share that wanted another evaluation (not counted)", share)


def _first(kept: Kept, words: Words, candidates: Sequence[Candidate], log_v: list[float]) -> dict[str, float]:
    mask = TrieMask(candidates)
    (row,) = kept.after([()])

    def dense() -> np.ndarray:
        mask.update(log_v)
        shift = mask.shift(())
        return row if shift is None else row + shift.dense(len(row)).astype(np.float32)

    def first() -> list[tuple[int, float]]:
        mask.update(log_v)
        return Rows(words, mask, Tilt.of())((), row).top(STARTS, 5, _LEAST)

    return {"dense": _ms(dense), "first": _ms(first)}


def _menu(kept: Kept, words: Words, where: Split, candidates: Sequence[Candidate]) -> float:
    return _ms(lambda: propose(kept, words, where, Limits(), candidates))


def _ms(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)
