"""Recordings that other programs made: markers become events, times become UTC and go forward only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from volition.core.clock import SECOND
from volition.core.frames import EventFrame, SignalFrame
from volition.sessions import clocks
from volition.sessions.header import StreamHeader

BREAK_SECONDS = 1.0
BREAK_SAMPLES = 3
"""A pause longer than both is a gap: what follows is a new segment."""

_NOTABLE_RATE_ERROR = 0.05
_UNIX = 1e9  # seconds: September 2001, or a machine that has been up for 31 years
_LATEST = 4e9  # seconds: the year 2096


def events(head: StreamHeader, times: np.ndarray, texts: Sequence[Sequence[Any]]) -> EventFrame:
    """The events of a stream of texts or numbers, sorted by time.

    A text ``{"label": ..., "data": {...}}``, as our outlets send it, is the event; any other is a ``state``
    event with the text of the first channel, and of all of them in ``detail`` when there are several.
    """
    found = [_event(head, row) for row in texts]
    order = np.argsort(times, kind="stable")
    return EventFrame(
        np.asarray(times, dtype=np.int64)[order],
        [found[i][0] for i in order],
        [found[i][1] for i in order],
    )


def _event(head: StreamHeader, row: Sequence[Any]) -> tuple[str, Mapping[str, Any]]:
    texts = [value if isinstance(value, str) else f"{value:g}" if _is_float(value) else str(value) for value in row]
    first = texts[0] if texts else ""
    if len(texts) == 1 and first.startswith("{"):
        try:
            event = json.loads(first)
        except ValueError:
            event = None
        if isinstance(event, dict) and isinstance(event.get("label"), str) and isinstance(event.get("data"), dict):
            return event["label"], event["data"]
    data: dict[str, Any] = {"state": first, "source": head.name}
    if len(texts) > 1:
        data["detail"] = dict(zip(head.channels, texts, strict=True))
    return "state", data


def _is_float(value: Any) -> bool:
    return isinstance(value, (float, np.floating))


def streams(
    raw: list[Any], header: Mapping[str, Any], notes: list[str]
) -> list[tuple[StreamHeader, list[SignalFrame] | list[EventFrame]]]:
    """What pyxdf read, as frames; ``notes`` gets a sentence for all that was mended.

    Integers at irregular times on one channel are events, like texts; all else is signal. LSL's clock has no
    known zero: the file's date is taken for its first sample, and without a date UTC is 1970 plus that clock.
    """
    offset = _utc_offset(raw, header, notes)
    found: list[tuple[StreamHeader, list[SignalFrame] | list[EventFrame]]] = []
    for stream in raw:
        head = StreamHeader.of(stream["info"])
        stamps = np.asarray(stream["time_stamps"], dtype=np.float64)
        usable = np.isfinite(stamps) & (np.abs(stamps) < _LATEST)
        if not usable.all():
            notes.append(f"{head.name}: {np.sum(~usable)} samples with impossible time stamps were left out")
        times = np.rint(stamps[usable] * 1e9).astype(np.int64) + offset
        rows = [row for row, use in zip(stream["time_series"], usable, strict=False) if use]
        if head.format == "string" or (head.format.startswith("int") and not head.rate and len(head.channels) == 1):
            found.append((head, [events(head, times, rows)]))
            continue
        values = np.asarray(stream["time_series"])
        values = values[usable] if len(values) == len(usable) else values.reshape(-1, len(head.channels))[:0]
        found.append((head, _segments(head, times, values, notes)))
    return found


def mend_resets(raw: list[Any], synchronized: list[Any], notes: list[str]) -> list[Any]:
    """The ``synchronized`` streams; where a clock began anew, times made from the ``raw`` ones here."""
    for plain, stream in zip(raw, synchronized, strict=True):
        offsets = np.asarray(plain["clock_values"], dtype=np.float64)
        stamps = np.asarray(plain["time_stamps"], dtype=np.float64)
        count = len(clocks.resets(offsets))
        if not count or not len(stamps):
            continue
        head = StreamHeader.of(plain["info"])
        measured = np.asarray(plain["clock_times"], dtype=np.float64)
        mapped, clock = clocks.to_recorder_clock(stamps, measured, offsets)
        pause = max(BREAK_SECONDS, BREAK_SAMPLES / head.rate) if head.rate else BREAK_SECONDS
        stream["time_stamps"] = clocks.dejitter(mapped, clock, head.rate, pause)
        notes.append(f"{head.name}: the sender's clock began anew {count} time(s); the pieces were put in order")
    return synchronized


def _utc_offset(raw: list[Any], header: Mapping[str, Any], notes: list[str]) -> int:
    date = ((header.get("info") or {}).get("datetime") or [None])[0]
    firsts = [float(s["time_stamps"][0]) for s in raw if len(s["time_stamps"])]
    if not firsts or not all(map(np.isfinite, firsts)):
        return 0
    if min(firsts) > _UNIX:
        return 0  # the recorder's clock is UTC already
    moment = _date(str(date).strip())
    if moment is None:
        notes.append("the file has no date: its times count from 1970 on the recorder's clock")
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    notes.append(f"the recorder's clock was set to UTC by the file's date, {moment.isoformat()}")
    return round(moment.timestamp()) * SECOND - round(min(firsts) * SECOND)


def _date(text: str) -> datetime | None:
    """The file's date; None when it is none."""
    for form in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S"):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _segments(head: StreamHeader, times: np.ndarray, values: np.ndarray, notes: list[str]) -> list[SignalFrame]:
    if not len(times):
        return []
    # Dejittering fits a line to each piece, which may take up to half of a break away.
    longest = max(BREAK_SECONDS, BREAK_SAMPLES / head.rate) / 2 if head.rate else np.inf
    steps = np.diff(times) / SECOND
    cuts = np.flatnonzero((steps > longest) | (steps < -BREAK_SECONDS)) + 1
    frames: list[SignalFrame] = []
    dropped = moved = 0
    parts = sorted(np.split(np.arange(len(times)), cuts), key=lambda part: times[part[0]])
    end = times.min() - 1
    for part in parts:
        later = part[times[part] > end]
        dropped += len(part) - len(later)
        if not len(later):
            continue
        forward = strictly_increasing(times[later])
        moved += int(np.sum(forward != times[later]))
        frames.append(head.frame(forward, values[later], len(frames)))
        end = forward[-1]
    if len(frames) > 1:
        notes.append(f"{head.name}: {len(frames) - 1} gaps")
    if dropped:
        notes.append(f"{head.name}: {dropped} samples whose times ran back into earlier ones were left out")
    if moved:
        notes.append(f"{head.name}: {moved} samples were not later than the one before and were moved by nanoseconds")
    _note_rate(head, frames, notes)
    return frames


def strictly_increasing(times: np.ndarray) -> np.ndarray:
    """``times``, each at least 1 ns after the one before, moved by no more than that needs.

    >>> strictly_increasing(np.array([5, 5, 4, 9])).tolist()
    [5, 6, 7, 9]
    """
    ramp = np.arange(len(times))
    forward: np.ndarray = np.maximum.accumulate(times - ramp) + ramp
    return forward


def _note_rate(head: StreamHeader, frames: list[SignalFrame], notes: list[str]) -> None:
    steps = sum(len(f) - 1 for f in frames)
    span = sum(int(f.times[-1] - f.times[0]) for f in frames) / SECOND
    if not head.rate or steps < 1 or span <= 0:
        return
    if abs(steps / span - head.rate) > _NOTABLE_RATE_ERROR * head.rate:
        notes.append(
            f"{head.name}: {steps / span:.1f} samples a second came, {head.rate:g} were announced: "
            "samples were lost, or the announcement is wrong"
        )
