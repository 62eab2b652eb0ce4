"""Five options of eight tokens after a prompt of 256: ours against calls of ``create_completion``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.propose.figures import Figure
from benchmarks.propose.subjects import RANDOM, Subject, prompts
from volition.nodes.text.find import EMBEDDED
from volition.nodes.text.llama import LanguageModel

K, LENGTH, PROMPT, MORE = 5, 8, 256, 3
_SETTLED = 192  # tokens of the prompt that are one segment, as the frame and the turns are; the others are typed
_ROOM = 64

TARGETS = {RANDOM: {"cached": 2.0, "cold": 3.5}}
CACHED_MS = {EMBEDDED: 15.0}


def branches(model: LanguageModel, k: int = K, length: int = LENGTH) -> list[tuple[int, ...]]:
    """The k likeliest first tokens after the prompt, each continued with the likeliest ones."""
    (row,) = model.after([()])
    best = np.argpartition(-row, k)[:k]
    paths: list[tuple[int, ...]] = [(int(token),) for token in best[np.argsort(-row[best])]]
    while len(paths[0]) < length:
        rows = model.after(paths)
        paths = [(*path, int(row.argmax())) for path, row in zip(paths, rows, strict=True)]
    return paths


class Ours:
    """The three states of the cache, ours."""

    def __init__(self, model: LanguageModel):
        self._model = model

    def _menu(self, tokens: list[int]) -> list[tuple[int, ...]]:
        self._model.prefill([tokens[:_SETTLED], *([token] for token in tokens[_SETTLED:])])
        return branches(self._model)

    def cold(self, tokens: list[int]) -> list[tuple[int, ...]]:
        """Nothing is known."""
        self._model.forget()
        return self._menu(tokens)

    def cached(self, tokens: list[int]) -> list[tuple[int, ...]]:
        """The prompt was the last one; what came after it is forgotten."""
        self._model.forget(prompt=False)
        return self._menu(tokens)


class Calls:
    """Five calls of ``create_completion``, the likeliest token each time: choosing at random would cost more."""

    def __init__(self, subject: Subject, n_context: int, threads: int):
        from llama_cpp import Llama

        self._llama = Llama(
            str(subject.path), n_ctx=n_context, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def _call(self, tokens: list[int]) -> dict[str, Any]:
        answer: dict[str, Any] = self._llama.create_completion(tokens, max_tokens=LENGTH, temperature=0.0)
        return answer

    def fits(self, tokens: list[int]) -> bool:
        """Whether the model goes on for so many tokens before it ends the text."""
        return bool(self._call(tokens)["usage"]["completion_tokens"] == LENGTH)

    def reused(self, tokens: list[int]) -> str:
        """Each call finds what it shares with the last one."""
        texts = [str(self._call(tokens)["choices"][0]["text"]) for _ in range(K)]
        return texts[0]

    def fresh(self, tokens: list[int]) -> None:
        """Each call begins with nothing."""
        for _ in range(K):
            self._llama.reset()
            self._call(tokens)

    def close(self) -> None:
        """Free the model."""
        self._llama.close()


class Watch:
    """Milliseconds of calls, by name: on the clock, and of processor time, which a busy machine does not stretch."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        self.cpu.setdefault(name, []).append(1e3 * (time.process_time() - cpu))
        self.wall.setdefault(name, []).append(1e3 * (time.perf_counter() - wall))
        return result


def measure(subject: Subject, threads: int, rounds: int) -> Iterator[Figure]:
    """Interleaved rounds, each with a prompt of its own."""
    model = LanguageModel(subject.path, threads, PROMPT + _ROOM)
    calls = Calls(subject, model.context + 8 * model.sequences, threads)
    watch = Watch()
    same = 0
    try:
        found = (t for t in prompts(model, subject.random, PROMPT + MORE) if calls.fits(t) and calls.fits(t[:PROMPT]))
        for number in range(rounds):
            tokens = next(found)
            for part in (_ours, _theirs) if number % 2 else (_theirs, _ours):
                part(watch, model, calls, tokens)
            # Not timed: the first option is what plain completion gives, but for rounding.
            same += model.detokenise(Ours(model).cached(tokens)[0]) == calls.reused(tokens)
    finally:
        model.close()
        calls.close()
    yield from _figures(subject.name, watch)
    yield Figure(subject.name, "first_option_as_completion", f"first option as in a call, of {rounds}", same)


def _ours(watch: Watch, model: LanguageModel, _: Calls, tokens: list[int]) -> None:
    ours = Ours(model)
    watch("ours_cold", lambda: ours.cold(tokens[:PROMPT]))
    watch("ours_cached", lambda: ours.cached(tokens[:PROMPT]))
    watch("ours_more", lambda: ours.cached(tokens))


def _theirs(watch: Watch, _: LanguageModel, calls: Calls, tokens: list[int]) -> None:
    watch("calls_cold", lambda: calls.fresh(tokens[:PROMPT]))
    watch("calls_cached", lambda: calls.reused(tokens[:PROMPT]))
    watch("calls_more", lambda: calls.reused(tokens))


def _figures(name: str, watch: Watch) -> Iterator[Figure]:
    what = {"cold": "cold", "cached": "prompt cached", "more": f"prompt cached + {MORE} tokens"}
    middle = {key: statistics.median(values) for key, values in watch.wall.items()}
    cpu = {key: statistics.median(values) for key, values in watch.cpu.items()}
    for state, words in what.items():
        most = CACHED_MS.get(name) if state == "cached" else None
        ours, calls = f"ours_{state}", f"calls_{state}"
        yield Figure(name, f"{ours}_ms", f"{K} x {LENGTH} tokens, {words}: ours, ms", middle[ours], most)
        label = "each begun anew" if state == "cold" else "prefix reused"
        yield Figure(name, f"{calls}_ms", f"... {K} calls, {label}, ms", middle[calls])
        least = TARGETS.get(name, {}).get(state)
        yield Figure(name, f"{state}_ratio", "... calls over ours", middle[calls] / middle[ours], least=least)
        yield Figure(name, f"{state}_ratio_cpu", "... the same of processor time", cpu[calls] / cpu[ours])
