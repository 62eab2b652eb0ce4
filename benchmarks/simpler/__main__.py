"""``python -m benchmarks.simpler --data FOLDER [--limit N] [--hits N] [--out docs]``: how much simpler a model may be.

Measures bits per character and hit rates of the next word against parameters, depth, context and the number of
offered words, on the phrases of ``<data>/phrases/comm2_lower.txt``, and writes ``simpler.md`` with its plots. Each
result is kept in a JSON file as soon as it is there: a run that was interrupted goes on, and one that has nothing left
to measure only writes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from benchmarks.simpler.curves import CURVES, Bench
from benchmarks.simpler.page import write_page
from benchmarks.simpler.plots import write_plots
from benchmarks.store import Store
from volition.core import LoadError
from volition.lab.lm import read_phrases, spread

ARPA = "lm_dec19_char_12gram_1e-5.arpa"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure one curve after the other, and write the page."""
    given = _arguments(arguments)
    folder = given.folder or platformdirs.user_cache_path("volition", appauthor=False) / "benchmarks" / "simpler"
    try:
        lines = read_phrases(given.data / "phrases" / "comm2_lower.txt")
        phrases = spread(lines, given.limit)
        store = Store(
            given.results or folder / "results.json",
            given.render,
            lambda key: print(key, file=sys.stderr, flush=True),
        )
        bench = Bench(
            store=store,
            phrases=phrases,
            asked=spread(lines, given.hits),
            arpa=given.arpa or given.data.parent / "lm" / ARPA,
            folder=folder,
            healed=given.healed,
            threads=given.threads,
        )
        rows = {name: list(measure(bench)) for name, measure in CURVES.items()}
        given.out.mkdir(parents=True, exist_ok=True)
        write_plots(rows, given.out)
        page = write_page(rows, bench, given.out)
    except LoadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(page)
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simpler", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed texts")
    parser.add_argument("--limit", type=_count, default=300, help="phrases for bits per character")
    parser.add_argument("--hits", type=_count, default=60, help="phrases for hit rates")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page and its plots")
    parser.add_argument("--healed", type=Path, help="folder that benchmarks.simpler.heal wrote")
    parser.add_argument("--arpa", type=Path, help="character n-gram; else the one in the folder beside the data")
    parser.add_argument("--results", type=Path, help="JSON file of results; else in the folder of models")
    parser.add_argument("--folder", type=Path, help="where cut models are kept; else the user's cache folder")
    parser.add_argument("--render", action="store_true", help="measure nothing, write what is known")
    parser.add_argument("--threads", type=int, default=1, help="of llama.cpp")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
