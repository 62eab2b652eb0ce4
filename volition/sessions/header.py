"""What the header of an XDF stream says, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.core.frames import SignalFrame
from volition.core.units import unit_name


@dataclass(frozen=True)
class StreamHeader:
    """A stream's header in our words; ``format`` is XDF's, ``utc_offset_ns`` 0 when none is given."""

    name: str
    type: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    rate: float
    format: str
    utc_offset_ns: int

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> StreamHeader:
        """From pyxdf's ``stream["info"]``, in which each element is a list of dicts or texts.

        Channels without a label are called ``ch1``, ``ch2``...; a label that occurs twice gets a number, too.
        """
        count = int(info["channel_count"][0])
        desc = _first(info, "desc")
        described = [c for c in _all(_first(desc, "channels"), "channel") if isinstance(c, Mapping)]
        if len(described) != count:
            described = [{}] * count
        labels: list[str] = []
        for n, channel in enumerate(described, 1):
            label = _text(channel, "label") or (_text(channel, "name") if "label" not in channel else "")
            label = label or ("" if "label" in channel else f"ch{n}")
            labels.append(label if label not in labels else f"{label}_{n}")
        units = tuple(unit_name(_text(channel, "unit")) for channel in described)
        offset = _text(desc, "utc_offset_ns")
        return cls(
            name=_text(info, "name"),
            type=_text(info, "type"),
            channels=tuple(labels),
            units=units,
            rate=float(_text(info, "nominal_srate") or 0.0),
            format=_text(info, "channel_format"),
            utc_offset_ns=int(offset) if offset.lstrip("-").isdigit() else 0,
        )

    def frame(self, times: np.ndarray, values: np.ndarray, segment: int = 0) -> SignalFrame:
        """A frame of this stream, on memory of its own; integers become floats that hold them exactly."""
        floats = values.dtype.kind == "f"
        small = values.dtype.itemsize <= (4 if floats else 2)
        return SignalFrame(
            times.astype(np.int64),
            np.array(values, dtype=np.float32 if small else np.float64, order="C"),
            self.channels,
            self.rate,
            self.units,
            segment,
        )


def _all(element: Any, key: str) -> list[Any]:
    return list(element.get(key) or []) if isinstance(element, Mapping) else []


def _first(element: Any, key: str) -> Any:
    return next(iter(_all(element, key)), None)


def _text(element: Any, key: str) -> str:
    found = _first(element, key)
    return found if isinstance(found, str) else ""
