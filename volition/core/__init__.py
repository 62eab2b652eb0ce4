"""What every part shares: clock, frames, ports, parameters, events, nodes and errors.

A node's author needs the names below and nothing else of the framework.
"""

from volition.core.errors import (
    BusError,
    DeviceError,
    FrameError,
    LoadError,
    NodeError,
    SessionError,
    StreamError,
    VolitionError,
)
from volition.core.events import Event
from volition.core.frames import EpochFrame, EventFrame, Frame, SignalFrame
from volition.core.node import Node, Source
from volition.core.params import Ge, Gt, Interval, Le, Lt, Unit
from volition.core.ports import (
    EpochsIn,
    EpochsOut,
    EpochsSpec,
    EventsIn,
    EventsOut,
    EventsSpec,
    SignalIn,
    SignalOut,
    SignalSpec,
    Spec,
)

__all__ = [
    "BusError",
    "DeviceError",
    "EpochFrame",
    "EpochsIn",
    "EpochsOut",
    "EpochsSpec",
    "Event",
    "EventFrame",
    "EventsIn",
    "EventsOut",
    "EventsSpec",
    "Frame",
    "FrameError",
    "Ge",
    "Gt",
    "Interval",
    "Le",
    "LoadError",
    "Lt",
    "Node",
    "NodeError",
    "SessionError",
    "SignalFrame",
    "SignalIn",
    "SignalOut",
    "SignalSpec",
    "Source",
    "Spec",
    "StreamError",
    "Unit",
    "VolitionError",
]
