"""Ports: what a node declares at class level, and the objects that frames pass through.

``i = SignalIn(unit="uV")`` in a class body declares the port and is a descriptor: in a method, ``self.i`` is the
port, which behaves as the frame it holds (``self.i.times``, ``if self.i:``), and ``self.o = frame`` fills a port.
A declared name that ends in ``*`` (``many = EventsIn(name="i_*")``) stands for any number of ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pandas as pd
from timeflux.core.io import Port as TimefluxPort

from volition.core.errors import FrameError, NodeError
from volition.core.frames import EpochFrame, EventFrame, SignalFrame, from_pandas


@dataclass(frozen=True)
class SignalSpec:
    """What is known of a signal before it runs; None is unknown."""

    channels: tuple[str, ...] | None = None
    rate: float | None = None
    unit: str | tuple[str, ...] | None = None

    kind: ClassVar[str] = "signal"

    def like(self, **changes: Any) -> SignalSpec:
        """The same spec with some of ``channels``, ``rate``, ``unit`` replaced."""
        if "channels" in changes and changes["channels"] is not None:
            changes["channels"] = tuple(changes["channels"])
            changes.setdefault("unit", self.unit if isinstance(self.unit, str) else None)
        return replace(self, **changes)


@dataclass(frozen=True)
class EventsSpec:
    """The labels that a stream of events may carry; None is unknown."""

    labels: tuple[str, ...] | None = None

    kind: ClassVar[str] = "events"


@dataclass(frozen=True)
class EpochsSpec:
    """What is known of epochs before they run; ``start`` and ``stop`` in seconds from the event."""

    channels: tuple[str, ...] | None = None
    rate: float | None = None
    unit: str | tuple[str, ...] | None = None
    start: float | None = None
    stop: float | None = None

    kind: ClassVar[str] = "epochs"


Spec = SignalSpec | EventsSpec | EpochsSpec


class Port(TimefluxPort):
    """Holds one frame for one tick; converts to and from pandas only when a Timeflux node is at the other end."""

    def __init__(self, frame: Any = None) -> None:
        self.persistent = False
        self._frame = frame
        self._data: pd.DataFrame | None = None
        self._meta: dict[str, Any] | None = None

    def clear(self) -> None:
        """Empty the port."""
        self._frame = self._data = self._meta = None

    @property
    def frame(self) -> Any:
        """The frame, or None."""
        if self._frame is None and self._data is not None:
            self._frame = from_pandas(self._data, self._meta)
        return self._frame

    @frame.setter
    def frame(self, frame: SignalFrame | EventFrame | EpochFrame | None) -> None:
        self._frame = frame
        self._data = self._meta = None

    @property
    def data(self) -> pd.DataFrame | None:
        """The frame as a DataFrame of its own memory, or None."""
        if self._data is None and self._frame is not None:
            self._data, self._meta = self._frame.to_pandas()
        return self._data

    @data.setter
    def data(self, table: pd.DataFrame | None) -> None:
        self._data = table
        self._frame = None

    @property
    def meta(self) -> dict[str, Any]:
        """The meta dict of Timeflux."""
        if self._meta is None:
            if self._frame is not None:
                self._data, self._meta = self._frame.to_pandas()
            else:
                self._meta = {}
        return self._meta

    @meta.setter
    def meta(self, meta: Mapping[str, Any] | None) -> None:
        if self._data is None and self._frame is not None:
            self._data = self._frame.to_pandas()[0]
        self._meta = dict(meta or {})
        self._frame = None

    def set(self, rows: Any, timestamps: Any = None, names: Any = None, meta: Any = None) -> None:
        """As Timeflux's ``Port.set``, without its shared default for ``meta``."""
        super().set(rows, timestamps, names, dict(meta or {}))

    def ready(self) -> bool:
        """Whether the port holds at least one sample or event."""
        return len(self) > 0

    def __len__(self) -> int:
        if self._frame is not None:
            return len(self._frame)
        return 0 if self._data is None else len(self._data)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Any:
        return iter(self.frame if self else ())

    def __getitem__(self, rows: slice) -> Any:
        return self.frame[rows]

    @property
    def times(self) -> Any:
        """Of any frame: int64 ns UTC."""
        return self.frame.times

    @property
    def values(self) -> Any:
        """Of a signal or epoch frame."""
        return self.frame.values

    @property
    def channels(self) -> tuple[str, ...]:
        """Of a signal or epoch frame."""
        channels: tuple[str, ...] = self.frame.channels
        return channels

    @property
    def rate(self) -> float:
        """Of a signal or epoch frame, in Hz."""
        return float(self.frame.rate)

    @property
    def unit(self) -> tuple[str, ...]:
        """Of a signal or epoch frame, one a channel."""
        unit: tuple[str, ...] = self.frame.unit
        return unit

    @property
    def labels(self) -> tuple[str, ...]:
        """Of an event frame."""
        labels: tuple[str, ...] = self.frame.labels
        return labels

    def select(self, *labels: str) -> list[tuple[int, str, Mapping[str, Any]]]:
        """The events that carry one of ``labels``; empty when the port is."""
        events: list[tuple[int, str, Mapping[str, Any]]] = self.frame.select(*labels) if self else []
        return events

    def like(self, **changes: Any) -> SignalFrame:
        """``SignalFrame.like`` of the frame the port holds."""
        frame: SignalFrame = self.frame.like(**changes)
        return frame


class PortSpec:
    """A port declared in a class body; see the subclasses."""

    kind: ClassVar[str]
    frame_type: ClassVar[type]
    direction: ClassVar[str]
    spec: Any = None
    """What is needed (in) or given (out); None for every kind."""

    def __init__(self, name: str = "", optional: bool = False):
        self.name = name
        self.optional = optional

    def __set_name__(self, owner: type, name: str) -> None:
        if not self.name:
            self.name = name
        if not (self.name in ("i", "o") or self.name[:2] in ("i_", "o_")):
            raise NodeError(f"{owner.__name__}: a port is called i, o, i_name or o_name, not {self.name!r}")
        if self.name[0] != self.direction:
            raise NodeError(f"{owner.__name__}: {self.name!r} is declared with {type(self).__name__}")

    @property
    def many(self) -> bool:
        """Whether the declaration stands for any number of ports."""
        return self.name.endswith("*")

    def matches(self, name: str) -> bool:
        """Whether a port of this name belongs to the declaration."""
        return name.startswith(self.name[:-1]) if self.many else name == self.name

    def __get__(self, node: Any, owner: type | None = None) -> Any:
        if node is None:
            return self
        return node.ports[self.name]

    def __set__(self, node: Any, value: Any) -> None:
        if isinstance(value, TimefluxPort):  # Timeflux's bind() makes one port an alias of another
            node.ports[self.name] = value
        elif value is None or isinstance(value, self.frame_type):
            node.ports[self.name].frame = value
        else:
            raise FrameError(
                f"{node.id or type(node).__name__}: port {self.name!r} takes a {self.frame_type.__name__}, "
                f"not a {type(value).__name__}"
            )


class _Signal(PortSpec):
    """A port of samples. ``channels`` and ``unit`` state what is needed (in) or given (out)."""

    kind = "signal"
    frame_type = SignalFrame

    def __init__(
        self,
        name: str = "",
        channels: list[str] | None = None,
        unit: str | None = None,
        rate: float | None = None,
        optional: bool = False,
    ):
        super().__init__(name, optional)
        self.spec = SignalSpec(tuple(channels) if channels else None, rate, unit)


class _Events(PortSpec):
    """A port of events with any of ``labels`` (all of the vocabulary when none is given)."""

    kind = "events"
    frame_type = EventFrame

    def __init__(self, *labels: str, name: str = "", optional: bool = False):
        super().__init__(name, optional)
        self.spec = EventsSpec(labels or None)


class _Epochs(PortSpec):
    """A port of epochs."""

    kind = "epochs"
    frame_type = EpochFrame

    def __init__(self, name: str = "", unit: str | None = None, optional: bool = False):
        super().__init__(name, optional)
        self.spec = EpochsSpec(unit=unit)


class SignalIn(_Signal):
    """An input of samples."""

    direction = "i"


class SignalOut(_Signal):
    """An output of samples."""

    direction = "o"


class EventsIn(_Events):
    """An input of events."""

    direction = "i"


class EventsOut(_Events):
    """An output of events."""

    direction = "o"


class EpochsIn(_Epochs):
    """An input of epochs."""

    direction = "i"


class EpochsOut(_Epochs):
    """An output of epochs."""

    direction = "o"


class AnyIn(PortSpec):
    """An input that takes every kind of frame, as a recorder does."""

    kind = "any"
    frame_type = object
    direction = "i"
