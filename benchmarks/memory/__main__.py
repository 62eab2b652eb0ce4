"""``python -m benchmarks.memory --data FOLDER``: whether what is remembered helps to foresee what is written.

The passages of all notes are taken in turns: one is remembered, the next may be written. Of each that is written,
the first half of its words is there, and the bits per character of the second half are measured with different
lines in the prompt: none, those that the program finds by their words (BM25), those nearest in the model's own
embeddings, and any. Differences are to none, and between ways: any prose in the prompt makes prose likelier, so what
finding the right lines is worth is the difference to any. Intervals are 95 % over passages (paired bootstrap).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory.embedding import Embedder, Nearest
from benchmarks.memory.material import Written, cut, read_notes
from benchmarks.report import show
from volition.core import LoadError
from volition.lab.lm import CONTEXT, interval, opened
from volition.lab.score import Scorer
from volition.nodes.text.find import SMOLLM2, default_adapters, find_model
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.memory import Entry, Memory
from volition.nodes.text.prompt import EVERYDAY, segments
from volition.nodes.text.recall import LINES

NONE, BM25, EMBEDDING, RANDOM = "none", "bm25", "embedding", "random"
TITLES = {
    NONE: "no memory",
    BM25: f"BM25, {LINES} lines",
    EMBEDDING: f"own embeddings, {LINES} lines",
    RANDOM: f"any {LINES} lines",
}
AGAINST = ((BM25, NONE), (EMBEDDING, NONE), (RANDOM, NONE), (BM25, RANDOM), (EMBEDDING, RANDOM), (BM25, EMBEDDING))
"""Which ways are compared; the second is taken from the first."""

Find = Callable[[str], Sequence[Entry]]


@dataclass
class Outcome:
    """What one way of finding lines gave: of each passage the bits, the time of the search, the lines."""

    bits: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    own: list[bool] = field(default_factory=list)
    """Of each line, whether it is from the note that is written."""


def ways(memory: Memory, nearest: Nearest, rng: np.random.Generator) -> dict[str, Find]:
    """What finds lines for a text, by name; the first one finds none."""
    entries = memory.entries
    sources = {entry.text: entry for entry in entries}

    def by_words(text: str) -> list[Entry]:
        return [sources[passage.text] for passage in memory.search(text, LINES, (text,))]

    def by_vectors(text: str) -> list[Entry]:
        return [entries[n] for n in nearest(text, LINES)]

    def by_chance(text: str) -> list[Entry]:
        return [entries[n] for n in rng.choice(len(entries), LINES, replace=False)]

    return {NONE: lambda text: (), BM25: by_words, EMBEDDING: by_vectors, RANDOM: by_chance}


def measure(
    model: LanguageModel, scorer: Scorer, queries: Sequence[Written], finds: Mapping[str, Find]
) -> dict[str, Outcome]:
    """Bits of the second halves with the lines of each way in the prompt."""
    outcomes = {name: Outcome() for name in finds}
    for done, (begin, end, note) in enumerate(queries, 1):
        for name, find in finds.items():
            outcome = outcomes[name]
            start = time.perf_counter()
            lines = find(begin)
            outcome.milliseconds.append(1e3 * (time.perf_counter() - start))
            outcome.own += [line.source == note for line in lines]
            remembered = [line.text for line in lines]
            parts = segments(begin, (), model.tokenise, model.opening, CONTEXT, EVERYDAY, remembered)
            scorer.prompt([token for part in parts for token in part])
            (score,) = scorer([model.tokenise(end)])
            outcome.bits.append(-float(score.sum()) / np.log(2))
        if not done % 10:
            print(f"{done} of {len(queries)} passages", file=sys.stderr)
    return outcomes


def figures(outcomes: Mapping[str, Outcome], characters: np.ndarray) -> dict[str, Any]:
    """Of each way: bits per character, lines of the note that is written, time of a search; and the differences.

    Parameters
    ----------
    outcomes
        By name; ways that are not there are not compared.
    characters
        Of each second half, shape (n,).
    """
    found: dict[str, Any] = {}
    bits = {name: np.array(outcome.bits) for name, outcome in outcomes.items()}
    for name, outcome in outcomes.items():
        found[f"{name}_bits_per_char"] = float(bits[name].sum() / characters.sum())
        if name != NONE:
            found[f"{name}_own_note"] = float(np.mean(outcome.own)) if outcome.own else None
            found[f"{name}_search_ms_p50"] = float(np.median(outcome.milliseconds))
    for name, other in AGAINST:
        if name in bits and other in bits:
            saved = bits[name] - bits[other]
            found[f"{name}_less_{other}"] = float(saved.sum() / characters.sum())
            found[f"{name}_less_{other}_ci95"] = list(interval(saved, characters, np.random.default_rng(0)))
    return found


def table(values: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the table: each way against none, then ways against each other."""
    rows = [[TITLES[NONE], f"{values[f'{NONE}_bits_per_char']:.3f}", "-", "-", "-", "-"]]
    for name, other in AGAINST:
        low, high = values[f"{name}_less_{other}_ci95"]
        difference = [f"{values[f'{name}_less_{other}']:+.3f}", f"{low:+.3f} .. {high:+.3f}"]
        if other != NONE:
            rows.append([f"  {name} against {other}", "", *difference, "", ""])
            continue
        own, ms = values[f"{name}_own_note"], values[f"{name}_search_ms_p50"]
        more = ["-" if own is None else f"{own:.0%}", f"{ms:.2f}"]
        rows.append([TITLES[name], f"{values[f'{name}_bits_per_char']:.3f}", *difference, *more])
    return rows


def main() -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--data", required=True, help="folder of texts, with a folder named notes in it")
    parser.add_argument("--model", default=SMOLLM2, help="name or .gguf file")
    parser.add_argument("--language", choices=["en", "ru"], default="en", help="of the notes")
    parser.add_argument("--queries", type=int, default=80, help="passages that are written")
    parser.add_argument("--threads", type=int, default=1, help="of llama.cpp")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    try:
        notes = read_notes(Path(given.data) / "notes", given.language)
        memory, queries = cut(notes, given.queries)
        with opened(find_model(given.model), default_adapters(given.model), given.threads) as (model, idle):
            embedder, scorer = Embedder(model), Scorer(model)
            start = time.perf_counter()
            nearest = Nearest([entry.text for entry in memory.entries], embedder)
            ms_a_line = 1e3 * (time.perf_counter() - start) / len(memory)
            outcomes = measure(model, scorer, queries, ways(memory, nearest, np.random.default_rng(0)))
            embedder.close()
            scorer.close()
    except LoadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    values = figures(outcomes, np.array([len(query.end) for query in queries]))
    values |= {"passages": len(queries), "lines": len(memory), "notes": len(notes), "embedding_line_ms": ms_a_line}
    title = f"{given.model}: {len(queries)} second halves, {len(memory)} remembered lines of {len(notes)} notes"
    also = f"to embed a line when it is remembered: {ms_a_line:.1f} ms"
    columns = ["in the prompt", "bits/char", "difference", "95 %", "own note", "ms a search"]
    show("\n".join([title, also, *idle]), columns, table(values), values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
