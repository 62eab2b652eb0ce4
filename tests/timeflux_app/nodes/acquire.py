"""A person with two states of mind, in real time."""

import json
import time

import numpy as np
import pandas as pd
from helpers import brain
from timeflux.core.node import Node


class Person(Node):
    """Emits EEG-like samples and the events of a training run, then of a test run.

    Attributes:
        o (Port): Samples.
        o_events (Port): Events ``stimulus`` with the target in their data, and what steers the pipeline.
    """

    def __init__(self, rate=250, channels=("a", "b"), trials=24, every=0.3):
        self._rate = rate
        self._channels = list(channels)
        self._trials = trials
        self._every = round(every * rate)
        self._start = None
        self._sent = 0

    def update(self):
        now = time.time()
        if self._start is None:
            self._start = now
        until = int((now - self._start) * self._rate)
        if until <= self._sent:
            return
        numbers = np.arange(self._sent, until)
        values = brain(self._sent, until - self._sent, self._rate, self._left, len(self._channels))
        self.o.data = pd.DataFrame(values, index=self._times(numbers), columns=self._channels)
        self.o.meta = {"rate": self._rate}
        rows = [row for number in numbers for row in self._events(int(number))]
        if rows:
            self.o_events.data = pd.DataFrame(
                [row[1:] for row in rows],
                index=self._times(np.array([row[0] for row in rows])),
                columns=["label", "data"],
            )
        self._sent = until

    def _times(self, numbers):
        return pd.to_datetime((self._start + numbers / self._rate) * 1e9)

    def _left(self, numbers):
        return (numbers // self._every) % 2 == 0

    def _events(self, number):
        trial, rest = divmod(number, self._every)
        if trial == 0 and rest == 1:
            yield number, "accumulation_starts", None
        if trial > 0 and rest == 2:
            target = "left" if trial % 2 == 0 else "right"
            yield number, "stimulus", json.dumps({"target": target})
        if trial == self._trials and rest == 1:
            yield number, "accumulation_stops", None
        if trial == self._trials + 1 and rest == 1:
            yield number, "training_starts", None
