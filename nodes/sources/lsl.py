"""Signals and markers from Lab Streaming Layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np

from volition.core import (
    EventFrame,
    EventsOut,
    EventsSpec,
    NodeError,
    SignalFrame,
    SignalOut,
    SignalSpec,
    Source,
)
from volition.core.errors import FrameError, StreamError
from volition.core.events import VOCABULARY, Dropped, Gap, State, parse
from volition.core.node import Arrival
from volition.core.params import Ge, Gt, Unit
from volition.core.ports import Spec
from volition.core.units import unit_factor, unit_name
from volition.nodes.sources.lsl_link import Found, Link, query
from volition.nodes.sources.stamps import Piece, Stamps

Channels = list[str] | dict[str, str]

CF_STRING = 3


def select_channels(
    found: Sequence[str], wanted: Channels | None, named: bool = True
) -> tuple[tuple[str, ...], list[int]]:
    """Names to give and columns to take.

    Parameters
    ----------
    found
        Names that the stream states.
    wanted
        A list picks and orders; a dict renames, new name to old. None takes all.
    named
        Whether the stream states names at all; where it does not, a list of the right length names its
        channels.

    Raises
    ------
    StreamError
        When a channel is not there.

    >>> select_channels(["lx", "ly", "pupil"], {"x": "lx", "y": "ly"})
    (('x', 'y'), [0, 1])
    """
    if wanted is None:
        return tuple(found), list(range(len(found)))
    if not named and isinstance(wanted, list) and len(wanted) == len(found):
        return tuple(wanted), list(range(len(found)))
    old = wanted if isinstance(wanted, list) else list(wanted.values())
    missing = [name for name in old if name not in found]
    if missing:
        raise StreamError(
            f"the stream has no channel {', '.join(map(repr, missing))}; it has {', '.join(map(repr, found))}"
        )
    return tuple(wanted), [list(found).index(name) for name in old]


class Reading:
    """How the samples of one stream become those that were asked for."""

    def __init__(self, found: Found, channels: Channels | None, unit: str, rate: float | None):
        named = found.channels != tuple(f"ch{k + 1}" for k in range(len(found.channels)))
        if found.format == CF_STRING:
            raise StreamError(f"stream {found.name!r} carries strings; LslEvents reads those")
        self.channels, columns = select_channels(found.channels, channels, named)
        self.columns = None if columns == list(range(len(found.channels))) else columns
        stated = [found.units[k] for k in columns]
        self.factors: np.ndarray | None = None
        self.converted = ""
        if unit:
            factors = [1.0 if not given else unit_factor(given, unit) for given in stated]
            if None in factors:
                given = stated[factors.index(None)]
                raise StreamError(f"stream {found.name!r} is in {given!r}, which does not convert to {unit!r}")
            if factors != [1.0] * len(factors):
                self.factors = np.array(factors, dtype=np.float64)
                self.converted = ", ".join(sorted({given for given in stated if given != unit}))
            stated = [unit] * len(columns)
        self.units = tuple(stated)
        if rate is not None and found.rate and abs(found.rate - rate) > 1e-3 * rate:
            raise StreamError(f"stream {found.name!r} runs at {found.rate:g} Hz, not at {rate:g} Hz")
        self.rate = found.rate or rate or 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values of the wanted channels in the wanted unit; keeps float32 or float64."""
        if self.columns is not None:
            values = values[:, self.columns]
        if self.factors is not None:
            values = (values * self.factors).astype(values.dtype)
        return values


class LslInlet(Source):
    """Samples of a Lab Streaming Layer stream.

    Waits for the stream, opens it, and finds it again after a loss. Says so: ``stream`` opened, lost, back;
    ``state`` waiting. Integer formats become floats. NaN passes. Times are LSL's stamps as UTC: a stamp that
    repeats or steps back by less than a sample period is moved to 1 ns after the last; a larger step back, a
    step forward of more than 1.5 periods plus ``gap`` seconds, and a loss are reported as ``gap`` and start a
    new segment.
    """

    o = SignalOut()

    def __init__(
        self,
        name: str = "",
        type: str = "",
        source_id: str = "",
        predicate: str = "",
        channels: list[str] | dict[str, str] | None = None,
        unit: str = "",
        rate: Annotated[float, Unit("Hz"), Gt(0)] | None = None,
        dejitter: bool = False,
        clock_correction: bool = True,
        timeout: Annotated[float, Unit("s"), Ge(0)] = 5.0,
        lost_after: Annotated[float, Unit("s"), Gt(0)] = 2.0,
        gap: Annotated[float, Unit("s"), Ge(0)] = 0.1,
        network: bool = False,
    ):
        """Describe the stream.

        name: name of the stream.
        type: content type, such as EEG or Gaze.
        source_id: the device's own id, where the name is not enough.
        predicate: XPath over the stream's description, such as starts-with(name,'Muse').
        channels: a list picks and orders channels, a map renames them (new: old); all by default.
        unit: unit of the output; volts of any size are converted, one that states none is taken to be in it.
        rate: rate of a stream that states none; checked against one that does.
        dejitter: smooth the stamps of a regular stream, anew after each gap.
        clock_correction: map the stamps of another machine to this machine's clock.
        timeout: seconds after which it is said that the stream is waited for.
        lost_after: seconds without a sample after which a regular stream counts as lost.
        gap: how late a stamp may be before something is taken to be missing.
        network: whether streams of other machines are looked for, too.
        """
        self._query = query(name, type, source_id, predicate)
        if not self._query:
            raise NodeError("LslInlet: say which stream: name, type, source_id or predicate")
        self.channels, self.unit, self.rate = channels, unit_name(unit), rate
        self.dejitter, self.clock_correction = dejitter, clock_correction
        self.timeout, self.lost_after, self.gap, self.network = timeout, lost_after, gap, network
        self._link: Link | None = None
        self._found: Found | None = None
        self._reading: Reading
        self._stamps: Stamps | None = None
        self._segment = 0

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """What the parameters state of the stream; the rest shows when it is there."""
        return {"o": SignalSpec(tuple(self.channels) if self.channels else None, self.rate, self.unit or None)}

    def start(self) -> None:
        """Begin to look for the stream."""
        link = Link(self.id or "LslInlet", self._query, self.report, self.clock)
        link.clock_correction, link.patience = self.clock_correction, self.timeout
        link.start(self.network)
        self._link = link

    def poll(self, timeout: float) -> list[Arrival]:
        """Wait for samples inside liblsl; the first one wakes."""
        taken = self._link.take(timeout) if self._link is not None else None
        if taken is None:
            return []
        found, values, times = taken
        if found is not self._found:
            self._opened(found)
        assert self._stamps is not None
        values = self._reading(values)
        return [("o", self._frame(values, piece)) for piece in self._stamps(times)]

    def _opened(self, found: Found) -> None:
        assert self._link is not None
        try:
            reading = Reading(found, self.channels, self.unit, self.rate)
        except StreamError as error:
            raise StreamError(f"{self.id or 'LslInlet'}: {error}") from None
        if self._stamps is None or reading.rate != self._reading.rate:
            last = self._stamps.last if self._stamps is not None else None
            self._stamps = Stamps(reading.rate, self.gap, self.dejitter, last)
        self._stamps.cut()
        self._found, self._reading = found, reading
        self._link.silence = self.lost_after if reading.rate else 0.0
        if reading.converted:
            detail = {"from": reading.converted, "to": self.unit}
            self.report(State(state="converted", source=self.id, detail=detail), self.clock.now())

    def _frame(self, values: np.ndarray, piece: Piece) -> SignalFrame:
        reading = self._reading
        if piece.gap is not None:
            self._segment += 1
            self.report(_gap(self.id, piece.gap, self._link), int(piece.times[0]))
        return SignalFrame(
            piece.times,
            values[piece.start : piece.stop],
            reading.channels,
            reading.rate,
            reading.units,
            self._segment,
        )

    def terminate(self) -> None:
        """Close the stream."""
        if self._link is not None:
            self._link.close()


def _gap(node: str, gap: tuple[int, int], link: Link | None) -> Gap:
    before, after = gap
    reason = link.take_reason() if link is not None else ""
    if not reason:
        reason = "stamps are missing" if after > before else "stamps step back"
    return Gap(source=node, start_ns=before, seconds=(after - before) / 1e9, reason=reason)


Marker = Literal["state", "key", "flash", "calibration", "text", "turn"]

_FIELDS = {"state": "state", "key": "key", "calibration": "step", "text": "text", "turn": "text"}


def marker_event(text: str, label: str) -> tuple[str, dict[str, Any]]:
    """Label and data of one marker.

    Parameters
    ----------
    text
        JSON ``{"label": ..., "data": {...}}`` of the vocabulary; anything else is a plain marker.
    label
        What a plain marker becomes.

    Raises
    ------
    FrameError
        When the JSON names a label or fields that the vocabulary does not have.

    >>> marker_event("7", "key")
    ('key', {'key': '7'})
    """
    if text.startswith("{"):
        try:
            event = json.loads(text)
        except ValueError:
            event = {}
        if isinstance(event.get("label"), str) and isinstance(event.get("data", {}), dict):
            found = parse(event["label"], event.get("data", {}))
            return found.label, found.model_dump(exclude_none=True)
    if label == "flash":
        return label, {"ids": [text], "menu": 0}
    return label, parse(label, {_FIELDS[label]: text}).model_dump(exclude_none=True)


class LslEvents(Source):
    """Events of a Lab Streaming Layer marker stream.

    Our own events (JSON with ``label`` and ``data``) come back as they were; any other string or number
    becomes an event of one kind. What the vocabulary refuses is dropped and counted. The first channel
    counts.
    """

    o = EventsOut()

    def __init__(
        self,
        name: str = "",
        type: str = "",
        source_id: str = "",
        predicate: str = "",
        label: Marker = "state",
        clock_correction: bool = True,
        timeout: Annotated[float, Unit("s"), Ge(0)] = 5.0,
        network: bool = False,
    ):
        """Describe the stream.

        name: name of the stream.
        type: content type, such as Markers.
        source_id: the sender's own id, where the name is not enough.
        predicate: XPath over the stream's description.
        label: what a marker becomes that is not an event of ours; a flash gets the marker as its only id.
        clock_correction: map the stamps of another machine to this machine's clock.
        timeout: seconds after which it is said that the stream is waited for.
        network: whether streams of other machines are looked for, too.
        """
        self._query = query(name, type, source_id, predicate)
        if not self._query:
            raise NodeError("LslEvents: say which stream: name, type, source_id or predicate")
        self.label, self.clock_correction, self.timeout, self.network = (
            label,
            clock_correction,
            timeout,
            network,
        )
        self._link: Link | None = None

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """Any event may come."""
        return {"o": EventsSpec(tuple(sorted(VOCABULARY)))}

    def start(self) -> None:
        """Begin to look for the stream."""
        link = Link(self.id or "LslEvents", self._query, self.report, self.clock)
        link.clock_correction, link.patience = self.clock_correction, self.timeout
        link.start(self.network)
        self._link = link

    def poll(self, timeout: float) -> list[Arrival]:
        """Wait for markers inside liblsl; the first one wakes."""
        taken = self._link.take(timeout) if self._link is not None else None
        if taken is None:
            return []
        _, rows, times = taken
        events = []
        for time, row in zip(times.tolist(), rows, strict=True):
            marker = row[0] if isinstance(row[0], str) else f"{row[0]:g}"
            try:
                events.append((time, *marker_event(marker, self.label)))
            except FrameError as error:
                self.report(Dropped(source=self.id, what="event", count=1, reason=str(error)), time)
        events.sort(key=lambda event: event[0])
        return [("o", EventFrame.of(*events))] if events else []

    def terminate(self) -> None:
        """Close the stream."""
        if self._link is not None:
            self._link.close()
