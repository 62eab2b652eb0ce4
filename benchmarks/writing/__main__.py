"""``python -m benchmarks.writing --data FOLDER [--only oracle ...]``: what writing costs, and docs/writing.md.

Simulated people write the phrases of ``<data>/phrases/comm2_lower.txt`` on virtual time, with the nodes that write
live. Each run is kept in a JSON file as soon as it is there, with what it depends on (the app, the seed, the files of
models, the phrases): a benchmark that was interrupted goes on, and one that has nothing left to measure only writes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from benchmarks.store import Store
from benchmarks.writing.experiments import Bench
from benchmarks.writing.page import write_page
from benchmarks.writing.plots import write_plots
from benchmarks.writing.questions import QUESTIONS, answers
from volition.core import LoadError
from volition.lab.lm import read_phrases

OTHERS = ("aac_crowdsourced_lower", "specialists_lower")

SIZES = {"whole": 1152, "slow": 150, "few": 100, "eeg": 50}


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one question after the other, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed texts")
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), help="answer these; the page holds what is known")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page and its plots")
    parser.add_argument("--results", type=Path, help="JSON file of results; else in the user's cache folder")
    parser.add_argument("--render", action="store_true", help="measure nothing, write what is known")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    for kind, size in SIZES.items():
        parser.add_argument(f"--{kind}", type=int, default=size, help=f"phrases of a run of this kind ({size})")
    given = parser.parse_args(arguments)
    folder = platformdirs.user_cache_path("volition", appauthor=False) / "benchmarks" / "writing"

    def said(key: str) -> None:
        print(key, file=sys.stderr, flush=True)

    try:
        phrases = read_phrases(given.data / "phrases" / "comm2_lower.txt")
        others = [line for name in OTHERS for line in read_phrases(given.data / "phrases" / f"{name}.txt")]
        results = given.results or folder / "results.json"
        sizes = {kind: getattr(given, kind) for kind in SIZES}
        bench = Bench(Store(results, given.render, said), phrases, others, sizes, given.jobs, given.data.parent)
        rows = answers(bench, given.only)
        if given.only and not given.render:
            known = answers(Bench(Store(results, True), phrases, others, sizes, data=given.data.parent))
            rows = {**known, **rows}
        given.out.mkdir(parents=True, exist_ok=True)
        write_plots(rows, given.out)
        page = write_page(rows, given.out)
    except LoadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
