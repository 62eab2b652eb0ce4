"""What ports carry: signal, event and epoch frames on numpy arrays.

Building a DataFrame for every chunk costs more than most of the signal processing does, so frames hold arrays and
become a DataFrame only when a Timeflux node asks (``to_pandas``).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from volition.core.errors import FrameError

Data = Mapping[str, Any]


def _readonly(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


class SignalFrame:
    """Samples of one stream: times x channels.

    Parameters
    ----------
    times
        int64, shape (n,), ns UTC, strictly increasing.
    values
        float32 or float64, shape (n, n_channels), C-contiguous; read-only from here on.
    channels
        One name a channel.
    rate
        Nominal rate in Hz; 0 means irregular.
    unit
        One unit for all channels, or one a channel.
    segment
        Counts the pieces between gaps: nodes with memory restart when it changes.
    meta
        What a Timeflux node attached; passed on as it is.
    """

    __slots__ = ("channels", "meta", "rate", "segment", "times", "unit", "values")

    def __init__(
        self,
        times: np.ndarray,
        values: np.ndarray,
        channels: tuple[str, ...],
        rate: float = 0.0,
        unit: str | tuple[str, ...] = "",
        segment: int = 0,
        meta: Data | None = None,
    ):
        if values.ndim != 2 or values.shape != (len(times), len(channels)):
            raise FrameError(
                f"a signal frame of {len(times)} times and {len(channels)} channels got values of shape {values.shape}"
            )
        if not values.flags.c_contiguous or values.dtype.kind != "f":
            values = np.ascontiguousarray(values, dtype=np.float64 if values.dtype.itemsize > 4 else np.float32)
        self.times = _readonly(times)
        self.values = _readonly(values)
        self.channels = channels
        self.rate = rate
        self.unit = (unit,) * len(channels) if isinstance(unit, str) else unit
        self.segment = segment
        self.meta = meta

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"SignalFrame({len(self)} x {len(self.channels)}, {self.rate:g} Hz, segment {self.segment})"

    @property
    def identity(self) -> tuple[Any, ...]:
        """What a node's memory depends on: when it changes, the node restarts."""
        return (self.segment, self.rate, self.channels, self.unit)

    def like(
        self,
        values: np.ndarray | None = None,
        times: np.ndarray | None = None,
        channels: Iterable[str] | None = None,
        rate: float | None = None,
        unit: str | tuple[str, ...] | None = None,
    ) -> SignalFrame:
        """The same stream and segment with other contents; what is not given stays."""
        return SignalFrame(
            self.times if times is None else times,
            self.values if values is None else values,
            self.channels if channels is None else tuple(channels),
            self.rate if rate is None else rate,
            (self.unit if channels is None else "") if unit is None else unit,
            self.segment,
        )

    def __getitem__(self, rows: slice) -> SignalFrame:
        """Some consecutive samples of the frame, without a copy."""
        piece = SignalFrame.__new__(SignalFrame)  # the checks of __init__ hold for every part of a checked frame
        piece.times = self.times[rows]
        piece.values = self.values[rows]
        piece.channels = self.channels
        piece.rate = self.rate
        piece.unit = self.unit
        piece.segment = self.segment
        piece.meta = self.meta
        return piece

    def indices(self, channels: Sequence[str], node: str = "") -> list[int]:
        """Column numbers of ``channels``; a FrameError that names what there is when one is missing."""
        missing = [name for name in channels if name not in self.channels]
        if missing:
            raise FrameError(
                f"{node + ': ' if node else ''}the stream has no channel {', '.join(map(repr, missing))}; "
                f"it has {', '.join(map(repr, self.channels))}"
            )
        return [self.channels.index(name) for name in channels]

    def to_pandas(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The DataFrame (DatetimeIndex, a copy) and the meta dict that a Timeflux node expects."""
        frame = pd.DataFrame(
            self.values.copy(), index=pd.DatetimeIndex(self.times.view("M8[ns]")), columns=list(self.channels)
        )
        meta = dict(self.meta or {})
        if self.rate and "rate" not in meta:
            meta["rate"] = self.rate
        if any(self.unit):
            meta.setdefault("unit", list(self.unit))
        if self.segment:
            meta.setdefault("segment", self.segment)
        return frame, meta

    @staticmethod
    def concat(frames: Sequence[SignalFrame]) -> SignalFrame:
        """Consecutive frames of one segment as one frame."""
        if len(frames) == 1:
            return frames[0]
        first = frames[0]
        if any(f.identity != first.identity for f in frames[1:]):
            raise FrameError("frames of different segments or streams cannot be joined")
        return SignalFrame(
            np.concatenate([f.times for f in frames]),
            np.concatenate([f.values for f in frames]),
            first.channels,
            first.rate,
            first.unit,
            first.segment,
            first.meta,
        )


class EventFrame:
    """Events in order of time: ``times`` (int64 ns UTC), ``labels``, ``data`` (a dict each)."""

    __slots__ = ("data", "labels", "meta", "times")

    def __init__(
        self,
        times: Sequence[int] | np.ndarray,
        labels: Sequence[str],
        data: Sequence[Data],
        meta: Data | None = None,
    ):
        self.times = _readonly(np.array(times, dtype=np.int64))
        self.labels = tuple(labels)
        self.data = tuple(data)
        self.meta = meta
        if not len(self.times) == len(self.labels) == len(self.data):
            raise FrameError(
                f"an event frame got {len(self.times)} times, {len(self.labels)} labels and {len(self.data)} data"
            )

    @staticmethod
    def of(*events: tuple[int, str, Data]) -> EventFrame:
        """A frame of ``(time, label, data)`` tuples."""
        return EventFrame([e[0] for e in events], [e[1] for e in events], [e[2] for e in events])

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[int, str, Data]]:
        return iter(zip(self.times.tolist(), self.labels, self.data, strict=True))

    def __getitem__(self, rows: slice) -> EventFrame:
        """Some consecutive events."""
        return EventFrame(self.times[rows], self.labels[rows], self.data[rows], self.meta)

    def __repr__(self) -> str:
        return f"EventFrame({', '.join(self.labels)})"

    def select(self, *labels: str) -> list[tuple[int, str, Data]]:
        """The events that carry one of ``labels``."""
        return [event for event in self if event[1] in labels]

    def to_pandas(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        """A DataFrame with the columns ``label`` and ``data``, and the meta dict."""
        data = np.empty(len(self), dtype=object)
        data[:] = [copy.deepcopy(dict(d)) for d in self.data]
        index = pd.DatetimeIndex(self.times.view("M8[ns]"))
        return pd.DataFrame({"label": list(self.labels), "data": data}, index=index), dict(self.meta or {})

    @staticmethod
    def concat(frames: Sequence[EventFrame]) -> EventFrame:
        """Several frames as one, sorted by time; events of one time keep their order."""
        if len(frames) == 1:
            return frames[0]
        events = sorted((e for f in frames for e in f), key=lambda e: e[0])
        return EventFrame.of(*events)


class EpochFrame:
    """Pieces of signal around events.

    Parameters
    ----------
    times
        int64, shape (n_epochs,): the onset of each event, ns UTC.
    values
        shape (n_epochs, n_samples, n_channels).
    data
        The event's data, one dict an epoch.
    ready
        int64, shape (n_epochs,): time of the last sample of each epoch, when it could first be known.
    start
        Time of the first sample relative to the onset, in seconds.
    """

    __slots__ = ("channels", "data", "rate", "ready", "segment", "start", "times", "unit", "values")

    def __init__(  # noqa: PLR0913 - what an epoch is
        self,
        times: np.ndarray,
        values: np.ndarray,
        channels: tuple[str, ...],
        data: Sequence[Data],
        ready: np.ndarray,
        rate: float,
        start: float = 0.0,
        unit: str | tuple[str, ...] = "",
        segment: int = 0,
    ):
        if values.ndim != 3 or values.shape[0] != len(times) or values.shape[2] != len(channels):
            raise FrameError(
                f"{len(times)} epochs of {len(channels)} channels got values of shape {values.shape}; "
                "expected (n_epochs, n_samples, n_channels)"
            )
        self.times = _readonly(times)
        self.values = _readonly(values)
        self.channels = channels
        self.data = tuple(data)
        self.ready = _readonly(ready)
        self.rate = rate
        self.start = start
        self.unit = (unit,) * len(channels) if isinstance(unit, str) else unit
        self.segment = segment

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"EpochFrame({' x '.join(map(str, self.values.shape))}, {self.rate:g} Hz)"

    @property
    def identity(self) -> tuple[Any, ...]:
        """What a node's memory depends on; a gap does not matter between epochs."""
        return (self.rate, self.channels, self.unit, self.values.shape[1])

    def to_pandas(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        """All epochs under one another, indexed by epoch onset and sample time."""
        n_epochs, n_samples, _ = self.values.shape
        offsets = np.round((self.start + np.arange(n_samples) / self.rate) * 1e9).astype(np.int64)
        times = (self.times[:, None] + offsets).ravel()
        index = pd.MultiIndex.from_arrays(
            [np.repeat(self.times, n_samples).view("M8[ns]"), times.view("M8[ns]")], names=["epoch", "time"]
        )
        table = pd.DataFrame(self.values.reshape(n_epochs * n_samples, -1), index=index, columns=list(self.channels))
        return table, {"rate": self.rate, "epochs": [dict(d) for d in self.data]}


Frame = SignalFrame | EventFrame | EpochFrame


def from_pandas(table: pd.DataFrame, meta: Mapping[str, Any] | None = None) -> SignalFrame | EventFrame:
    """The frame that a Timeflux DataFrame stands for.

    A ``label`` column makes it events; otherwise all columns must be numeric.

    Raises
    ------
    FrameError
        When the index is no time index or a column holds neither numbers nor labels.
    """
    meta = dict(meta or {})
    if not isinstance(table.index, pd.DatetimeIndex):
        raise FrameError(f"a frame needs a DatetimeIndex, this one has a {type(table.index).__name__}")
    times = table.index.as_unit("ns").asi8.copy()
    if "label" in table.columns:
        data = table["data"] if "data" in table.columns else [None] * len(table)
        rows = [dict(d) if isinstance(d, Mapping) else ({} if d is None else {"value": d}) for d in data]
        return EventFrame(times, [str(label) for label in table["label"]], rows, meta)
    try:
        values = table.to_numpy(dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        raise FrameError(f"columns {list(map(str, table.columns))} are neither numbers nor events: {error}") from None
    unit = meta.get("unit", "")
    return SignalFrame(
        times,
        values,
        tuple(map(str, table.columns)),
        float(meta.get("rate") or 0.0),
        tuple(unit) if isinstance(unit, (list, tuple)) else str(unit),
        int(meta.get("segment", 0)),
        {k: v for k, v in meta.items() if k not in ("rate", "unit", "segment")} or None,
    )
