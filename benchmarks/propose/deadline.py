"""Menus while other programs keep every core busy: how many come within the deadline, and why others do not."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from benchmarks.propose.figures import Figure, spread
from benchmarks.propose.subjects import Subject
from benchmarks.propose.texts import beginnings
from volition.nodes.text.find import SMOLLM2
from volition.nodes.text.process import ModelProcess
from volition.nodes.text.proposer import FALLBACK, Settings
from volition.nodes.text.requests import Request

SHARE = {SMOLLM2: 0.999}
BUSY = 2
_NAP = 0.001


class Canary(threading.Thread):
    """Sleeps for a millisecond again and again, and knows how long it overslept at most."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._longest = 0.0
        self._stopped = threading.Event()

    def run(self) -> None:
        """Until ``stop``."""
        while not self._stopped.is_set():
            begin = time.perf_counter()
            time.sleep(_NAP)
            self._longest = max(self._longest, time.perf_counter() - begin - _NAP)

    def take(self) -> float:
        """Milliseconds that were overslept at most since the last time."""
        longest, self._longest = self._longest, 0.0
        return 1e3 * longest

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        self.join()


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure(subject: Subject, threads: int, menus: int) -> Iterator[Figure]:
    """Sentences as they are written, word by word, as fast as menus come."""
    canary = Canary()
    times: list[float] = []
    missed: list[tuple[float, float]] = []
    cut, table = 0, 0
    with contextlib.closing(ModelProcess(Settings(str(subject.path), threads=threads))) as process:
        process.ask(Request())
        most = 1e3 * (process.deadline or 0.0)
        canary.start()
        with busy(BUSY):
            for text in itertools.islice(beginnings(3), menus):
                canary.take()
                begin = time.perf_counter()
                answer = process.ask(Request(text))
                times.append(1e3 * (time.perf_counter() - begin))
                slept = canary.take()
                cut += not answer.complete
                table += answer.model == FALLBACK
                if times[-1] > most:
                    missed.append((times[-1] - most, slept))
        canary.stop()
    name = subject.name
    yield Figure(name, "deadline_ms", f"deadline, with {BUSY} busy processes, ms", most)
    within = 1 - len(missed) / menus
    yield Figure(name, "deadline_share", f"... share of {menus:,} menus in time", within, least=SHARE.get(name))
    yield from spread(name, "deadline_menu", "... time to menu", times)
    yield Figure(name, "deadline_cut_share", "... share cut short, places filled from the table", cut / menus)
    yield Figure(name, "deadline_table_share", "... share from the table alone", table / menus)
    stalled = sum(over <= slept for over, slept in missed)
    yield Figure(name, "deadline_missed_in_stall", f"... of {len(missed)} late: by no more than the canary", stalled)
    for over, slept in missed[:10]:
        yield Figure(name, "", "... late by / the canary overslept, ms", f"{over:.1f} / {slept:.1f}")
