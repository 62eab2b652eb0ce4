"""Nodes for tests of the running engine; they lie beside the apps that use them."""

import json
import os
import time
from pathlib import Path
from typing import Annotated

import numpy as np

from volition.core import (
    EventFrame,
    EventsIn,
    EventsOut,
    Ge,
    Gt,
    Node,
    SignalFrame,
    SignalIn,
    SignalOut,
    Source,
)


class Counter(Source):
    """Counts 0, 1, 2, ... at a steady rate."""

    o = SignalOut(channels=["count"])

    def __init__(self, rate: Annotated[float, Gt(0)] = 200.0, until: Annotated[int, Ge(0)] = 0):
        """rate: samples per second. until: stop counting there; 0 never stops."""
        self._rate, self._until, self._n = rate, until, 0

    def start(self):
        self._begin = time.monotonic()

    def poll(self, timeout):
        due = int((time.monotonic() - self._begin) * self._rate)
        if self._until:
            due = min(due, self._until)
        if due <= self._n:
            time.sleep(min(timeout, 1 / self._rate))
            return []
        counts = np.arange(self._n, due, dtype=float)
        self._n = due
        base = self.clock.now()
        times = np.array([base - (len(counts) - 1 - k) * 1000 for k in range(len(counts))], dtype=np.int64)
        return [("o", SignalFrame(times, counts[:, None], ("count",), self._rate))]


class Once(Node):
    """Sends one event at its first tick, the hardest message not to lose."""

    o = EventsOut("state")

    def __init__(self, text: str = "first"):
        """text: the state."""
        self._text, self._sent = text, False

    def update(self):
        if not self._sent:
            self._sent = True
            self.o = EventFrame.of((self.now, "state", {"state": self._text, "pid": os.getpid()}))


class Raises(Node):
    """Fails when its input has counted far enough."""

    i = SignalIn()

    def __init__(self, at: int = 20, marker: str = ""):
        """at: the count. marker: a file; when it exists the node does not fail, else it is made first."""
        self._at, self._marker = at, marker

    def update(self):
        if self.i and self.i.values[-1, 0] >= self._at:
            if self._marker:
                if Path(self._marker).exists():
                    return
                Path(self._marker).write_text("")
            raise ValueError("counted too far")


class ToFile(Node):
    """Appends what arrives to a file, one JSON line a tick."""

    i = SignalIn(optional=True)
    i_events = EventsIn(optional=True)

    def __init__(self, path: str, slow: float = 0.0):
        """path: the file. slow: seconds that each update takes."""
        self._path, self._slow = path, slow

    def update(self):
        with open(self._path, "a") as file:
            if self.i:
                file.write(json.dumps({"counts": self.i.values[:, 0].tolist()}) + "\n")
            if self.i_events:
                file.write(json.dumps({"events": [d for _, _, d in self.i_events]}) + "\n")
        if self._slow:
            time.sleep(self._slow)

    def terminate(self):
        with open(self._path, "a") as file:
            file.write(json.dumps({"terminated": True}) + "\n")
