"""The log of choices: what was shown, how likely it was, and what the person did with it.

A file of JSON lines that is only added to. A line is a menu that was answered (``choice``) or the end of a sentence
(``sentence``). Whether a choice stands is not written but follows from how its sentence ended, so an undo, however
late, and a redo after it need no line of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from volition.core import LoadError
from volition.nodes.text.requests import Proposals
from volition.nodes.text.rerank import FEATURES

CHOICE, SENTENCE = "choice", "sentence"
NONE, TYPED, UNDONE = "none", "typed", "undone"

Row = dict[str, Any]

_DIGITS = 6


def choice(
    shown: Proposals,
    outcome: str,
    taken: int | None,
    time: int,
    log_v: Mapping[str, float],
    propensities: Sequence[float],
    style: str = "",
) -> Row:
    """A menu that was answered.

    Parameters
    ----------
    outcome
        ``choice``, ``none``, or ``typed``: letters were typed instead, or deleted.
    taken
        The place of the option that was taken, from 0.
    time
        Of the answer, ns UTC.
    log_v
        What signals said of the options "1", "2", ... (log V).
    propensities
        The probability that each option was shown in its place.
    style
        Of the profile.
    """
    options = [
        {
            "text": option.text,
            "log_p": _rounded(option.log_probability),
            "unranked": _rounded(option.log_probability - option.why.get("rank", 0.0)),
            "propensity": _rounded(propensity),
            "log_v": _rounded(log_v.get(str(place), 0.0)),
            "features": list(option.features),
        }
        for place, (option, propensity) in enumerate(zip(shown.options, propensities, strict=True), 1)
    ]
    return {
        "kind": CHOICE,
        "time": time,
        "text": shown.request.text,
        "half_typed": shown.request.half_typed,
        "options": options,
        "p_none": _rounded(shown.p_none),
        "log_v_none": _rounded(log_v.get(NONE, 0.0)),
        "outcome": outcome,
        "taken": taken,
        "model": shown.model,
        "style": style,
    }


def sentence(text: str, time: int, style: str = "") -> Row:
    """A text that was finished."""
    return {"kind": SENTENCE, "time": time, "text": text, "style": style}


def result(row: Row) -> str:
    """The text after a menu was answered."""
    text: str = row["text"]
    return text + row["options"][row["taken"]]["text"] if row["taken"] is not None else text


def stands(row: Row, text: str) -> bool:
    """Whether an answer is part of the text that was finished in the end: an undo took it back otherwise.

    >>> row = {"text": "i", "options": [{"text": " am"}], "taken": 0}
    >>> stands(row, "i am here"), stands(row, "i"), stands(row, "i amble")
    (True, False, False)
    """
    before = result(row)
    rest = text[len(before) :]
    within = row["taken"] is not None and before[-1:].isalnum() and (rest[:1].isalnum() or rest[:1] in tuple("'’-"))
    return text.startswith(before) and not within


def sentences(rows: Iterable[Row]) -> Iterator[tuple[list[Row], Row | None]]:
    """Answers and the sentence that they made; None for those of one that is not finished."""
    group: list[Row] = []
    for row in rows:
        if row["kind"] == SENTENCE:
            yield group, row
            group = []
        else:
            group.append(row)
    if group:
        yield group, None


def valid(row: Any) -> bool:
    """Whether a line is one of ours; a file may have been edited, or come from elsewhere."""
    try:
        if row["kind"] == SENTENCE:
            return isinstance(row["text"], str)
        options = row["options"]
        numbers = [option[key] for option in options for key in ("log_p", "unranked", "propensity", "log_v")]
        numbers += [value for option in options for value in option["features"]]
        return (
            row["kind"] == CHOICE
            and isinstance(row["text"], str)
            and all(isinstance(option["text"], str) for option in options)
            and all(isinstance(number, (int, float)) and math.isfinite(number) for number in numbers)
            and all(len(option["features"]) in (0, len(FEATURES)) for option in options)
            and math.isfinite(row["p_none"])
            and (row["taken"] is None or 0 <= row["taken"] < len(options))
        )
    except (KeyError, TypeError):
        return False


def table(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """The columns of the log as a table, a row an option shown; ``menu`` counts menus, ``place`` begins with 1."""
    columns: dict[str, list[Any]] = {name: [] for name in (*_COLUMNS, *FEATURES)}
    menu = 0
    for group, end in sentences(rows):
        for row in group:
            menu += 1
            undone = end is not None and row["taken"] is not None and not stands(row, end["text"])
            for place, option in enumerate(row["options"], 1):
                values = {
                    "menu": menu,
                    "time": row["time"],
                    "context": row["text"],
                    "half_typed": row["half_typed"],
                    "outcome": UNDONE if undone else row["outcome"],
                    "p_none": row["p_none"],
                    "model": row["model"],
                    "style": row["style"],
                    "finished": end["text"] if end is not None else None,
                    "place": place,
                    "option": option["text"],
                    "taken": row["taken"] == place - 1,
                    **{name: option[name] for name in ("log_p", "unranked", "propensity", "log_v")},
                }
                known = option["features"] or [None] * len(FEATURES)
                for name, value in {**dict(zip(FEATURES, known, strict=True)), **values}.items():
                    columns[name].append(value)
    return columns


_COLUMNS = (
    "menu",
    "time",
    "context",
    "half_typed",
    "outcome",
    "p_none",
    "model",
    "style",
    "finished",
    "place",
    "option",
    "taken",
    "log_p",
    "unranked",
    "propensity",
    "log_v",
)


def write_parquet(rows: Iterable[Row], path: Path) -> int:
    """Write the log as a Parquet file (see ``table``); how many lines it has.

    Raises
    ------
    LoadError
        When pyarrow is missing, or the file cannot be written.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise LoadError(f"Parquet needs pyarrow ({error}): pip install 'pyarrow>=15,<26'") from None
    types = {
        "time": pyarrow.timestamp("ns", tz="UTC"),
        "menu": pyarrow.int64(),
        "place": pyarrow.int64(),
        **dict.fromkeys(("half_typed", "taken"), pyarrow.bool_()),
        **dict.fromkeys(("context", "outcome", "model", "style", "finished", "option"), pyarrow.string()),
    }
    columns = table(rows)
    schema = pyarrow.schema([(name, types.get(name, pyarrow.float64())) for name in columns])
    try:
        pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), path)
    except OSError as error:
        raise LoadError(f"{path} cannot be written: {error.strerror or error}") from None
    return len(columns["menu"])


def _rounded(value: float) -> float:
    return round(max(-1e6, min(1e6, value)), _DIGITS)
