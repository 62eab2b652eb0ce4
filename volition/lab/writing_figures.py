"""What writing cost, what it was worth, and whose sentence it is: figures of written phrases.

- keystroke savings: 1 - selections / characters, where every choice from a menu (*none* among them), letter, undo and
  word taken back is one selection, and a space after an option is free
- information transfer rate: Wolpaw et al. 2000, IEEE Trans. Rehabil. Eng. 8, 164: log2 N + P log2 P + (1 - P) log2
  ((1 - P) / (N - 1)) bits a choice, which takes all N places for equally likely and all mistakes for alike
- mutual information: the mean of log2 (posterior / prior) of what was wanted, at the choice: what the signals told
- utility: Dal Seno et al. 2010, Comput. Intell. Neurosci., 1-9: (2 P - 1) log2 (N - 1) / time bits a second, as a
  mistake costs the choice that undoes it
- calibration: the expected calibration error of the posterior of what was taken, in ten bins of equal width (Naeini et
  al. 2015, AAAI)
- bits of the person: -log2 of the prior of each choice that stood, log2 27 for a letter; those of the model are what
  is left of log2 27 a character
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from volition.lab.scribe import NONE, Selection, Written

LETTER_BITS = math.log2(27)
"""Of a letter or space, all alike."""

TITLES = {
    "keystroke_savings": ("keystrokes saved", "{:.1%}"),
    "selections_per_char": ("selections a character", "{:.3f}"),
    "chars_per_min": ("characters a minute", "{:.1f}"),
    "false_accept_rate": ("false accepts", "{:.2%}"),
    "error_rate_left": ("errors left", "{:.2%}"),
    "person_bits_per_char": ("bits of the person, a character", "{:.2f}"),
    "model_bits_per_char": ("bits of the model, a character", "{:.2f}"),
    "coverage": ("menus with what is wanted", "{:.1%}"),
    "none_rate": ("none of these", "{:.1%}"),
    "ece": ("calibration error", "{:.3f}"),
    "mutual_information_bits": ("bits told, a choice", "{:.2f}"),
    "itr_bits_per_min": ("bits a minute (Wolpaw)", "{:.1f}"),
    "utility_bits_per_min": ("utility, bits a minute", "{:.1f}"),
}
"""What the main figures are called, and how they are written."""

_RESAMPLES = 2000
_BINS = 10


def figures(written: Sequence[Written], seed: int = 0) -> dict[str, Any]:
    """All figures of some phrases, with intervals of 95 % over phrases (percentile bootstrap) for the main ones.

    Raises
    ------
    ValueError
        When there are no phrases.
    """
    if not written:
        raise ValueError("no phrases were written")
    characters = np.array([len(w.phrase) for w in written], dtype=float)
    counts = np.array([w.count for w in written], dtype=float)
    took = np.array([w.seconds for w in written])
    choices = [s for w in written for s in w.selections]
    n_choices = np.array([len(w.selections) for w in written], dtype=float)
    false = np.array([sum(not s.right and s.taken != NONE for s in w.selections) for w in written], dtype=float)
    left = np.array([edits(w.text.strip(), w.phrase.strip()) for w in written], dtype=float)
    person = np.array([bits_of_the_person(w) for w in written])
    offered = [led_on for w in written for led_on in w.offered]
    rng = np.random.default_rng(seed)
    minutes = took / 60.0
    values: dict[str, Any] = {}
    for name, above, below, shape in (
        ("keystroke_savings", counts, characters, lambda ratio: 1.0 - ratio),
        ("selections_per_char", counts, characters, None),
        ("chars_per_min", characters, minutes, None),
        ("false_accept_rate", false, n_choices, None),
        ("error_rate_left", left, characters, None),
        ("undos_per_char", np.array([float(w.undos) for w in written]), characters, None),
        ("person_bits_per_char", person, characters, None),
    ):
        values |= _with_interval(name, above, below, rng, shape)
    values["model_bits_per_char"] = LETTER_BITS - values["person_bits_per_char"]
    values["coverage"] = _mean(offered)
    values["none_rate"] = _mean([s.taken == NONE for s in choices])
    values["ece"] = calibration_error([s.p.get(s.taken, 0.0) for s in choices], [s.right for s in choices])
    values |= _rates(choices, float(took.sum()))
    values |= {
        "phrases": len(written),
        "characters": int(characters.sum()),
        "choices": len(choices),
        "letters": sum(w.letters for w in written),
        "undos": sum(w.undos for w in written),
        "words_taken_back": sum(w.trims for w in written),
        "given_up": sum(not w.finished for w in written),
        "seconds": round(float(took.sum()), 3),
    }
    return values


def _with_interval(
    name: str,
    above: np.ndarray,
    below: np.ndarray,
    rng: np.random.Generator,
    shape: Callable[[Any], Any] | None,
) -> dict[str, Any]:
    """A ratio of sums and its interval; None when there is nothing to divide by."""
    if not below.sum() > 0:
        return {name: None, f"{name}_ci95": None}
    drawn = rng.integers(len(above), size=(_RESAMPLES, len(above)))
    sums = below[drawn].sum(axis=1)
    ratios = above[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    whole = above.sum() / below.sum()
    if shape is not None:
        whole, ratios = shape(whole), shape(ratios)
    ends = np.percentile(ratios, [2.5, 97.5])
    return {name: round(float(whole), 6), f"{name}_ci95": [round(float(end), 6) for end in ends]}


def _mean(values: Sequence[bool]) -> float | None:
    return round(float(np.mean(values)), 6) if values else None


def _rates(choices: Sequence[Selection], took: float) -> dict[str, Any]:
    """Information and utility of the choices."""
    if not choices:
        return dict.fromkeys(
            ("itr_bits_per_choice", "itr_bits_per_min", "mutual_information_bits", "utility_bits_per_min")
        )
    right = float(np.mean([s.right for s in choices]))
    places = float(np.mean([len(s.prior) for s in choices]))
    itr = wolpaw(right, places)
    told = [
        math.log2(max(s.p.get(s.wanted, 0.0), 1e-12) / max(s.prior.get(s.wanted, 0.0), 1e-12))
        for s in choices
        if s.wanted in s.prior
    ]
    per_minute = len(choices) / took * 60.0 if took > 0 else 0.0
    gain = max(0.0, 2 * right - 1) * math.log2(max(places - 1, 1))
    return {
        "itr_bits_per_choice": round(itr, 6),
        "itr_bits_per_min": round(itr * per_minute, 6),
        "mutual_information_bits": round(float(np.mean(told)), 6) if told else None,
        "utility_bits_per_min": round(gain * per_minute, 6),
    }


def shown(figures: Mapping[str, Any], key: str) -> list[str]:
    """A figure as it is written, and the ends of its interval where it has one.

    >>> shown({"ece": 0.0123}, "ece"), shown({"ece": None}, "ece")
    (['0.012'], ['-'])
    """
    value, ends = figures.get(key), figures.get(f"{key}_ci95")
    if value is None:
        return ["-"]
    return [TITLES[key][1].format(each) for each in (value, *(ends or ()))]


def wolpaw(right: float, places: float) -> float:
    """Bits of a choice among ``places`` equally likely ones, right with probability ``right``.

    >>> round(wolpaw(0.9, 4), 3), wolpaw(0.25, 4), wolpaw(1.0, 4)
    (1.373, 0.0, 2.0)
    """
    if places < 2:
        return 0.0
    bits = math.log2(places)
    if 0.0 < right < 1.0:
        bits += right * math.log2(right) + (1 - right) * math.log2((1 - right) / (places - 1))
    elif right == 0.0:
        bits -= math.log2(places - 1)
    return max(0.0, bits)


def calibration_error(p: Sequence[float], right: Sequence[bool]) -> float | None:
    """The mean distance between what is believed and how often it is right, over bins of what is believed.

    >>> calibration_error([0.95, 0.95, 0.55, 0.55], [True, True, True, False])
    0.05
    """
    if not len(p):
        return None
    believed, hit = np.array(p), np.array(right, dtype=float)
    bins = np.minimum((believed * _BINS).astype(int), _BINS - 1)
    gaps = [abs(believed[bins == b].sum() - hit[bins == b].sum()) for b in np.unique(bins)]
    return round(float(sum(gaps)) / len(believed), 6)


def bits_of_the_person(written: Written) -> float:
    """What the person had to say, the model given: see the module."""
    bits = written.letters * LETTER_BITS
    for choice in written.selections:
        if choice.right:
            bits -= math.log2(max(choice.prior.get(choice.taken, 0.0), 1e-12))
    return bits


def edits(text: str, wanted: str) -> int:
    """Insertions, deletions and replacements between two texts (Levenshtein 1966).

    >>> edits("kitten", "sitting"), edits("", "ab")
    (3, 2)
    """
    row = list(range(len(wanted) + 1))
    for n, letter in enumerate(text, 1):
        before, row[0] = row[0], n
        for k, other in enumerate(wanted, 1):
            before, row[k] = row[k], min(row[k] + 1, row[k - 1] + 1, before + (letter != other))
    return row[-1]
