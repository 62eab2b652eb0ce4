"""``python -m benchmarks.propose [--models NAME,...] [--only PART ...] [--quick] [--json]``: options, and how soon.

The parts: ``decode`` (five options of eight tokens against completion calls), ``menus`` (as they are offered),
``mask`` (new evidence), ``ahead`` (computed while the person chooses), ``cancel``, ``deadline`` (on a busy
machine) and ``kill`` (the model's process dies). Each is measured of the models that its targets are about; of a
model that is named by its path, all are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.propose import ahead, cancel, deadline, decode, kill, mask, menus
from benchmarks.propose.figures import Figure
from benchmarks.propose.subjects import NAMES, RANDOM, Subject, subject
from benchmarks.report import show
from volition.core import LoadError
from volition.nodes.text.find import EMBEDDED, SMOLLM2

Measure = Callable[[Subject, int, int], Iterator[Figure]]


class Part(NamedTuple):
    """What is measured, of which models, and how often: ``quick`` times for a first look."""

    measure: Measure
    models: tuple[str, ...]
    times: int
    quick: int


PARTS = {
    "decode": Part(decode.measure, NAMES, 7, 2),
    "menus": Part(menus.measure, NAMES, 12, 4),
    "mask": Part(mask.measure, (RANDOM,), 12, 3),
    "ahead": Part(ahead.measure, (EMBEDDED, SMOLLM2), 30, 8),
    "cancel": Part(cancel.measure, (RANDOM,), 40, 8),
    "deadline": Part(deadline.measure, (SMOLLM2,), 1000, 200),
    "kill": Part(kill.measure, (SMOLLM2,), 5, 2),
}


def main() -> int:
    """Measure one part after the other, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.propose", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--models", default=",".join(NAMES), help="names or .gguf files, with commas between them")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts")
    parser.add_argument("--threads", type=int, default=1, help="of llama.cpp")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--rounds", type=int, help="rounds of each part, in place of its own number")
    parser.add_argument("--folder", help="where models of random weights are kept; else the user's cache folder")
    given = parser.parse_args()
    figures: list[Figure] = []
    notes: list[str] = []
    try:
        for name in given.models.split(","):
            found = subject(name, given.folder)
            notes += [found.note] if found.note else []
            for key in given.only:
                part = PARTS[key]
                if name in part.models or name not in NAMES:
                    print(f"{name}: {key}", file=sys.stderr)
                    times = given.rounds or (part.quick if given.quick else part.times)
                    figures += part.measure(found, given.threads, times)
    except LoadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    title = f"Options from a language model, {given.threads} thread{'s' * (given.threads > 1)}"
    rows = [[f"{figure.model}: {cells[0]}", *cells[1:]] for figure in figures for cells in [figure.row()]]
    values = {f"{f.model}_{f.key}": f.value for f in figures if f.key}
    show("\n".join([title, *notes]), ["what", "value", "target", "met"], rows, {**values, "notes": notes})
    return 0


if __name__ == "__main__":
    sys.exit(main())
