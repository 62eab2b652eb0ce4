"""``python -m benchmarks.focus --data FOLDER``: how often the next word is offered when the eyes rest on it.

At positions of everyday phrases whose next word is one of content, a menu of five first words is made without a
focus, with the right one (the wanted word and two of other phrases were looked at) and with a wrong one (three of
other phrases), each as strong as a look of now, with bonuses of 1 to 4 nats. Coverage is how often the wanted word
is in the menu; ``in the way`` are the words of a menu that were looked at and are not wanted. Intervals are 95 %
over positions (percentile bootstrap; that of the difference is paired).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.focus.material import Position, positions
from benchmarks.report import show
from volition.core import LoadError
from volition.lab.lm import CONTEXT, interval, opened, read_phrases
from volition.nodes.text.find import SMOLLM2, default_adapters, find_model
from volition.nodes.text.focus import STRENGTH, focus_tilt, neighbours
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.prompt import EVERYDAY, segments
from volition.nodes.text.proposals import Limits, propose, split
from volition.nodes.text.spelling import normalised
from volition.nodes.text.words import Words

K = 5
STRENGTHS = (1.0, 2.0, 3.0, 4.0)
NONE, RIGHT, WRONG = "none", "right", "wrong"
PHRASES = "aac_crowdsourced_lower.txt"

Offer = Callable[[str, Sequence[str], float], list[str]]


class Case(NamedTuple):
    """A focus, and what a look adds at most, in nats."""

    focus: str
    strength: float

    @property
    def key(self) -> str:
        """As it is named in figures."""
        return self.focus if self.focus == NONE else f"{self.focus}_{self.strength:g}"

    def words(self, position: Position) -> tuple[str, ...]:
        """What is looked at."""
        return {NONE: (), RIGHT: position.right, WRONG: position.wrong}[self.focus]


CASES = (Case(NONE, 0.0), *(Case(focus, strength) for focus in (RIGHT, WRONG) for strength in STRENGTHS))


def offering(model: LanguageModel) -> Offer:
    """What gives the first words of the options after a text, with words in focus, as the program makes them."""
    words = Words(model.pieces, model.special)
    limits = Limits(k=K, n_words=1)

    def offer(text: str, looked_at: Sequence[str], strength: float) -> list[str]:
        where = split(text)
        model.prefill(segments(where.base, (), model.tokenise, model.opening, CONTEXT, EVERYDAY, cased=False))
        spread = neighbours([(word, 1.0) for word in looked_at], (text,))
        tilt = focus_tilt(spread.items(), (), words, model.tokenise, strength)
        options = propose(model, words, where, limits, tilt=tilt).options
        model.release()
        return [normalised(option.text).split()[0] for option in options]

    return offer


def measure(found: Iterable[Position], offer: Offer) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each case and position: whether the wanted word is offered, and how many others that were looked at.

    Returns
    -------
    Two arrays of integers a case, shape (n_positions,).
    """
    covered: dict[str, list[int]] = {case.key: [] for case in CASES}
    unwanted: dict[str, list[int]] = {case.key: [] for case in CASES}
    for done, position in enumerate(found, 1):
        for case in CASES:
            looked_at = case.words(position)
            menu = offer(position.text, looked_at, case.strength)
            covered[case.key].append(int(position.wanted in menu))
            unwanted[case.key].append(sum(word in menu for word in position.others if word in looked_at))
        if not done % 20:
            print(f"{done} positions", file=sys.stderr)
    return {k: np.array(v) for k, v in covered.items()}, {k: np.array(v) for k, v in unwanted.items()}


def figures(covered: dict[str, np.ndarray], unwanted: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of each case: coverage and its difference to none, each with its interval; words in the way, a menu."""
    found: dict[str, Any] = {}
    for key, hits in covered.items():
        ones = np.ones(len(hits))
        found[f"{key}_coverage"] = float(hits.mean())
        found[f"{key}_coverage_ci95"] = list(interval(hits, ones, np.random.default_rng(0)))
        if key != NONE:
            gain = hits - covered[NONE]
            found[f"{key}_difference"] = float(gain.mean())
            found[f"{key}_difference_ci95"] = list(interval(gain, ones, np.random.default_rng(0)))
            found[f"{key}_in_the_way"] = float(unwanted[key].mean())
    return found


def table(values: dict[str, Any]) -> list[list[str]]:
    """The rows of the table, the strength that the program has with a star."""
    rows = []
    for case in CASES:
        star = " *" if case.strength == STRENGTH else ""
        low, high = values[f"{case.key}_coverage_ci95"]
        row = [f"{case.focus} focus, {case.strength:g} nats{star}" if case.focus != NONE else "no focus"]
        row += [f"{values[f'{case.key}_coverage']:.1%}", f"{low:.1%} .. {high:.1%}"]
        if case.focus == NONE:
            rows.append([*row, "-", "-", "-"])
            continue
        low, high = values[f"{case.key}_difference_ci95"]
        row += [f"{values[f'{case.key}_difference']:+.1%}", f"{low:+.1%} .. {high:+.1%}"]
        rows.append([*row, f"{values[f'{case.key}_in_the_way']:.2f}"])
    return rows


def main() -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.focus", description=__doc__)
    parser.add_argument("--data", required=True, help="folder of texts, with a folder named phrases in it")
    parser.add_argument("--model", default=SMOLLM2, help="name or .gguf file")
    parser.add_argument("--queries", type=int, default=150, help="positions")
    parser.add_argument("--threads", type=int, default=1, help="of llama.cpp")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    try:
        phrases = read_phrases(Path(given.data) / "phrases" / PHRASES)
        found = positions(phrases, given.queries, np.random.default_rng(0))
        with opened(find_model(given.model), default_adapters(given.model), given.threads) as (model, idle):
            values = figures(*measure(found, offering(model)))
    except LoadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    values |= {"positions": len(found), "strength": STRENGTH}
    title = f"{given.model}: coverage@{K} of the next word at {len(found)} positions; * is the program's own strength"
    columns = ["looked at", f"coverage@{K}", "95 %", "to none", "95 %", "in the way"]
    show("\n".join([title, *idle]), columns, table(values), values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
