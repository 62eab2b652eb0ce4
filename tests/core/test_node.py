"""Node and Source, driven by hand and by plain Timeflux."""

import numpy as np
import pandas as pd
import pytest
from timeflux.core.scheduler import Scheduler

from volition.core import (
    EventFrame,
    EventsIn,
    EventsOut,
    Node,
    NodeError,
    SignalFrame,
    SignalIn,
    SignalOut,
    Source,
)
from volition.core.events import Gap
from volition.core.node import drive


def signal(start=0, n=3, **changes):
    given = {"channels": ("a",), "rate": 10.0, "unit": "uV", "segment": 0, **changes}
    times = np.arange(start, start + n, dtype=np.int64)
    return SignalFrame(times, np.ones((n, len(given["channels"]))), **given)


class Recorder(Node):
    """A node that notes what is called."""

    i = SignalIn()
    i_events = EventsIn("key", optional=True)
    o = EventsOut("state")

    def __init__(self):
        """Take nothing."""
        self.calls = []

    def start(self):
        self.calls.append("start")

    def restart(self):
        self.calls.append("restart")

    def update(self):
        self.calls.append("update")


def test_start_and_restart_come_before_the_first_input():
    node = Recorder()
    drive(node)
    assert node.calls == ["start", "update"]
    drive(node, i=signal())
    assert node.calls == ["start", "update", "restart", "update"]


@pytest.mark.parametrize(
    ("change", "restarts"),
    [
        ({}, False),
        ({"segment": 1}, True),
        ({"rate": 20.0}, True),
        ({"channels": ("b",)}, True),
        ({"unit": "V"}, True),
    ],
)
def test_restart_when_the_stream_changes(change, restarts):
    node = Recorder()
    drive(node, i=signal())
    node.calls.clear()
    drive(node, i=signal(10, **change))
    assert node.calls == (["restart", "update"] if restarts else ["update"])


def test_events_and_empty_frames_do_not_restart():
    node = Recorder()
    drive(node, i=signal())
    node.calls.clear()
    drive(node, i_events=EventFrame.of((1, "key", {"key": "a"})))
    drive(node, i=signal(n=0, segment=5))
    drive(node, i=signal(3))
    assert node.calls == ["update"] * 3


def test_a_table_from_timeflux_restarts_at_a_new_segment():
    node = Recorder()
    index = pd.DatetimeIndex([1, 2])
    for segment in (0, 0, 1):
        node.clear()
        node.i.data, node.i.meta = (
            pd.DataFrame({"a": [1.0, 2.0]}, index=index),
            {"rate": 5, "segment": segment},
        )
        node.update()
    assert node.calls == ["start", "restart", "update", "update", "restart", "update"]


def test_undeclared_ports_are_named():
    node = Recorder()
    node.id = "rec"
    with pytest.raises(NodeError, match=r"rec: there is no port 'i_event'; did you mean 'i_events'\?"):
        _ = node.i_event
    with pytest.raises(NodeError, match="rec: there is no port 'o_zzz'; it has 'i', 'i_events', 'o'"):
        _ = node.o_zzz
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = node.nothing


class Many(Node):
    """A node with any number of inputs."""

    several = EventsIn("key", name="i_*")
    o = EventsOut("key")

    def update(self):
        """Join."""
        frames = [port.frame for name, port in sorted(self.ports.items()) if name[0] == "i" and port]
        if frames:
            self.o = EventFrame.concat(frames)


def test_starred_ports_are_made_when_asked_for():
    node = Many()
    out = drive(node, i_b=EventFrame.of((2, "key", {"key": "b"})), i_a=EventFrame.of((1, "key", {"key": "a"})))
    assert [data["key"] for _, _, data in out["o"]] == ["a", "b"]
    assert set(node.ports) == {"i_a", "i_b", "o"}
    with pytest.raises(NodeError, match="there is no port 'o_x'"):
        _ = node.o_x


class Timer(Node):
    """A node that wants a tick now and then."""

    o = EventsOut("state")

    def update(self):
        """Ask for another tick."""
        self.wake = self.now + 100 if self.now < 300 else None


def test_wake():
    node = Timer()
    drive(node, now=100)
    assert node.wake == 200
    drive(node, now=300)
    assert node.wake is None


class Worker(Node):
    """A node with slow work."""

    i_events = EventsIn("key")
    o = EventsOut("state")

    def update(self):
        """Submit and collect."""
        for _, _, data in self.i_events:
            self.submit(int, data["key"])
        self.got = self.results()


def key(text):
    return EventFrame.of((1, "key", {"key": text}))


def test_submitted_work_comes_back_in_order():
    node = Worker()
    drive(node, i_events=EventFrame.concat([key("1"), key("2")]))
    assert node.got == [1, 2] and not node.busy


def test_failed_work_is_raised_where_results_are_read():
    node = Worker()
    with pytest.raises(ValueError, match="invalid literal"):
        drive(node, i_events=key("x"))
    drive(node, i_events=key("3"))
    assert node.got == [3]


def test_reports_have_the_time_of_the_tick_unless_given():
    node = Recorder()
    node.now = 5
    node.report(Gap(source="x", start_ns=1, seconds=1.0))
    node.report(Gap(source="x", start_ns=1, seconds=1.0), at=3)
    assert [time for time, _, _ in node.take_reports()] == [5, 3]
    assert node.take_reports() == []


class Child(Recorder):
    """A node that calls the update of its base."""

    def update(self):
        """Twice."""
        super().update()
        self.calls.append("child")


def test_super_update_prepares_once():
    node = Child()
    drive(node, i=signal())
    assert node.calls == ["start", "restart", "update", "child"]


class Pieces(Source):
    """A source of what it is given."""

    o = SignalOut()
    o_events = EventsOut("gap")

    def __init__(self):
        """Take nothing."""
        self.arrivals = []
        self.opened = 0

    def start(self):
        self.opened += 1

    def poll(self, timeout):
        arrivals, self.arrivals = self.arrivals, []
        return arrivals


def test_a_source_joins_what_came_up_to_the_next_gap():
    node = Pieces()
    node.arrivals = [
        ("o", signal(0)),
        ("o", signal(3)),
        ("o_events", EventFrame.of((5, "gap", {}))),
        ("o", signal(9, segment=1)),
    ]
    node.update()
    assert node.o.times.tolist() == [0, 1, 2, 3, 4, 5] and len(node.o_events) == 1
    node.clear()
    node.update()
    assert node.o.times.tolist() == [9, 10, 11] and node.o.frame.segment == 1
    node.clear()
    node.update()
    assert not node.o and node.opened == 1


def test_a_replayed_source_opens_nothing():
    node = Pieces()
    node.replayed = node.engine_driven = True
    node.inbox.append(("o", signal()))
    node.update()
    assert len(node.o) == 3 and node.opened == 0


class Double(Node):
    """A node that gives twice its input."""

    i = SignalIn()
    o = SignalOut()

    def update(self):
        """Double."""
        if self.i:
            self.o = self.i.like(values=2 * self.i.values)


def test_under_the_scheduler_of_timeflux():
    source, node = Pieces(), Double()
    source.arrivals = [("o", signal())]
    path = [
        {"node": "source", "predecessors": []},
        {
            "node": "double",
            "predecessors": [{"node": "source", "src_port": "o", "dst_port": "i", "copy": False}],
        },
    ]
    scheduler = Scheduler(path, {"source": source, "double": node}, 0)
    scheduler.next()
    np.testing.assert_array_equal(node.o.data.to_numpy(), 2 * np.ones((3, 1)))
    assert node.o.meta == {"rate": 10.0, "unit": ["uV"]}
    scheduler.next()
    assert node.o.data is None
    scheduler.terminate()


def test_what_is_inferred_by_default():
    from volition.core import EventsSpec, SignalSpec

    given = SignalSpec(("a", "b"), 100.0, "uV")
    assert Double().infer({"i": given}) == {"o": given}
    assert Recorder().infer({"i": given}) == {"o": EventsSpec(("state",))}


def test_bind_makes_an_alias():
    node = Many()
    node.bind("i_a", "i_b")
    node.i_a.frame = key("1")
    assert node.i_b.frame is node.i_a.frame
