"""Menus computed ahead while the person chooses: how many are ready, and what it costs when none is."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.propose.figures import Figure, spread
from benchmarks.propose.subjects import Subject
from benchmarks.propose.texts import beginnings, sentences
from volition.nodes.text.process import ModelProcess
from volition.nodes.text.proposer import Settings
from volition.nodes.text.requests import Proposals, Request, following

PAUSES = (0.5, 1.0, 2.0)
READY_MS = 5.0
_LONGEST = 12  # words of a sentence, then another one begins
_FORESEEN = 0.5


def belief(shown: Proposals) -> dict[str, float]:
    """The probability of each option and of "none"; they sum to 1."""
    p = {str(n): float(np.exp(option.log_probability)) for n, option in enumerate(shown.options, 1)}
    p["none"] = shown.p_none
    total = sum(p.values())
    return {option: value / total for option, value in p.items()}


def measure(subject: Subject, threads: int, menus: int) -> Iterator[Figure]:
    """Chained menus, then menus that could not be foreseen."""
    settings = Settings(str(subject.path), threads=threads)
    with contextlib.closing(ModelProcess(settings)) as process:
        for pause in PAUSES:
            ready, late = chained(process, menus, pause, seed=round(10 * pause))
            name = f"ready_{pause:g}s"
            share = len(ready) / max(1, len(ready) + len(late))
            yield Figure(subject.name, f"{name}_share", f"choice after {pause:g} s: share of menus ready", share)
            yield from spread(subject.name, name, "... time to menu, ready", ready, (READY_MS, None))
            yield from spread(subject.name, f"not_{name}", "... time to menu, not ready", late)
        yield from _misses(subject.name, settings, process, menus)


def chained(process: ModelProcess, menus: int, pause: float, seed: int) -> tuple[list[float], list[float]]:
    """Milliseconds to a menu after a choice that is drawn from the last one: of the ready ones, of the others."""
    rng = np.random.default_rng(seed)
    begin = sentences(seed)
    ready: list[float] = []
    late: list[float] = []
    shown = process.ask(Request())
    while len(ready) + len(late) < menus:
        if not shown.options or len(shown.request.text.split()) > _LONGEST:
            shown = process.ask(Request(next(begin).split()[0]))
        p = belief(shown)
        process.prefer(sorted(p, key=lambda option: -p[option]))
        time.sleep(pause)
        choice = str(rng.choice(list(p), p=list(p.values())))
        request = dict(following(shown))[choice]
        shown, ms, hit = timed(process, request)
        (ready if hit else late).append(ms)
    return ready, late


def timed(process: ModelProcess, request: Request) -> tuple[Proposals, float, bool]:
    """The answer, its milliseconds, and whether it had been computed ahead."""
    hits, begin = process.hits, time.perf_counter()
    answer = process.ask(request)
    return answer, 1e3 * (time.perf_counter() - begin), process.hits > hits


def _misses(name: str, settings: Settings, ahead: ModelProcess, menus: int) -> Iterator[Figure]:
    """A word that was not offered is written: with looking ahead, and without."""
    times: dict[bool, list[float]] = {True: [], False: []}
    with contextlib.closing(ModelProcess(settings, ahead=False)) as plain:
        texts = beginnings(7)
        for number, (before, text) in enumerate(itertools.islice(itertools.pairwise(texts), menus)):
            if not text.startswith(before):
                continue
            pair = [(True, ahead, plain), (False, plain, ahead)]
            for looks_ahead, process, other in pair if number % 2 else reversed(pair):
                with stopped(other):
                    process.ask(Request(before))
                    time.sleep(_FORESEEN)
                    _, ms, hit = timed(process, Request(text))
                if not hit:
                    times[looks_ahead].append(ms)
    yield from spread(name, "unforeseen_ahead", "another word written: looking ahead", times[True])
    yield from spread(name, "unforeseen_plain", "... without looking ahead", times[False])


@contextlib.contextmanager
def stopped(process: ModelProcess) -> Iterator[None]:
    """The other model's process stands still, where the system can do that: it would look ahead meanwhile."""
    pid = process.pid
    if pid is None or not hasattr(signal, "SIGSTOP"):
        yield
        return
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
