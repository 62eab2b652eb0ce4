"""BNCI Horizon 2020 data set 003-2015: the P300 matrix speller of Guger et al. 2009.

C. Guger et al., Neurosci. Lett. 462 (2009) 94-98. A MATLAB file holds one struct with the parts ``train`` and
``test``, each of shape (11, n): time in seconds, eight channels of EEG in µV, the code of the flash (1-6
columns, 7-12 rows, 0 none) and whether it holds the attended letter.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from volition.core.errors import SessionError
from volition.core.events import Box, Calibration, Flash, Layout
from volition.core.frames import EventFrame, SignalFrame
from volition.sessions.convert.format import EPOCH_NS, Format, write_session

CHANNELS = ("Fz", "Cz", "P3", "Pz", "P4", "PO7", "Oz", "PO8")
MATRIX = ("ABCDEF", "GHIJKL", "MNOPQR", "STUVWX", "YZ0123", "456789")
PARTS = ("train", "test")
RATE = 256.0

_ROWS = 11
_LETTER_PAUSE_S = 1.0  # flashes of a letter are 0.08 s apart, letters 3.8 s
_LAYOUT_LEAD_S = 1.0

_NOTES = (
    "the recording has no date: its clock is put at 2000-01-01 UTC",
    "the first 5 s hold a filter transient of 10,000 uV and more, and are kept: skip them",
    "channel names and unit are not in the file; they are those of the paper (Guger et al. 2009)",
    "layout and cue events are put 1 s before the first flash of each letter; the file has none",
)


def ids_of(code: int) -> list[str]:
    """The letters of a flash code: 1-6 columns from the left, 7-12 rows from the top.

    >>> "".join(ids_of(1)), "".join(ids_of(8))
    ('AGMSY4', 'GHIJKL')
    """
    return list(MATRIX[code - 7]) if code > 6 else [row[code - 1] for row in MATRIX]


def recognises(path: Path) -> bool:
    """Whether the file is a MATLAB file with such a struct."""
    return path.suffix.lower() == ".mat" and _parts(path) is not None


def convert(path: Path, out: Path) -> list[Path]:
    """Write ``NAME-train.xdf`` and ``NAME-test.xdf``."""
    parts = _parts(path)
    if parts is None:
        raise SessionError(f"{path}: this is no file of BNCI data set 003-2015")
    written = []
    for name, x in parts.items():
        target = out.with_name(f"{out.stem}-{name}.xdf")
        written.append(write_session(target, path, FORMAT.name, part_streams(x, path), _NOTES))
    return written


def part_streams(x: np.ndarray, path: Path) -> dict[str, SignalFrame | EventFrame]:
    """The streams ``eeg``, ``flash``, ``layout`` and ``cue`` of one part, shape (11, n)."""
    times = np.rint(x[0] * 1e9).astype(np.int64) + EPOCH_NS
    if not np.all(np.diff(times) > 0):
        raise SessionError(f"{path}: the times (row 0) do not increase")
    eeg = np.ascontiguousarray(x[1:9].T, dtype=np.float64)
    codes = x[9].astype(np.int64)
    if codes.min() < 0 or codes.max() > 12 or not codes.any():
        raise SessionError(f"{path}: the flash codes (row 9) are not 1 to 12")
    onsets = np.flatnonzero((codes != 0) & (np.r_[0, codes[:-1]] != codes))
    begins = np.r_[True, np.diff(times[onsets]) > _LETTER_PAUSE_S * 1e9]
    letters = np.cumsum(begins) - 1
    target = x[10] != 0
    flashes, layouts, cues = [], [], []
    for onset, letter in zip(onsets, letters, strict=True):
        flash = Flash(ids=ids_of(codes[onset]), menu=int(letter), target=bool(target[onset]))
        flashes.append(flash.at(int(times[onset])))
    for letter, first in enumerate(onsets[begins]):
        at = int(times[first] - _LAYOUT_LEAD_S * 1e9)
        of_letter = onsets[letters == letter]
        attended = _attended(set(codes[of_letter[target[of_letter]]].tolist()))
        layouts.append(Layout(boxes=_boxes(), unit="norm", menu=letter).at(at))
        cues.append(Calibration(step="cue", target=attended, menu=letter).at(at))
    return {
        "eeg": SignalFrame(times, eeg, CHANNELS, RATE, "uV"),
        "flash": EventFrame.of(*flashes),
        "layout": EventFrame.of(*layouts),
        "cue": EventFrame.of(*cues),
    }


def _attended(codes: set[int]) -> str:
    """The letter where the only row and the only column of the target flashes meet; else empty."""
    rows = [code for code in codes if code > 6]
    columns = [code for code in codes if code <= 6]
    return MATRIX[rows[0] - 7][columns[0] - 1] if len(rows) == len(columns) == 1 else ""


def _boxes() -> list[Box]:
    side = 1 / len(MATRIX)
    return [
        Box(id=letter, x=column * side, y=row * side, width=side, height=side, text=letter)
        for row, letters in enumerate(MATRIX)
        for column, letter in enumerate(letters)
    ]


def _parts(path: Path) -> dict[str, np.ndarray] | None:
    """The parts by name; None when the file is something else."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    # What loadmat lets through on files that are no MATLAB files, damaged ones, and those of version 7.3.
    unreadable = (MatReadError, NotImplementedError, ValueError, TypeError, LookupError, OSError, MemoryError)
    try:
        variables: dict[str, Any] = loadmat(path)
    except (*unreadable, zlib.error):
        return None
    structs = [v for k, v in variables.items() if not k.startswith("__")]
    if len(structs) != 1 or structs[0].dtype.names is None or structs[0].shape != (1, 1):
        return None
    struct = structs[0][0, 0]
    if not set(PARTS) <= set(struct.dtype.names):
        return None
    parts = {name: np.asarray(struct[name]) for name in PARTS}
    fits = all(x.ndim == 2 and x.shape[0] == _ROWS and x.shape[1] > 1 and x.dtype.kind in "fiu" for x in parts.values())
    return parts if fits else None


FORMAT = Format("bnci2015-003", "P300 matrix speller of BNCI Horizon 2020, .mat", recognises, convert)
