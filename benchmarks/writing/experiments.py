"""The questions, and the runs that answer them: each gives rows of figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.store import Row, Store, digest, digest_of
from volition.lab.lm import spread
from volition.lab.people import PEOPLE, Person
from volition.lab.writing import Plan, write
from volition.lab.writing_figures import figures
from volition.nodes.text.find import EMBEDDED, SMOLLM2, TABLE, default_adapters, find_model

KEPT = (
    "keystroke_savings",
    "keystroke_savings_ci95",
    "chars_per_min",
    "chars_per_min_ci95",
    "false_accept_rate",
    "false_accept_rate_ci95",
    "error_rate_left",
    "ece",
    "coverage",
    "none_rate",
    "undos_per_char",
    "person_bits_per_char",
    "mutual_information_bits",
    "itr_bits_per_min",
    "utility_bits_per_min",
    "phrases",
    "characters",
    "choices",
    "letters",
    "given_up",
)

Params = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Bench:
    """What all runs share.

    Attributes
    ----------
    store
        Keeps what was measured.
    phrases
        All of the set.
    others
        Of other sets.
    sizes
        Phrases by kind of run: "whole" for the cheap models, "few" for what is run many times, "slow" for the
        language model that is slow.
    jobs
        Processes.
    data
        Folder of recordings, with ``eeg`` in it.
    """

    store: Store
    phrases: list[str]
    others: list[str]
    sizes: Mapping[str, int] = field(default_factory=dict)
    jobs: int = 2
    data: Path | None = None

    def some(self, kind: str) -> list[str]:
        """As many phrases as a kind of run takes, spread evenly."""
        return spread(self.phrases, self.sizes[kind])

    def run(self, key: str, plan: Plan, phrases: list[str]) -> Row | None:
        """The figures of one run, measured once."""

        def measure() -> Row:
            begin = time.perf_counter()
            written = write(replace(plan, jobs=self.jobs), phrases)
            wall = time.perf_counter() - begin
            found = figures(written)
            taken = [choice.seconds for w in written for choice in w.selections]
            mean = sum(taken) / len(taken) if taken else None
            return {**{name: found[name] for name in KEPT}, "seconds_a_choice": mean, "wall_seconds": round(wall, 1)}

        return self.store.get(key, {**inputs(plan), "phrases": digest_of(phrases)}, measure)


def inputs(plan: Plan) -> Row:
    """What a run depends on, as far as it is not the program itself."""
    files = [] if plan.model == TABLE else [find_model(plan.model), *map(Path, default_adapters(plan.model))]
    app = plan.person.app(plan.settings())
    return {"app": digest_of([app.text]), "seed": plan.seed, "files": [digest(path) for path in files]}


# Without errors


def oracle(bench: Bench) -> Iterator[Row]:
    """Who makes no mistake, with each model and number of options."""
    for model, kind in ((TABLE, "whole"), (EMBEDDED, "whole"), (SMOLLM2, "slow")):
        phrases = bench.some(kind)
        row = bench.run(f"oracle: {model}", Plan(PEOPLE["oracle"], model), phrases)
        if row:
            yield {"model": model, "options": 5, **row}
    for k in (1, 3, 8):
        plan = Plan(PEOPLE["oracle"], EMBEDDED, params={"generator": {"options": k}})
        row = bench.run(f"oracle: {EMBEDDED}, {k} options", plan, bench.some("few"))
        if row:
            yield {"model": EMBEDDED, "options": k, **row}


# Channels

ACCURACIES = (0.80, 0.90, 0.95, 0.99)
D_PRIMES = (0.0, 1.0, 2.0)
DROWSY = 0.1
"""How much less often looks are right for each z of engagement below 0."""
UNMOVED = {"engagement_reliability": 0.0, "engagement_threshold": 0.0, "engagement_dwell": 0.0}
"""Fusion that takes no notice of engagement."""


def channels(bench: Bench) -> Iterator[Row]:
    """Gaze of stated accuracy by itself, and with each other channel."""
    phrases = bench.some("few")
    for accuracy in ACCURACIES:
        for name, names, params in _channels():
            given = {**params, "looks": {**params.get("looks", {}), "accuracy": accuracy}}
            plan = Plan(Person("ablation", "", names), EMBEDDED, params=given)
            row = bench.run(f"channels: {accuracy:g} {name}", plan, phrases)
            if row:
                yield {"accuracy": accuracy, "channels": name, **row}


def _channels() -> Iterator[tuple[str, tuple[str, ...], dict[str, dict[str, Any]]]]:
    yield "gaze", ("looks",), {}
    drowsy = {"looks": {"drowsy": DROWSY}}
    yield "drowsy gaze", ("looks", "engagement"), {**drowsy, "fusion": UNMOVED}
    yield "drowsy gaze, engagement", ("looks", "engagement"), drowsy
    for d in D_PRIMES[1:]:
        doubts = {"doubts": {"d_prime": d}}
        yield f"gaze, error potentials d' {d:g}", ("looks", "doubts"), doubts
        yield f"gaze, hard veto d' {d:g}", ("looks", "doubts"), {**doubts, "error": {"veto": True}}
        yield f"gaze, ERP d' {d:g}", ("looks", "scores"), {"scores": {"d_prime": d}}


# When to choose

THRESHOLDS = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def stopping(bench: Bench) -> Iterator[Row]:
    """False accepts against the time to choose, by the threshold."""
    phrases = bench.some("few")
    for threshold in THRESHOLDS:
        params = {"fusion": {"threshold": threshold, "none_threshold": min(0.9, threshold)}}
        row = bench.run(f"threshold: {threshold:g}", Plan(PEOPLE["looks"], EMBEDDED, params=params), phrases)
        if row:
            yield {"threshold": threshold, **row}


# Everybody


def people(bench: Bench) -> Iterator[Row]:
    """Each person that comes with the program."""
    for name, person in PEOPLE.items():
        if name != "oracle":
            row = bench.run(f"person: {name}", Plan(person, EMBEDDED), bench.some("few"))
            if row:
                yield {"person": name, "about": person.about, **row}


# How long it takes


def speed(bench: Bench) -> Iterator[Row]:
    """A thousand phrases of one person."""
    row = bench.run("speed: 1,000 phrases", Plan(PEOPLE["looks"], EMBEDDED), spread(bench.phrases, 1000))
    if row:
        yield row
