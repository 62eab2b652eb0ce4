"""Small nodes of which the engine's tests build graphs."""

from __future__ import annotations

import numpy as np
from timeflux.core.node import Node as TimefluxNode

from volition.core import EventFrame, EventsIn, EventsOut, Node, SignalFrame, SignalIn, SignalOut, Source
from volition.core.clock import SECOND
from volition.engine.load import EdgeDef, GraphDef, NodeDef
from volition.engine.positions import Position

HERE = Position("test", 1, 1)
MODULE = "tests.engine.pieces"
T0 = 1_700_000_000 * SECOND


def edge(text: str, graph: str = "g", **options) -> EdgeDef:
    """An edge from ``a:x -> b:y``, or across graphs ``g.a:x -> h.b``."""
    ends = []
    for end, kind in zip(text.split(" -> "), "oi", strict=True):
        node, _, port = end.partition(":")
        home, _, node = node.rpartition(".")
        ends += [home or graph, node, f"{kind}_{port}" if port else kind]
    policy, capacity = options.get("policy", "block"), options.get("capacity", 1024)
    return EdgeDef(*ends, policy, capacity, HERE, HERE, HERE)


def graph_of(nodes, *edges: str, name: str = "g", rate: float | None = None) -> GraphDef:
    """A definition of nodes given by id, or as (id, class, params)."""
    definitions = [
        NodeDef(n, MODULE, "X", {}, HERE) if isinstance(n, str) else NodeDef(n[0], MODULE, n[1], n[2], HERE)
        for n in nodes
    ]
    return GraphDef(name, rate, definitions, [edge(text, name) for text in edges], HERE)


def samples(n: int = 3, start: int = T0, segment: int = 0, value: float = 1.0) -> SignalFrame:
    """A counter in two channels."""
    times = start + np.arange(n, dtype=np.int64) * (SECOND // 100)
    return SignalFrame(times, np.full((n, 2), value), ("a", "b"), 100.0, "uV", segment)


def keys(*letters: str, start: int = T0, every: int = SECOND // 10) -> EventFrame:
    """Key events."""
    return EventFrame.of(*((start + k * every, "key", {"key": x}) for k, x in enumerate(letters)))


class Feed(Source):
    """A source that the test fills."""

    o = SignalOut()
    o_keys = EventsOut("key")


class Scale(Node):
    """A multiple of the input, and how often it was updated."""

    i = SignalIn()
    o = SignalOut()

    def __init__(self, by: float = 2.0):
        """by: the factor."""
        self.by = by
        self.updates = 0

    def update(self):
        """Scale."""
        self.updates += 1
        if self.i:
            self.o = self.i.like(values=self.by * self.i.values)


class Keys(Node):
    """Notes the events that come in, and passes them on."""

    i = EventsIn("key")
    i_other = EventsIn("key", optional=True)
    o = EventsOut("key")

    def __init__(self):
        """Take nothing."""
        self.seen = []
        self.ticks = []

    def update(self):
        """Note and pass on."""
        self.ticks.append([data["key"] for _, _, data in [*self.i, *self.i_other]])
        self.seen += self.ticks[-1]
        if self.i:
            self.o = self.i.frame


class Spread(Node):
    """The channels of the input, each at a port of its own."""

    i = SignalIn()
    many = SignalOut(name="o_*")

    def update(self):
        """Spread."""
        for k, channel in enumerate(self.i.channels if self.i else ()):
            getattr(self, f"o_{channel}").frame = self.i.like(values=self.i.values[:, [k]].copy(), channels=[channel])


class Clockwork(Node):
    """An event every ``every`` seconds from the first tick on."""

    o = EventsOut("key")

    def __init__(self, every: float = 0.25):
        """every: the period."""
        self.every = round(every * SECOND)
        self.due = None

    def update(self):
        """Give what is due."""
        due = self.now if self.due is None else self.due
        if self.now >= due:
            self.o = EventFrame.of((due, "key", {"key": str(self.now - due)}))
            due += self.every
        self.due = self.wake = due


class Answer(Node):
    """Answers every key up to ``most`` with the next number, through slow work if asked."""

    i = EventsIn("key")
    o = EventsOut("key")

    def __init__(self, most: int = 3, slow: bool = False):
        """most: last answer. slow: whether to answer off the tick."""
        self.most, self.slow = most, slow
        self.heard = []

    def update(self):
        """Answer."""
        numbers = []
        for _, _, data in self.i:
            self.heard.append(data["key"])
            if int(data["key"]) < self.most:
                numbers.append(int(data["key"]) + 1)
        if self.slow:
            for number in numbers:
                self.submit(int, number)
            numbers = self.results()
        if numbers:
            self.o = EventFrame.of(*((self.now, "key", {"key": str(n)}) for n in numbers))


class Table(TimefluxNode):
    """A Timeflux node that gives what it was given, or what came in."""

    def __init__(self):
        self.tables = []
        self.updates = 0

    def update(self):
        self.updates += 1
        if self.tables:
            self.o.data, self.o.meta = self.tables.pop(0)


class Spoiler(TimefluxNode):
    """A Timeflux node that writes to its input."""

    def __init__(self):
        self.saw = None

    def update(self):
        if self.i.ready():
            self.saw = self.i.data.copy()
            if "data" in self.i.data:
                self.i.data["data"].iloc[0]["key"] = "spoilt"
            else:
                self.i.data.iloc[:] = -1.0
            self.i.meta["spoilt"] = True


class Reader(TimefluxNode):
    """A Timeflux node that keeps what it sees."""

    def __init__(self):
        self.saw, self.meta, self.ports_seen = None, None, []

    def update(self):
        self.ports_seen = [name for name, _, port in self.iterate("i*") if port.ready()]
        if self.i.ready():
            self.saw, self.meta = self.i.data.copy(), dict(self.i.meta)
