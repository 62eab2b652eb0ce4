"""A newer request while a prompt is evaluated: how soon its own evaluation can begin."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.propose.decode import branches
from benchmarks.propose.figures import Figure, spread
from benchmarks.propose.subjects import RANDOM, Subject, prompts
from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.native import CancelFlag

MOST_MS = {RANDOM: 30.0}
PROMPT = 448


def measure(subject: Subject, threads: int, times: int) -> Iterator[Figure]:
    """The flag is raised at moments spread over the evaluation of a long prompt and of what follows it."""
    flag = CancelFlag()
    model = LanguageModel(subject.path, threads, 512, cancel=flag)
    found = prompts(model, subject.random, PROMPT)
    rng = np.random.default_rng(0)
    waits: list[float] = []
    try:
        begin = time.perf_counter()
        model.prefill([next(found)])
        branches(model)
        whole = time.perf_counter() - begin
        for moment in rng.uniform(0.02, 0.9, times) * whole:
            model.forget()
            wait = _cancelled(model, flag, next(found), moment)
            if wait is not None:
                waits.append(wait)
    finally:
        model.close()
    most = MOST_MS.get(subject.name)
    yield from spread(
        subject.name,
        "cancel",
        f"cancel to next prompt, {len(waits)} times in mid-evaluation",
        waits,
        (most, most),
        tail=100,
    )


def _cancelled(model: LanguageModel, flag: CancelFlag, tokens: list[int], moment: float) -> float | None:
    """Milliseconds from raising the flag until another prompt can be evaluated; None when all was over before."""
    raised: list[float] = []

    def cut() -> None:
        raised.append(time.perf_counter())
        flag.raise_()

    timer = threading.Timer(moment, cut)
    timer.start()
    try:
        model.prefill([tokens])
        branches(model)
    except Cancelled:
        flag.lower()
        return 1e3 * (time.perf_counter() - raised[0])
    finally:
        timer.cancel()
        timer.join()
        flag.lower()
    return None
