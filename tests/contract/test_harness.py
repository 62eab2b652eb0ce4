"""The contract suite finds what it is there to find."""

import multiprocessing
import threading
from itertools import pairwise

import numpy as np
import pytest

from tests.conftest import strangers
from tests.contract.harness import Harness, assert_same, copied, grid, random_grid, run_node, until
from tests.contract.streams import T0, default_streams, epochs, events, signal
from volition.core import EventFrame, EventsIn, EventsOut, Node, SignalIn, SignalOut
from volition.core.clock import SECOND

STEP = SECOND / 10
STEP_NS = SECOND // 7


class ChunkMean(Node):
    """Takes the mean of each chunk: depends on the cut."""

    i = SignalIn()
    o = SignalOut()

    def update(self):
        """Take the mean away."""
        if self.i:
            self.o = self.i.like(values=self.i.values - self.i.values.mean(axis=0))


class Meddler(Node):
    """Writes to the events that come in."""

    i = EventsIn("key")
    o = EventsOut("key")

    def update(self):
        """Change the input."""
        for _, _, data in self.i:
            data["key"] = "b"


class Restless(Node):
    """Has a timer that never rests."""

    i = EventsIn("key")

    def update(self):
        """Ask again at once."""
        self.wake = self.now


class Delayed(Node):
    """Repeats each key a tenth of a second later, by timer, through slow work."""

    i = EventsIn("key")
    o = EventsOut("key")

    def __init__(self):
        """Take nothing."""
        self.due = []

    def update(self):
        """Repeat what is due."""
        for time, _, data in self.i:
            self.submit(dict, {"time": time, **data})
        self.due += self.results()
        ready = [d for d in self.due if d["time"] + SECOND // 10 <= self.now]
        self.due = [d for d in self.due if d not in ready]
        if ready:
            self.o = EventFrame.of(*((d["time"] + SECOND // 10, "key", {"key": d["key"]}) for d in ready))
        self.wake = min((d["time"] + SECOND // 10 for d in self.due), default=None)


def test_a_node_that_depends_on_the_cut_is_found():
    streams = default_streams(ChunkMean)
    one = run_node(ChunkMean, {}, streams, grid(streams, STEP))
    other = run_node(ChunkMean, {}, streams, grid(streams, STEP / 2))
    with pytest.raises(AssertionError, match="port o: values differ by up to"):
        assert_same(one.outputs, other.outputs, "cut")


def test_a_node_that_writes_to_its_input_is_found():
    streams = default_streams(Meddler)
    before = copied(streams)
    run_node(Meddler, {}, streams, grid(streams, STEP))
    assert copied(streams) != before


def test_a_timer_that_never_rests_is_found():
    streams = default_streams(Restless)
    with pytest.raises(AssertionError, match="never rests"):
        run_node(Restless, {}, streams, grid(streams, STEP))


def test_a_good_timer_gives_the_same_for_every_cut():
    streams = default_streams(Delayed)
    one = run_node(Delayed, {}, streams, grid(streams, STEP))
    assert len(one.outputs["o"]) == len(streams["i"][0]) and one.timer
    for seed in range(3):
        other = run_node(Delayed, {}, streams, random_grid(streams, seed))
        assert_same(one.outputs, other.outputs, "cut")


@pytest.mark.parametrize("frame", [signal(), events(), epochs()], ids=["signal", "events", "epochs"])
def test_cutting_loses_nothing(frame):
    times = [-1, T0, T0 + 1, *range(T0 + STEP_NS, T0 + 4 * SECOND, STEP_NS)]
    parts = [until(frame, a, b) for a, b in pairwise(times)]
    whole = [t for part in parts if part is not None for t in part.times.tolist()]
    assert whole == frame.times.tolist()


def test_empty_frames_are_given_only_when_asked_for():
    streams = default_streams(ChunkMean)
    harness = Harness(ChunkMean, {})
    run = harness.feed(streams, grid(streams, STEP), empties=True)
    harness.close()
    assert sum(len(f) for f in run.outputs["o"]) == len(streams["i"][0])
    assert np.isfinite(run.outputs["o"][0].values).all()


def test_what_is_left_running_is_found():
    threads = set(threading.enumerate())
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="left-behind")
    process = multiprocessing.get_context("spawn").Process(target=pause, args=(60,))
    thread.start()
    process.start()
    try:
        assert any("left-behind" in line for line in strangers(threads, {}))
        assert any(line.startswith(f"process {process.pid}") for line in strangers(threads, {}))
    finally:
        stop.set()
        process.kill()
        process.join()
        process.close()
        thread.join()


def pause(seconds):
    """Wait, in another process."""
    threading.Event().wait(seconds)
