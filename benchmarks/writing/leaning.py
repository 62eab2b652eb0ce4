"""What evidence that outlives a menu is worth: the next menu with the mask and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.store import Row, digest, digest_of
from benchmarks.writing.experiments import Bench
from volition.nodes.text.find import EMBEDDED, find_model
from volition.nodes.text.proposer import Proposer, Settings
from volition.nodes.text.requests import Offered, Proposals, Request
from volition.nodes.text.spelling import normalised

LEANS = (1.0, 2.0, 3.0)
"""Log V of the option that the gaze leaned towards; that of each other is -1."""

Ask = Callable[[Request], Proposals]


def leaning(bench: Bench) -> Iterator[Row]:
    """Coverage of the next menu after a refusal, and after a letter that was typed though the gaze leaned somewhere."""
    phrases = bench.some("few")
    key = {"phrases": digest_of(phrases), "model": digest(find_model(EMBEDDED)), "leans": list(LEANS)}
    row = bench.store.get("leaning", key, lambda: {"rows": _measured(phrases)})
    yield from row["rows"] if row else ()


def _measured(phrases: Sequence[str]) -> list[Row]:
    proposer = Proposer(Settings(EMBEDDED, threads=1))
    try:
        places = [(text, word) for phrase in phrases for text, word in positions(phrase)]
        first = {text: proposer(Request(text)) for text in dict.fromkeys(text for text, _ in places)}
        missed = [(text, word) for text, word in places if _place(first[text], text, word) is None]
        held = [(text, word) for text, word in places if _place(first[text], text, word) is not None]
        rows = [_refused(proposer, first, missed)]
        for lean in LEANS:
            rows.append(_leaned(proposer, first, held, lean, right=True))
        rows.append(_leaned(proposer, first, held, 2.0, right=False))
        return rows
    finally:
        proposer.close()


def positions(phrase: str) -> list[tuple[str, str]]:
    """The text before each word of a phrase, and the word.

    >>> positions("i am here")
    [('', 'i'), ('i', 'am'), ('i am', 'here')]
    """
    words = phrase.split()
    return [(" ".join(words[:n]), word) for n, word in enumerate(words)]


def _place(shown: Proposals, text: str, word: str) -> int | None:
    """The number of the option that begins with the word, counted from 1; None without one."""
    typed = "" if not shown.request.half_typed else text.rsplit(" ", 1)[-1]
    for number, option in enumerate(shown.options, 1):
        if normalised(typed + option.text).split()[:1] == [normalised(word)]:
            return number
    return None


def _row(name: str, on: list[int | None], off: list[int | None]) -> Row:
    pairs = np.array([[place is not None for place in on], [place is not None for place in off]], dtype=float)
    rng = np.random.default_rng(0)
    n = pairs.shape[1]
    drawn = pairs[:, rng.integers(n, size=(2000, n))].mean(axis=2)
    ends = np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
    return {
        "case": name,
        "places": n,
        "on": round(float(pairs[0].mean()), 4),
        "off": round(float(pairs[1].mean()), 4),
        "difference_ci95": [round(float(end), 4) for end in ends],
        "first_on": round(float(np.mean([place == 1 for place in on])), 4),
        "first_off": round(float(np.mean([place == 1 for place in off])), 4),
    }


def _refused(ask: Ask, first: dict[str, Proposals], places: Sequence[tuple[str, str]]) -> Row:
    """All options were refused: with the mask they are gone, without it they are offered again."""
    on = []
    for text, word in places:
        offered = Offered()
        offered.show(first[text])
        on.append(_place(ask(offered.after(first[text].request, text, "none")), text, word))
    return _row("all options were refused", on, [None] * len(on))  # the same menu again


def _leaned(ask: Ask, first: dict[str, Proposals], places: Sequence[Any], lean: float, right: bool) -> Row:
    """The gaze leaned towards an option, not far enough for a choice; then the first letter of the word was typed."""
    on, off = [], []
    for text, word in places:
        shown = first[text]
        place = _place(shown, text, word)
        others = [n for n in range(1, len(shown.options) + 1) if n != place]
        towards = place if right else others[0]
        typed = f"{text} {word[0]}" if text else word[0]
        offered = Offered()
        offered.show(shown)
        offered.hear({"gaze": {str(n): lean if n == towards else -1.0 for n in range(1, len(shown.options) + 1)}})
        request = offered.after(shown.request, typed, "typed")
        on.append(_place(ask(request), typed, word))
        off.append(_place(ask(replace(request, candidates=())), typed, word))
    where = "the word" if right else "another one"
    return _row(f"the gaze leaned {lean:g} nats towards {where}, a letter was typed", on, off)
