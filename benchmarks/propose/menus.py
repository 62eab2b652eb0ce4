"""Menus as a person gets them: from nothing, with the prompt known, and after a word was chosen."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator

from benchmarks.propose.figures import Figure
from benchmarks.propose.subjects import Subject
from benchmarks.propose.texts import beginnings
from volition.nodes.text.find import EMBEDDED, SMOLLM2
from volition.nodes.text.proposer import Proposer, Settings
from volition.nodes.text.requests import Request

MOST_MS = {EMBEDDED: 15.0, SMOLLM2: 150.0}


def measure(subject: Subject, threads: int, menus: int) -> Iterator[Figure]:
    """Sentences as they are written, word by word."""
    proposer = Proposer(Settings(str(subject.path), threads=threads))
    times: dict[str, list[float]] = {"cold": [], "cached": [], "word": []}
    try:
        proposer.warm_up()
        for text in itertools.islice(beginnings(5), menus):
            times["word"].append(proposer(Request(text)).milliseconds)
            for key, value in proposer.timed(Request(text)).items():
                times[key].append(value)
    finally:
        proposer.close()
    name, middle = subject.name, {key: statistics.median(values) for key, values in times.items()}
    yield Figure(name, "menu_cold_ms", "a menu, cold, ms", middle["cold"])
    yield Figure(name, "menu_cached_ms", "... prompt cached, ms", middle["cached"])
    yield Figure(name, "menu_word_ms", "... after a word, ms", middle["word"], MOST_MS.get(name))
