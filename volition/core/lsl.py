"""Lab Streaming Layer: its clock, its reach, and how streams describe their channels.

Inlets and outlets share this. pylsl is imported where it is used, so that reading a graph costs nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from volition.core.clock import SECOND, Clock, LiveClock
from volition.core.errors import StreamError
from volition.core.units import unit_name, xdf_unit

# liblsl prints every broken connection; the nodes say so themselves, once, as events.
_NETWORK = "[log]\nlevel = -3\n"

# On the loopback interface only one outlet hears the first wave of questions, and liblsl leaves half a second
# to answer before it asks every port: answers take microseconds here.
_TUNING = "[tuning]\nMulticastMinRTT = 0.05\nUnicastMinRTT = 0.2\n"
_LOCAL = "[multicast]\nResolveScope = machine\n" + _TUNING + _NETWORK

_reach: list[bool] = []


def configure(network: bool, node: str) -> None:
    """Set how far this process looks for streams; liblsl takes one setting, before its first use.

    A configuration of the person's own (``LSLAPICFG`` or an ``lsl_api.cfg`` where liblsl looks for one) wins.

    Parameters
    ----------
    network
        Whether streams of other machines are seen, and this machine's are seen by them.
    node
        Who asks, for the message.

    Raises
    ------
    StreamError
        When another node of this process has asked for the opposite.
    """
    if not _reach:
        _reach.append(network)
        if not _own_configuration():
            import pylsl

            pylsl.util.set_config_content(_NETWORK if network else _LOCAL)
    elif _reach[0] != network:
        raise StreamError(
            f"{node}: network is {str(network).lower()} here and {str(_reach[0]).lower()} in another LSL "
            "node of the same graph; liblsl has one setting a process: make them equal, or put the node in a "
            "graph of its own"
        )


def _own_configuration() -> bool:
    system = Path("C:/etc/lsl_api" if sys.platform == "win32" else "/etc/lsl_api")
    places = [Path(), Path.home() / "lsl_api", system]
    return "LSLAPICFG" in os.environ or any((place / "lsl_api.cfg").is_file() for place in places)


class LslTime:
    """LSL's clock (seconds) to ns UTC and back.

    LSL reads the machine's monotonic clock, so on Linux and macOS both differ by the clock's UTC offset and
    nothing else; where Python's monotonic clock is another one (Windows), the difference is measured.
    """

    def __init__(self, clock: Clock):
        import pylsl

        best: tuple[int, int] | None = None
        for _ in range(9):
            before = clock.now()
            stamp = pylsl.local_clock()
            after = clock.now()
            if best is None or after - before < best[0]:
                best = (after - before, (before + after) // 2 - round(stamp * SECOND))
        assert best is not None
        self.offset = best[1]
        if isinstance(clock, LiveClock) and abs(best[1] - clock.utc_offset) < SECOND // 1000:
            self.offset = clock.utc_offset  # exactly, so that times survive from process to process

    def to_utc(self, stamps: np.ndarray) -> np.ndarray:
        """int64 ns UTC, shape (n,), of LSL stamps in seconds, float64, shape (n,)."""
        if len(stamps) == 1:  # a third of the time, sample by sample
            return np.array([round(float(stamps[0]) * 1e9) + self.offset])
        times: np.ndarray = np.rint(stamps * 1e9).astype(np.int64)
        times += self.offset
        return times

    def to_lsl(self, times: np.ndarray) -> np.ndarray:
        """LSL stamps in seconds, float64, shape (n,), of times in ns UTC, int64, shape (n,)."""
        stamps: np.ndarray = (times - self.offset) * 1e-9
        return stamps


def read_channels(info: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of a stream's channels; ``ch1``, ``ch2``... and '' where it states none."""
    labels = info.get_channel_labels() or []
    units = info.get_channel_units() or []
    count = info.channel_count()
    if len(labels) != count or len(set(labels)) != count or not all(labels):
        labels = [f"ch{k + 1}" for k in range(count)]
    if len(units) != count:
        units = [""] * count
    return tuple(labels), tuple(unit_name(unit or "") for unit in units)


def write_channels(info: Any, channels: Sequence[str], units: Sequence[str], kind: str) -> None:
    """Describe the channels as the XDF conventions do: label, unit, type."""
    parent = info.desc().append_child("channels")
    for label, unit in zip(channels, units, strict=True):
        channel = parent.append_child("channel")
        channel.append_child_value("label", label)
        if unit:
            channel.append_child_value("unit", xdf_unit(unit))
        if kind:
            channel.append_child_value("type", kind)
