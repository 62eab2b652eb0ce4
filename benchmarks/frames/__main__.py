"""``python -m benchmarks.frames --data FOLDER``: which lines at the beginning of the prompt make it foresee most.

Lines of ``pool_en.txt`` are chosen one after the other (see ``search.greedy``) by the bits per character of everyday
phrases after them, in lower case and without punctuation, as the phrases are. The table compares what was found with
a bare line end and with the frame that the program has, on the phrases that chose and on as many that did not. The
phrases on which models are compared elsewhere (``comm2``) are not touched.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.frames.search import Bits, greedy
from benchmarks.report import show
from volition.core import LoadError
from volition.lab.lm import opened, read_phrases
from volition.lab.score import Scorer
from volition.nodes.text.find import SMOLLM2, default_adapters, find_model
from volition.nodes.text.prompt import EVERYDAY, NONE, plain

PHRASES = ("aac_crowdsourced_lower.txt", "specialists_lower.txt")
POOL = Path(__file__).with_name("pool_en.txt")
KEYS = ("tokens", "bits_per_char", "fresh_bits_per_char")


class Parts(NamedTuple):
    """Phrases for a first look at a line, for the choice, and for the comparison at the end; none is in two."""

    quick: list[str]
    full: list[str]
    fresh: list[str]


def parts(phrases: Sequence[str], n_quick: int, n_full: int, rng: np.random.Generator) -> Parts:
    """Phrases dealt out at random, each once; as many fresh ones as there are for the choice.

    Raises
    ------
    LoadError
        When there are too few.
    """
    unique = list(dict.fromkeys(phrases))
    needed = n_quick + 2 * n_full
    if needed > len(unique):
        raise LoadError(f"{needed} phrases are needed, and there are {len(unique)}: ask for fewer")
    dealt = [unique[n] for n in rng.permutation(len(unique))[:needed]]
    return Parts(dealt[:n_quick], dealt[n_quick : n_quick + n_full], dealt[n_quick + n_full :])


def search(bits: Sequence[Bits], lines: int, tries: int) -> dict[str, str]:
    """The frames to compare, by name: none, the program's own, and those of 1, 2, ... lines that were found.

    Parameters
    ----------
    bits
        On the phrases for a first look, and on those for the choice.
    lines, tries
        As ``greedy`` takes them.
    """
    pool = [plain(line) for line in read_phrases(POOL)]
    quick, full = bits
    found = greedy(pool, quick, full, lines, tries, lambda step: print(step, file=sys.stderr, flush=True))
    frames = {NONE.name: NONE.lower, EVERYDAY.name: EVERYDAY.lower}
    return frames | {f"found_{len(chosen)}": "".join(f"{line}\n" for line in chosen) for chosen, _ in found}


def main() -> int:
    """Search, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frames", description=__doc__)
    parser.add_argument("--data", required=True, help="folder of texts, with a folder named phrases in it")
    parser.add_argument("--model", default=SMOLLM2, help="name or .gguf file")
    parser.add_argument("--lines", type=int, default=7, help="of the longest frame")
    parser.add_argument("--tries", type=int, default=24, help="lines tried in each step")
    parser.add_argument("--quick-phrases", type=int, default=40, help="phrases for a first look at each line")
    parser.add_argument("--phrases", type=int, default=160, help="phrases that choose among the best of them")
    parser.add_argument("--threads", type=int, default=1, help="of llama.cpp")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    try:
        folder = Path(given.data) / "phrases"
        phrases = [line for name in PHRASES for line in read_phrases(folder / name)]
        dealt = parts(phrases, given.quick_phrases, given.phrases, np.random.default_rng(0))
        with opened(find_model(given.model), default_adapters(given.model), given.threads) as (model, idle):
            scorer = Scorer(model)
            quick, full, fresh = (Bits(model, scorer, part) for part in dealt)
            frames = search((quick, full), given.lines, given.tries)
            found = {name: (len(model.tokenise(frame)), full(frame), fresh(frame)) for name, frame in frames.items()}
            scorer.close()
    except LoadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    longest = list(frames.values())[-1].splitlines()
    rows = [[name, tokens, f"{a:.3f}", f"{b:.3f}"] for name, (tokens, a, b) in found.items()]
    values = {f"{name}_{key}": value for name, row in found.items() for key, value in zip(KEYS, row, strict=True)}
    title = f"{given.model}: bits/char of {given.phrases} phrases that chose, and of as many fresh ones"
    show(
        "\n".join([title, *idle, *(f"  {line}" for line in longest)]),
        ["frame", "tokens", "chose", "fresh"],
        rows,
        {**values, "lines": longest},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
