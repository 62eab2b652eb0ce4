"""BciPy's matrix speller with an eye tracker: a gaze CSV, triggers.txt and stimuli_positions.json.

The CSV begins with two lines of meta-data. Gaze is a fraction of the screen from its top left corner, y down;
keys are given by their centres in -1..1 from the centre of the screen, y up.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from volition.core.errors import SessionError
from volition.core.events import Box, Calibration, Flash, Layout
from volition.core.frames import EventFrame, SignalFrame
from volition.sessions.convert.format import EPOCH_NS, Format, write_session

TRIGGERS = "triggers.txt"
POSITIONS = "stimuli_positions.json"

_EYES = ("left_x", "left_y", "right_x", "right_y", "left_pupil", "right_pupil")
_EYE_UNITS = ("norm", "norm", "norm", "norm", "mm", "mm")


@dataclass(frozen=True)
class Trigger:
    """One line of triggers.txt; ``time`` in seconds on the clock of ``lsl_timestamp``."""

    label: str
    kind: str
    time: float


def recognises(path: Path) -> bool:
    """Whether the file begins as such a CSV, gzipped or not."""
    try:
        with _open(path) as file:
            head = list(islice(file, 3))
    except (OSError, EOFError, UnicodeDecodeError):
        return False
    return len(head) == 3 and head[0].startswith("daq_type,") and {"lsl_timestamp", "left_x"} <= _columns(head[2])


def convert(path: Path, out: Path) -> list[Path]:
    """Write one session: ``gaze``, ``eyes``; ``layout``, ``cue``, ``flash`` where their files exist."""
    notes = [
        "the recording has no date: LSL's clock is put at 2000-01-01 UTC",
        "gaze is the mean of both eyes, or the one that was seen, or NaN; eyes has both as they came",
    ]
    streams: dict[str, SignalFrame | EventFrame] = dict(gaze_streams(path))
    triggers, positions = path.with_name(TRIGGERS), path.with_name(POSITIONS)
    missing = [p.name for p in (triggers, positions) if not p.is_file()]
    if missing:
        notes.append(f"{' and '.join(missing)} not found beside the file: there are no layout, cue and flash events")
    else:
        streams.update(event_streams(read_triggers(triggers), read_boxes(positions)))
    return [write_session(out, path, FORMAT.name, streams, notes)]


def gaze_streams(path: Path) -> dict[str, SignalFrame]:
    """``gaze`` (x, y; norm) and ``eyes`` (both eyes and pupils) of the CSV."""
    try:
        with _open(path) as file:
            meta = dict(line.rstrip().split(",", 1) for line in islice(file, 2))
            table = pd.read_csv(file)
            rate = float(meta["sample_rate"])
            stamps = table["lsl_timestamp"].to_numpy(dtype=np.float64)
            eyes = table[list(_EYES)].to_numpy(dtype=np.float64)
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise SessionError(f"{path}: the gaze table is damaged: {error}") from None
    times = np.rint(stamps * 1e9).astype(np.int64) + EPOCH_NS
    if not np.all(np.isfinite(stamps)) or not np.all(np.diff(times) > 0):
        raise SessionError(f"{path}: lsl_timestamp does not increase from each sample to the next")
    gaze = mean_of_eyes(eyes[:, 0:2], eyes[:, 2:4])
    return {
        "gaze": SignalFrame(times, gaze, ("x", "y"), rate, "norm"),
        "eyes": SignalFrame(times, eyes, _EYES, rate, _EYE_UNITS),
    }


def mean_of_eyes(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Where both eyes look, shape (n, 2): their mean, the one with both x and y, or NaN."""
    eyes = np.stack([left, right])
    seen = np.isfinite(eyes).all(axis=2, keepdims=True)
    count = seen.sum(axis=0)
    total = np.where(seen, eyes, 0.0).sum(axis=0)
    mean: np.ndarray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def read_triggers(path: Path) -> list[Trigger]:
    """The lines of triggers.txt: ``label kind time``."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            label, kind, time = line.rsplit(maxsplit=2)
            found.append(Trigger(label, kind, float(time)))
        except ValueError:
            raise SessionError(f"{path}:{number}: expected 'label kind time', found {line[:60]!r}") from None
    return found


def read_boxes(path: Path) -> list[Box]:
    """The keys as boxes in norm units, as wide and as high as the keys are apart."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        centres = {key: (float(at[0]), float(at[1])) for key, at in table.items() if not key.startswith("screen_")}
        if not centres:
            raise ValueError("it names no key")
    except (OSError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise SessionError(f"{path}: the positions of the keys cannot be read: {error}") from None
    width = _spacing([x for x, _ in centres.values()]) / 2
    height = _spacing([y for _, y in centres.values()]) / 2
    return [
        Box(
            id=key,
            x=(x + 1) / 2 - width / 2,
            y=(1 - y) / 2 - height / 2,
            width=width,
            height=height,
            text=key,
        )
        for key, (x, y) in centres.items()
    ]


def event_streams(triggers: list[Trigger], boxes: list[Box]) -> dict[str, EventFrame]:
    """``layout`` and ``cue`` at each prompt, ``flash`` at each flash; the menu is the number of the prompt.

    Other kinds (``offset``, ``fixation``, ``system``) are left out; the times of ``system`` are on another
    clock.
    """
    layouts: list[tuple[int, str, Any]] = []
    cues: list[tuple[int, str, Any]] = []
    flashes: list[tuple[int, str, Any]] = []
    for trigger in triggers:
        at = round(trigger.time * 1e9) + EPOCH_NS
        if trigger.kind == "prompt":
            menu = len(cues)
            layouts.append(Layout(boxes=boxes, unit="norm", menu=menu).at(at))
            cues.append(Calibration(step="cue", target=trigger.label, menu=menu).at(at))
        elif trigger.kind in ("target", "nontarget") and cues:
            lit = Flash(ids=[trigger.label], menu=len(cues) - 1, target=trigger.kind == "target")
            flashes.append(lit.at(at))
    return {"layout": EventFrame.of(*layouts), "cue": EventFrame.of(*cues), "flash": EventFrame.of(*flashes)}


def _spacing(values: list[float]) -> float:
    """The smallest distance of neighbours; a tenth of the screen when all are equal."""
    steps = np.diff(np.unique(np.round(values, 6)))
    return float(steps.min()) if len(steps) else 0.2


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")


def _columns(line: str) -> set[str]:
    return {name.strip() for name in line.split(",")}


FORMAT = Format(
    "bcipy-speller",
    f"BciPy matrix speller gaze, .csv or .csv.gz with {TRIGGERS} beside it",
    recognises,
    convert,
)
