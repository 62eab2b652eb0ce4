"""Nodes for the tests of the check: they only declare, and never run."""

from typing import Annotated

from timeflux.core.node import Node as TimefluxNode

from volition.core import Gt, NodeError, Unit
from volition.core.node import Node, Source
from volition.core.ports import AnyIn, EventsIn, EventsOut, EventsSpec, SignalIn, SignalOut, SignalSpec


class Amplifier(Source):
    """Eight bits of imagination."""

    o = SignalOut()
    o_marks = EventsOut("flash")

    def __init__(
        self,
        channels: list[str] | None = None,
        rate: Annotated[float, Unit("Hz"), Gt(0)] = 250.0,
        unit: str = "uV",
    ):
        """channels: names."""
        self.channels, self.rate, self.unit = channels or ["Fz", "Cz", "Pz"], rate, unit

    def infer(self, inputs):
        return {
            "o": SignalSpec(tuple(self.channels), self.rate, self.unit),
            "o_marks": EventsSpec(("flash",)),
        }


class Band(Node):
    """A filter that knows its limits."""

    i = SignalIn(unit="uV")
    o = SignalOut()

    def __init__(
        self,
        low: Annotated[float, Unit("Hz"), Gt(0)] = 1.0,
        high: Annotated[float, Unit("Hz"), Gt(0)] = 20.0,
        order: int = 4,
    ):
        """low: lower edge."""
        self.high = high

    def infer(self, inputs):
        rate = inputs["i"].rate
        if rate is not None and self.high >= rate / 2:
            raise NodeError(f"the edge high of {self.high:g} Hz is above the Nyquist frequency of {rate / 2:g} Hz")
        return {"o": inputs["i"]}


class Pick(Node):
    """Some channels."""

    i = SignalIn()
    o = SignalOut()

    def __init__(self, channels: list[str]):
        """channels: which."""
        self.channels = channels

    def infer(self, inputs):
        has = inputs["i"].channels
        for name in self.channels:
            if has is not None and name not in has:
                raise NodeError(f"there is no channel {name!r}; the stream has {', '.join(has)}")
        return {"o": inputs["i"].like(channels=self.channels)}


class Gaze(Node):
    """Needs x and y."""

    i = SignalIn(channels=["x", "y"])
    i_turn = EventsIn("turn", optional=True)
    o_found = EventsOut("evidence")


class Store(Node):
    """Takes everything."""

    many = AnyIn("i_*")

    def __init__(self, path: str = "x.xdf", **options: int):
        """path: where."""


class Careless(Node):
    """Its author has not finished it."""

    i = SignalIn()

    def infer(self, inputs):
        return {"o": inputs["nowhere"]}


class Plain(TimefluxNode):
    """A node that declares nothing."""

    def __init__(self, rate, names=None):
        raise RuntimeError("the check builds no node of Timeflux")

    def update(self):
        pass


class Unfinished(TimefluxNode):
    """Without update."""


class Thing:
    """No node at all."""
