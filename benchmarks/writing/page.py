"""docs/writing.md: the answers as tables, with what they say in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

PAGE = "writing.md"

_HEAD = """# What writing costs

Simulated people write COMM2 (sentences for hypothetical situations, lower case) on virtual time, with the nodes that
write live: menus from the language model, evidence, fusion, writer. A person reads the menu (.15 s a word), attends to
what leads on, notices mistakes and takes them back, and types a letter (1 s) where nothing leads on. What of a
channel's quality is stated is exact: ratios are true ones. Real signals are worse in ways that no number here holds.

Keystroke savings count every choice, letter, undo and word taken back as one selection; a space after an option is
free. Brackets hold 95 % over phrases.

    python -m benchmarks.writing --data FOLDER --few 60 --eeg 30
"""


def write_page(rows: Mapping[str, Sequence[Row]], out: Path) -> Path:
    """Write the page; questions without an answer are left out."""
    parts = [_HEAD]
    for name, section in _SECTIONS.items():
        if rows.get(name):
            parts.append(section(rows[name]))
    path = out / PAGE
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


def number(row: Row, key: str, digits: int = 1, factor: float = 1.0, unit: str = "") -> str:
    """A number and its interval."""
    value, ends = row.get(key), row.get(f"{key}_ci95")
    if value is None:
        return "-"
    text = f"{factor * value:.{digits}f}{unit}"
    return text if not ends else f"{text} [{factor * ends[0]:.{digits}f}, {factor * ends[1]:.{digits}f}]"


def percent(row: Row, key: str, digits: int = 1) -> str:
    """A share and its interval, in percent."""
    return number(row, key, digits, 100.0, " %")


def _oracle(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["model"],
            str(row["options"]),
            str(row["phrases"]),
            percent(row, "keystroke_savings"),
            percent(row, "coverage"),
            number(row, "person_bits_per_char", 2),
        ]
        for row in rows
    ]
    head = [
        "model",
        "options",
        "phrases",
        "keystrokes saved",
        "menus with what is wanted",
        "bits of the person a character",
    ]
    return f"""## Without errors

Who makes no mistake: what the model by itself is worth. A letter has log2 27 = 4.75 bits.

{table(head, lines)}
"""


def _people(rows: Sequence[Row]) -> str:
    lines = [
        [
            f"{row['person']}: {row['about']}",
            number(row, "chars_per_min"),
            percent(row, "keystroke_savings"),
            percent(row, "false_accept_rate", 2),
            percent(row, "error_rate_left", 2),
            number(row, "itr_bits_per_min"),
        ]
        for row in rows
    ]
    head = [
        "person",
        "characters a minute",
        "keystrokes saved",
        "false accepts",
        "errors left",
        "bits a minute (Wolpaw)",
    ]
    return f"""## People

{table(head, lines)}
"""


def _channels(rows: Sequence[Row]) -> str:
    lines = [
        [
            f"{row['accuracy']:.0%}",
            row["channels"],
            number(row, "chars_per_min"),
            percent(row, "keystroke_savings"),
            percent(row, "false_accept_rate", 2),
            number(row, "seconds_a_choice", 2),
            number(row, "ece", 3),
        ]
        for row in rows
    ]
    head = ["looks right", "channels", "characters a minute", "keystrokes saved", "false accepts", "s a choice", "ECE"]
    return f"""## Channels

One look each .4 s, of the accuracy stated; error potentials and ERP rounds (one each second) of the d' stated.

![Channels](writing-channels.png)

{table(head, lines)}
"""


def _eeg(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["subject"],
            row["auc"],
            number(row, "chars_per_min"),
            percent(row, "keystroke_savings"),
            percent(row, "false_accept_rate", 2),
            number(row, "seconds_a_choice", 2),
            number(row, "ece", 3),
            str(row["given_up"]),
        ]
        for row in rows
    ]
    head = [
        "subject",
        "AUC",
        "characters a minute",
        "keystrokes saved",
        "false accepts",
        "s a choice",
        "ECE",
        "given up",
    ]
    return f"""## Real EEG, no gaze

Flashes (8 a second, the options and *none of these* in balanced random order) are answered by epochs of four people
(BNCI 003-2015), drawn anew from the test part of the recording; their decoders were fitted to the train part. AUC is
that of a single flash, cross-validated on the train part. Epochs that follow each other here did not follow each other
there.

{table(head, lines)}
"""


def _learning(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["learned"],
            percent(row, "keystroke_savings"),
            percent(row, "second_half"),
            *(f"{100 * saved:.0f}" for saved in row["deciles"]),
        ]
        for row in rows
    ]
    head = ["learned from", "saved", "second half", *(str(n) for n in range(1, len(rows[0]["deciles"]) + 1))]
    return f"""## Learning

{rows[0]["phrases"]} phrases of one person with words of their own, half of them in a second style, written one after
the other without errors: keystrokes saved, in percent, over all, in the second half, and by tenth of the session. Each
phrase is new when it is written.

![Learning](writing-learning.png)

{table(head, lines)}
"""


def _leaning(rows: Sequence[Row]) -> str:
    lines = [
        [
            row["case"],
            str(row["places"]),
            f"{100 * row['on']:.1f} %",
            f"{100 * row['off']:.1f} %",
            f"{100 * row['difference_ci95'][0]:+.1f} .. {100 * row['difference_ci95'][1]:+.1f}",
            f"{100 * row['first_on']:.1f} %",
            f"{100 * row['first_off']:.1f} %",
        ]
        for row in rows
    ]
    head = ["what the signals said", "places", "mask on", "off", "difference, 95 %", "first: on", "off"]
    return f"""## Evidence that outlives a menu

How often the next word is among the five of the next menu, and how often it is the first of them, with what the signals
said as a mask on the logits, and without.

{table(head, lines)}
"""


def _stopping(rows: Sequence[Row]) -> str:
    lines = [
        [
            f"{row['threshold']:g}",
            percent(row, "false_accept_rate", 2),
            number(row, "seconds_a_choice", 2),
            number(row, "chars_per_min"),
            number(row, "ece", 3),
        ]
        for row in rows
    ]
    return f"""## When to choose

False accepts against time, by the probability at which the likeliest option is taken; 95 of 100 looks are right.

![When to choose](writing-stopping.png)

{table(["threshold", "false accepts", "s a choice", "characters a minute", "ECE"], lines)}
"""


def _speed(rows: Sequence[Row]) -> str:
    (row,) = rows
    return f"""## How long it takes

{row["phrases"]} phrases, {row["choices"]} choices, {row["letters"]} letters: {row["wall_seconds"]:.0f} s of real time
in two processes. The same seed gives the same JSON, in any number of processes.
"""


_SECTIONS: dict[str, Callable[[Sequence[Row]], str]] = {
    "oracle": _oracle,
    "people": _people,
    "channels": _channels,
    "eeg": _eeg,
    "stopping": _stopping,
    "learning": _learning,
    "leaning": _leaning,
    "speed": _speed,
}
