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


class Every(Node):
    """An event at every so many counts, and one for each answer."""

    i = SignalIn()
    i_answer = EventsIn("state", optional=True)
    o = EventsOut("state")

    def __init__(self, counts: Annotated[int, Gt(0)] = 20):
        """counts: from event to event."""
        self._counts = counts

    def update(self):
        events = []
        if self.i:
            for time_, value in zip(self.i.times.tolist(), self.i.values[:, 0], strict=True):
                if value % self._counts == 0:
                    events.append((time_, "state", {"state": f"count {value:g}"}))
        for _, _, data in self.i_answer:
            events.append((self.now, "state", {"state": f"heard {data['state']}"}))
        if events:
            self.o = EventFrame.of(*events)


def _think(text):
    time.sleep(0.01)
    return text.upper()


class Thinks(Node):
    """Answers each count after some work, with a number that depends on all before."""

    i = EventsIn("state")
    o = EventsOut("state")

    def __init__(self, factor: int = 2):
        """factor: of the number."""
        self._factor, self._sum = factor, 0.0

    def update(self):
        for _, _, data in self.i:
            if data["state"].startswith("count"):
                self.submit(_think, data["state"])
        answers = []
        for text in self.results():
            self._sum += self._factor * self.rng.random()
            answers.append((self.now, "state", {"state": f"{text} {self._sum:.6f}"}))
        if answers:
            self.o = EventFrame.of(*answers)
