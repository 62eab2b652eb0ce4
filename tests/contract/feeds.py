"""Sources and Timeflux nodes that give a stream to the node under test."""

from __future__ import annotations

from collections import deque

from timeflux.core.node import Node as TimefluxNode

from volition.core import EventsOut, SignalOut, Source


class SignalFeed(Source):
    """A source of samples that a replay fills."""

    o = SignalOut()


class EventsFeed(Source):
    """A source of events that a replay fills."""

    o = EventsOut()


class TableFeed(TimefluxNode):
    """A Timeflux node that gives one table a tick."""

    def __init__(self, tables=()):
        self.tables = deque(tables)

    def update(self):
        if self.tables:
            table, meta = self.tables.popleft()
            if table is not None:
                self.o.data, self.o.meta = table, meta
