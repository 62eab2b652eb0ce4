"""Three hundred phrases of one simulated person with words of their own, and what is learned from them.

Phrases are those of everyday sets with the names and things of one life put in for the general ones, each phrase once.
Half of them are in a second style: polite, with the other word where there is a choice.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.store import Row, digest_of
from benchmarks.writing.experiments import Bench, inputs
from volition.lab.lm import spread
from volition.lab.people import PEOPLE
from volition.lab.scribe import Written
from volition.lab.writing import Plan, write
from volition.nodes.text.find import EMBEDDED

PHRASES = 300

OWN = {
    "mother": "mamie",
    "mom": "mamie",
    "father": "pop ernie",
    "dad": "pop ernie",
    "sister": "joanna",
    "brother": "big teddy",
    "wife": "lucinda",
    "husband": "marcus",
    "friend": "olga",
    "dog": "baxter",
    "cat": "mister whiskers",
    "doctor": "doctor ramirez",
    "nurse": "nurse adeyemi",
    "dinner": "dumplings",
    "lunch": "borscht",
    "breakfast": "porridge",
    "game": "chess club",
    "movie": "documentary",
    "movies": "documentaries",
    "music": "vinyl records",
    "car": "the old volvo",
    "school": "saint brendan",
    "work": "the print shop",
    "store": "the corner deli",
    "park": "hazelwood park",
    "bathroom": "washroom",
    "tv": "telly",
    "chair": "power chair",
    "computer": "laptop",
    "weekend": "shabbat",
}
"""The words of one life in place of the general ones; made up."""

POLITE = {"want": "would like", "yes": "certainly", "hi": "good day", "thanks": "thank you kindly", "get": "obtain"}

TASTES: dict[str, dict[str, Any]] = {
    "choice": {"reading": "choice"},
    "accepted only": {"reading": "accepted-only"},
    "mask": {"reading": "mask"},
    "counts only": {"rank": False, "bias": False},
}


def personal(lines: Sequence[str], n: int) -> list[str]:
    """``n`` phrases of the person, each once, spread evenly over the lines that change, then over the others.

    >>> personal(["my dog is hungry", "my dog is here", "go", "i want my mom"], 2)
    ['my baxter is hungry', 'i would like my mamie']
    """
    changed = [line for line in dict.fromkeys(lines) if set(line.split()) & set(OWN)]
    others = [line for line in dict.fromkeys(lines) if line not in set(changed)]
    chosen = spread(changed, n)
    chosen += spread(others, n - len(chosen)) if len(chosen) < n else []
    phrases = [_put_in(line, OWN) for line in chosen]
    phrases = [_put_in(phrase, POLITE) if number % 2 else phrase for number, phrase in enumerate(phrases)]
    order = np.random.default_rng(0).permutation(len(phrases)) if n > 2 else range(len(phrases))
    return [phrases[k] for k in order]


def _put_in(line: str, words: dict[str, str]) -> str:
    return re.sub(r"[\w']+", lambda found: words.get(found[0], found[0]), line)


@contextmanager
def profile(taste: dict[str, Any]) -> Iterator[str]:
    """The name of an empty profile with some settings, in a folder of its own, for as long as it lasts."""
    before = os.environ.get("VOLITION_PROFILE")
    with tempfile.TemporaryDirectory(prefix="volition-") as folder:
        place = Path(folder) / "people" / "ann"
        place.mkdir(parents=True)
        (place / "profile.json").write_text(json.dumps(taste), encoding="utf-8")
        os.environ["VOLITION_PROFILE"] = folder
        try:
            yield "ann"
        finally:
            if before is None:
                del os.environ["VOLITION_PROFILE"]
            else:
                os.environ["VOLITION_PROFILE"] = before


def learning(bench: Bench) -> Iterator[Row]:
    """Savings by decile of the session, without and with learning, and by how acceptances are read."""
    lines = [*bench.others, *bench.phrases]
    phrases = personal(lines, min(PHRASES, len(lines)))
    base = Plan(PEOPLE["oracle"], EMBEDDED)
    cases: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
        ("nothing", {}, None),
        ("earlier phrases in the prompt", {"explore": 0.0}, {"lambda_max": 0.0, "rank": False, "bias": False}),
        *((name, {"explore": 0.0}, taste) for name, taste in TASTES.items()),
        ("choice, exploring 5 %", {"explore": 0.05}, TASTES["choice"]),
    ]
    for name, params, taste in cases:
        plan = replace(base, params={"generator": params} if params else {})
        key = {**inputs(plan), "phrases": digest_of(phrases), "taste": taste}
        row = bench.store.get(f"learning: {name}", key, lambda p=plan, t=taste: _session(p, phrases, t))
        if row:
            yield {"learned": name, **row}


def _session(plan: Plan, phrases: list[str], taste: dict[str, Any] | None) -> Row:
    """One sitting of all phrases."""
    plan = replace(plan, sitting=len(phrases))
    if taste is None:
        return _deciles(write(plan, phrases))
    with profile(taste) as name:
        generator = {**plan.params.get("generator", {}), "profile": name}
        return _deciles(write(replace(plan, params={**plan.params, "generator": generator}), phrases))


def _deciles(written: Sequence[Written]) -> Row:
    parts = np.array_split(np.arange(len(written)), min(10, len(written)))

    def saved(some: Sequence[int]) -> float:
        of = [written[k] for k in some]
        return round(1.0 - sum(w.count for w in of) / sum(len(w.phrase) for w in of), 4)

    half = len(written) // 2
    return {
        "phrases": len(written),
        "keystroke_savings": saved(range(len(written))),
        "second_half": saved(range(half, len(written))),
        "deciles": [saved(part.tolist()) for part in parts],
        "counts": [[w.count, len(w.phrase)] for w in written],
    }
