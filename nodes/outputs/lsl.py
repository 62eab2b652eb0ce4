"""Signals and events out to Lab Streaming Layer."""

from __future__ import annotations

import ctypes
import json
from typing import Any, Literal

import numpy as np

from volition.core import EventsIn, Node, NodeError, SignalIn
from volition.core.events import VERSION
from volition.core.frames import Data, SignalFrame
from volition.core.lsl import LslTime, configure, write_channels


class SampleOutlet:
    """An LSL outlet for float samples that takes little time for one sample.

    pylsl builds a ctypes array from a list per sample; handing the array's memory to liblsl costs a third of
    that.

    Parameters
    ----------
    info
        ``pylsl.StreamInfo`` of a float32 or double64 stream.
    """

    def __init__(self, info: Any):
        import pylsl
        from pylsl.lib import lib
        from pylsl.util import handle_error

        self._check = handle_error
        self._outlet = pylsl.StreamOutlet(info)
        wide = info.channel_format() == pylsl.cf_double64
        self._dtype = np.float64 if wide else np.float32
        self._push_sample = lib.lsl_push_sample_dtp if wide else lib.lsl_push_sample_ftp
        self._push_chunk = lib.lsl_push_chunk_dtnp if wide else lib.lsl_push_chunk_ftnp
        self._row = np.empty(info.channel_count(), self._dtype)
        self._row_pointer = ctypes.c_void_p(self._row.ctypes.data)
        self._through = ctypes.c_int(1)

    def push(self, values: np.ndarray, stamps: np.ndarray) -> None:
        """Send samples, shape (n, n_channels), with LSL stamps in seconds, float64, shape (n,)."""
        if len(stamps) == 1:
            self._row[:] = values[0]
            stamp = ctypes.c_double(stamps[0])
            self._check(self._push_sample(self._outlet.obj, self._row_pointer, stamp, self._through))
            return
        values = np.ascontiguousarray(values, dtype=self._dtype)
        stamps = np.ascontiguousarray(stamps)
        error = self._push_chunk(
            self._outlet.obj,
            ctypes.c_void_p(values.ctypes.data),
            ctypes.c_ulong(values.size),
            ctypes.c_void_p(stamps.ctypes.data),
            self._through,
        )
        self._check(error)


class LslOutlet(Node):
    """A Lab Streaming Layer stream of the samples that come in.

    Opens with the first frame, with its channels, units and rate; when one of those changes, a new stream
    takes the place of the old one. Each sample keeps its own time. NaN passes; a gap is visible in the
    stamps. Keeps still in a replay.
    """

    i = SignalIn()

    def __init__(
        self,
        name: str,
        type: str = "EEG",
        source_id: str = "",
        format: Literal["float32", "double64"] = "float32",
        network: bool = False,
    ):
        """Describe the stream.

        name: name of the stream.
        type: content type, such as EEG or Gaze.
        source_id: id by which others find the stream again after a restart; volition-<name> by default.
        format: what a value travels as.
        network: whether other machines can find the stream.
        """
        if not name:
            raise NodeError("LslOutlet: name is empty; a stream needs one to be found by")
        self.name, self.type, self.format, self.network = name, type, format, network
        self.source_id = source_id or f"volition-{name}"
        self._outlet: SampleOutlet | None = None
        self._shape: tuple[Any, ...] = ()
        self._time: LslTime

    def start(self) -> None:
        """Set the reach of LSL and its clock."""
        if not self.muted:
            configure(self.network, self.id or "LslOutlet")
            self._time = LslTime(self.clock)

    def update(self) -> None:
        """Send what has come."""
        if self.muted or not self.i:
            return
        frame: SignalFrame = self.i.frame
        shape = (frame.channels, frame.unit, frame.rate)
        if shape != self._shape:
            self._shape = shape
            self._open(frame)
        assert self._outlet is not None
        self._outlet.push(frame.values, self._time.to_lsl(frame.times))

    def _open(self, frame: SignalFrame) -> None:
        import pylsl

        self._outlet = None  # the old stream goes before the new one comes
        info = pylsl.StreamInfo(self.name, self.type, len(frame.channels), frame.rate, self.format, self.source_id)
        write_channels(info, frame.channels, frame.unit, self.type)
        self._outlet = SampleOutlet(info)

    def terminate(self) -> None:
        """Close the stream."""
        self._outlet = None
        self._shape = ()


def event_json(label: str, data: Data) -> str:
    """An event as a marker that ``LslEvents`` turns back into it.

    >>> event_json("key", {"key": "yes"})
    '{"label": "key", "version": 1, "data": {"key": "yes"}}'
    """
    return json.dumps({"label": label, "version": VERSION, "data": dict(data)}, ensure_ascii=False)


class LslEventsOutlet(Node):
    """A Lab Streaming Layer marker stream of the events that come in, as JSON.

    The stream opens at the start, so that readers can be there before the first event. Keeps still in a
    replay.
    """

    i = EventsIn()

    def __init__(self, name: str, type: str = "Markers", source_id: str = "", network: bool = False):
        """Describe the stream.

        name: name of the stream.
        type: content type.
        source_id: id by which others find the stream again after a restart; volition-<name> by default.
        network: whether other machines can find the stream.
        """
        if not name:
            raise NodeError("LslEventsOutlet: name is empty; a stream needs one to be found by")
        self.name, self.type, self.network = name, type, network
        self.source_id = source_id or f"volition-{name}"
        self._outlet: Any = None
        self._time: LslTime

    def start(self) -> None:
        """Open the stream."""
        if self.muted:
            return
        import pylsl

        configure(self.network, self.id or "LslEventsOutlet")
        self._time = LslTime(self.clock)
        info = pylsl.StreamInfo(self.name, self.type, 1, pylsl.IRREGULAR_RATE, "string", self.source_id)
        write_channels(info, ["event"], [""], self.type)
        self._outlet = pylsl.StreamOutlet(info)

    def update(self) -> None:
        """Send what has come."""
        if self._outlet is None or not self.i:
            return
        for stamp, (_, label, data) in zip(self._time.to_lsl(self.i.times).tolist(), self.i, strict=True):
            self._outlet.push_sample([event_json(label, data)], stamp)

    def terminate(self) -> None:
        """Close the stream."""
        self._outlet = None
