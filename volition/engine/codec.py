"""Frames as messages: a JSON header that says what follows, and a msgpack body. Nothing in them can run code."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import numpy as np

from volition.core.errors import BusError, FrameError
from volition.core.frames import EpochFrame, EventFrame, Frame, SignalFrame

VERSION = 1


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
    except TypeError as error:
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
        if header["v"] != VERSION:
            raise BusError(f"a message of version {header['v']} came; this program speaks version {VERSION}")
        if header["kind"] == "events":
            return EventFrame.of(*(tuple(event) for event in body)), header
        times = np.frombuffer(body["times"], dtype=np.int64)
        values = np.frombuffer(body["values"], dtype=np.dtype(header["dtype"])).reshape(header["shape"])
        channels, unit = tuple(header["channels"]), tuple(header["unit"])
        if header["kind"] == "signal":
            return SignalFrame(times, values, channels, header["rate"], unit, header["segment"]), header
        ready = np.frombuffer(body["ready"], dtype=np.int64)
        return (
            EpochFrame(
                times,
                values,
                channels,
                body["data"],
                ready,
                header["rate"],
                header["start"],
                unit,
                header["segment"],
            ),
            header,
        )
    except (KeyError, IndexError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise BusError(f"a message on the bus could not be read: {error!r}") from None
