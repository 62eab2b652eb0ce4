"""Clock offsets of a recording in whose middle a sender's clock began anew.

pyxdf brings clocks together well as long as they run on; for the pieces around a restart its releases differ,
and some join them wrongly. Streams with a restart are therefore brought to the recorder's clock here.
"""

from __future__ import annotations

import numpy as np

RESET_SECONDS = 1.0
"""Two neighbouring offset measurements further apart than this: the clock began anew between them."""


def resets(offsets: np.ndarray) -> np.ndarray:
    """Where a new clock begins: indices into ``offsets``, the measured clock offsets in s."""
    found: np.ndarray = np.flatnonzero(np.abs(np.diff(offsets)) > RESET_SECONDS) + 1
    return found


def to_recorder_clock(stamps: np.ndarray, measured: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time stamps of a sender as seconds of the recorder, and which of its clocks each came from.

    Parameters
    ----------
    stamps
        Seconds of the sender's clock, shape (n,).
    measured, offsets
        When (on the sender's clock) the offset to the recorder's was measured, and what it was; in s, shape
        (m,).

    Notes
    -----
    A stamp belongs to the clock whose measurements were taken nearest to it. Per clock, a line is laid
    through the offsets by Theil and Sen's median of slopes, which bears outliers.
    """
    from scipy.stats import theilslopes

    cuts = resets(offsets)
    pieces = list(zip(np.split(measured, cuts), np.split(offsets, cuts), strict=True))
    away = [np.maximum(np.maximum(at.min() - stamps, stamps - at.max()), 0.0) for at, _ in pieces]
    clock = np.argmin(away, axis=0)
    mapped = np.array(stamps, dtype=np.float64)
    for number, (at, offset) in enumerate(pieces):
        mine = clock == number
        slope, intercept = 0.0, float(np.median(offset))
        if len(at) > 2 and np.ptp(at) > 0:
            slope, intercept = theilslopes(offset, at)[:2]
        mapped[mine] += intercept + slope * mapped[mine]
    return mapped, clock


def dejitter(stamps: np.ndarray, pieces: np.ndarray, rate: float, pause: float) -> np.ndarray:
    """Evenly spaced time stamps: a straight line over each run without a step longer than ``pause`` seconds.

    ``pieces``, shape (n,), names what a run must not cross. Irregular streams (``rate`` 0) stay as they are.
    """
    even = np.array(stamps, dtype=np.float64)
    if not rate:
        return even
    cuts = np.flatnonzero((np.diff(stamps) > pause) | (np.diff(pieces) != 0)) + 1
    for run in np.split(np.arange(len(stamps)), cuts):
        if len(run) > 2:
            slope, intercept = np.polyfit(run - run[0], stamps[run] - stamps[run[0]], 1)
            even[run] = stamps[run[0]] + intercept + slope * (run - run[0])
    return even
