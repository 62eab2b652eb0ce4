"""Frames as messages: a JSON header that says what follows, and a msgpack body. Nothing in them can run code."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import numpy as np

from volition.core.errors import BusError, FrameError
from volition.core.frames import EpochFrame, EventFrame, Frame, SignalFrame

VERSION = 1
DTYPES = ("<f4", "<f8")


def encode(frame: Frame, sent: int, sequence: int) -> list[bytes]:
    """The message of one frame, sent at ``sent`` ns UTC as number ``sequence`` of its edge."""
    header: dict[str, Any] = {"v": VERSION, "sent": sent, "seq": sequence}
    if isinstance(frame, EventFrame):
        header["kind"] = "events"
        body: Any = [list(event) for event in frame]
    else:
        header |= {
            "channels": frame.channels,
            "rate": frame.rate,
            "unit": frame.unit,
            "segment": frame.segment,
            "shape": frame.values.shape,
            "dtype": frame.values.dtype.str,
        }
        body = {"times": frame.times.tobytes(), "values": frame.values.tobytes()}
        if isinstance(frame, EpochFrame):
            header |= {"kind": "epochs", "start": frame.start}
            body |= {"ready": frame.ready.tobytes(), "data": list(frame.data)}
        else:
            header["kind"] = "signal"
    try:
        return [json.dumps(header).encode(), msgpack.packb(body, default=_plain)]
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(f"an event holds what cannot be sent: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is neither number, text, list nor dict")


def decode(message: list[bytes]) -> tuple[Frame, dict[str, Any]]:
    """The frame and the header of a message.

    Raises
    ------
    BusError
        When the message is not one of ours.
    """
    try:
        header = json.loads(message[0])
        body = msgpack.unpackb(message[1], strict_map_key=False)
        if not isinstance(header, dict):
            raise BusError(f"a message on the bus has a {type(header).__name__} for a header")
        if header["v"] != VERSION:
            raise BusError(f"a message of version {header['v']} came; this program speaks version {VERSION}")
        return _frame(header, body), header
    except (LookupError, TypeError, ValueError, OverflowError, FrameError, RecursionError) as error:
        raise BusError(f"a message on the bus could not be read: {error!r}") from None


def _frame(header: dict[str, Any], body: Any) -> Frame:
    if header["kind"] == "events":
        for time, label, data in body:
            if type(time) is not int or not isinstance(label, str) or not isinstance(data, dict):
                raise TypeError("an event is a time, a label and a dict")
        return EventFrame.of(*(tuple(event) for event in body))
    if header["dtype"] not in DTYPES:
        raise ValueError(f"values of type {header['dtype']!r}")
    times = np.frombuffer(body["times"], dtype=np.int64)
    values = np.frombuffer(body["values"], dtype=header["dtype"]).reshape(header["shape"])
    channels, unit = _names(header["channels"]), _names(header["unit"])
    if len(unit) != len(channels):
        raise ValueError(f"{len(channels)} channels with {len(unit)} units")
    rate, segment = float(header["rate"]), int(header["segment"])
    if header["kind"] == "signal":
        return SignalFrame(times, values, channels, rate, unit, segment)
    if header["kind"] != "epochs":
        raise ValueError(f"a frame of kind {header['kind']!r}")
    ready, data = np.frombuffer(body["ready"], dtype=np.int64), body["data"]
    if not len(ready) == len(data) == len(times):
        raise ValueError(f"{len(times)} epochs with {len(ready)} last samples and {len(data)} events")
    return EpochFrame(times, values, channels, data, ready, rate, float(header["start"]), unit, segment)


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{names!r} is no list of names")
    return tuple(names)
