"""LslInlet and LslEvents on real LSL streams of this machine."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from volition.core import FrameError, NodeError, SignalFrame, StreamError
from volition.core.lsl import configure
from volition.core.node import drive
from volition.core.params import problems
from volition.nodes.sources.lsl import LslEvents, LslInlet, marker_event, select_channels
from volition.nodes.sources.lsl_link import query

pylsl = pytest.importorskip("pylsl")

_numbers = itertools.count()
RATE = 100.0


@pytest.fixture
def name() -> str:
    configure(False, "tests")
    return f"volition-test-{os.getpid()}-{next(_numbers)}"


def outlet(name, count=3, rate=RATE, form="float32", labels=(), unit="", type="EEG"):
    info = pylsl.StreamInfo(name, type, count, rate, form, f"id-{name}")
    channels = info.desc().append_child("channels")
    for label in labels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        if unit:
            channel.append_child_value("unit", unit)
    return pylsl.StreamOutlet(info)


def opened(node):
    """Start a node and let it connect, so that nothing is lost."""
    node.id = "eeg"
    node.engine_driven = True
    node.open()
    deadline = time.monotonic() + 10
    while node._link._inlet is None and time.monotonic() < deadline:
        node.poll(0.02)
    assert node._link._inlet is not None, "the stream was not found"
    return node


def collect(node, n, send=None, seconds=10.0):
    """Frames until there are ``n`` samples; ``send`` is called before each poll."""
    frames, deadline = [], time.monotonic() + seconds
    while sum(map(len, frames)) < n and time.monotonic() < deadline:
        if send is not None:
            send()
        frames += [frame for _, frame in node.poll(0.05)]
    assert sum(map(len, frames)) >= n
    return frames


def reports(node, label=None):
    found = node.take_reports()
    return found if label is None else [event for event in found if event[1] == label]


@pytest.mark.parametrize("form", ["float32", "double64", "int8", "int16", "int32", "int64"])
def test_every_numeric_format_arrives_whole_and_in_order(name, form):
    out = outlet(name, 2, form=form)
    node = opened(LslInlet(name=name))
    now = pylsl.local_clock()
    values = np.column_stack([np.arange(100), 100 - np.arange(100)])  # a counter first
    big = {"int32": 2**24 + 1, "int64": 2**24 + 1, "double64": 2**24 + 1}.get(form, 0)
    stamps = now + np.arange(100) / RATE
    out.push_chunk((values + big).tolist(), stamps.tolist())
    frames = collect(node, 100)
    node.terminate()
    got = SignalFrame.concat(frames)
    assert (got.values == values + big).all()
    assert got.values.dtype == (np.float64 if big else np.float32)
    assert got.channels == ("ch1", "ch2") and got.rate == RATE and got.segment == 0
    expected = np.round(stamps * 1e9).astype(np.int64) + node.clock.utc_offset
    assert abs(got.times - expected).max() <= 1
    (event,) = reports(node)
    assert event[1] == "stream" and event[2]["state"] == "opened" and event[2]["rate"] == RATE


def test_the_first_sample_wakes(name):
    out = outlet(name)
    node = opened(LslInlet(name=name))
    collect(node, 1, lambda: out.push_sample([0.0] * 3))
    while node.poll(0.0):
        pass
    began = time.monotonic()
    out.push_sample([1.0, 2.0, 3.0])
    ((port, frame),) = node.poll(5.0)
    assert time.monotonic() - began < 2.5  # and not after the whole timeout
    assert port == "o" and frame.values.tolist() == [[1.0, 2.0, 3.0]]
    node.terminate()


def test_channels_are_picked_renamed_and_converted(name):
    out = outlet(name, labels=["lx", "ly", "pupil"], unit="volts")
    node = opened(LslInlet(name=name, channels={"y": "ly", "x": "lx"}, unit="uV"))
    out.push_sample([1e-6, 2e-6, 3e-6])
    (frame,) = collect(node, 1)
    node.terminate()
    assert frame.channels == ("y", "x") and frame.unit == ("uV", "uV")
    np.testing.assert_allclose(frame.values, [[2.0, 1.0]], rtol=1e-6)
    (said,) = reports(node, "state")
    assert said[2]["detail"] == {"from": "V", "to": "uV"}


def test_a_stated_unit_gets_its_one_name(name):
    out = outlet(name, labels=["a", "b", "c"], unit="microvolts")
    node = opened(LslInlet(type="EEG", predicate=f"starts-with(name,'{name}')"))
    out.push_sample([1.0, 2.0, 3.0])
    (frame,) = collect(node, 1)
    node.terminate()
    assert frame.channels == ("a", "b", "c") and frame.unit == ("uV",) * 3


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"channels": ["a", "Cz"]}, "no channel 'Cz'; it has 'a', 'b', 'c'"),
        ({"unit": "px"}, "is in 'uV', which does not convert to 'px'"),
        ({"rate": 256}, "runs at 100 Hz, not at 256 Hz"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused(name, params, sentence):
    out = outlet(name, labels=["a", "b", "c"], unit="uV")
    node = opened(LslInlet(name=name, **params))
    with pytest.raises(StreamError, match=f"eeg: .*{sentence}"):
        collect(node, 1, lambda: out.push_sample([0.0] * 3))
    node.terminate()


def test_a_gap_in_the_stamps_starts_a_segment(name):
    out = outlet(name)
    node = opened(LslInlet(name=name))
    now = pylsl.local_clock()
    stamps = now + np.concatenate([np.arange(20), np.arange(20) + 100]) / RATE
    out.push_chunk(np.zeros((40, 3), np.float32), stamps.tolist())
    frames = collect(node, 40)
    node.terminate()
    for frame in frames:
        assert (np.diff(frame.times) < 2 * 10**7).all()
    first = SignalFrame.concat([f for f in frames if f.segment == 0])
    second = SignalFrame.concat([f for f in frames if f.segment == 1])
    assert len(first) == len(second) == 20
    ((at, _, gap),) = reports(node, "gap")
    assert at == second.times[0] and gap["start_ns"] == first.times[-1]
    assert gap["seconds"] == pytest.approx(0.81)


def test_frames_that_span_a_gap_reach_the_port_one_tick_apart(name):
    node = LslInlet(name=name)
    node.replayed = True
    for segment in (0, 0, 1):
        times = np.arange(2, dtype=np.int64) + 10 * len(node.inbox)
        node.inbox.append(("o", SignalFrame(times, np.zeros((2, 1)), ("a",), 10.0, "uV", segment)))
    assert len(drive(node)["o"]) == 4
    assert drive(node)["o"].segment == 1
    assert node._link is None  # a replayed source opens nothing


@pytest.mark.slow
def test_lost_and_back(name):
    out = outlet(name)
    node = opened(LslInlet(name=name))
    before = collect(node, 3, lambda: out.push_sample([0.0] * 3))[-1]
    reports(node)
    del out
    deadline = time.monotonic() + 10
    while not node._reports and time.monotonic() < deadline:
        node.poll(0.05)
    assert [e[2]["state"] for e in reports(node, "stream")] == ["lost"]
    out = outlet(name)
    after = collect(node, 1, lambda: out.push_sample([0.0] * 3))[0]
    node.terminate()
    assert after.segment == before.segment + 1
    back, gap = reports(node)
    assert back[1] == "stream" and back[2]["state"] == "back" and back[2]["source"] == "eeg"
    assert gap[1] == "gap" and gap[0] == after.times[0] and gap[2]["reason"] == "the connection broke"


@pytest.mark.slow
def test_silence_of_a_regular_stream_is_a_loss(name):
    out = outlet(name)
    node = opened(LslInlet(name=name, lost_after=0.15))
    collect(node, 1, lambda: out.push_sample([0.0] * 3))
    reports(node)
    deadline = time.monotonic() + 10
    while not node._reports and time.monotonic() < deadline:
        node.poll(0.05)
    assert [e[2]["state"] for e in reports(node)] == ["lost"]
    collect(node, 1, lambda: out.push_sample([0.0] * 3))
    node.terminate()
    back, gap = reports(node)
    assert back[2]["state"] == "back" and gap[2]["reason"] == "no samples for 0.15 s"


SENDER = """
import sys, time, pylsl
out = pylsl.StreamOutlet(pylsl.StreamInfo(sys.argv[1], "EEG", 1, 100, "float32", "id-" + sys.argv[1]))
while True:
    out.push_sample([1.0])
    time.sleep(0.01)
"""


@pytest.mark.slow
def test_a_killed_sender_comes_back(name):
    def sender():
        return subprocess.Popen([sys.executable, "-c", SENDER, name], stderr=subprocess.DEVNULL)

    process = sender()
    node = LslInlet(name=name)
    try:
        node = opened(node)
        collect(node, 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = sender()
        deadline = time.monotonic() + 20
        states: list[str] = []
        while states[-2:] != ["lost", "back"] and time.monotonic() < deadline:
            node.poll(0.1)
            states += [e[2]["state"] for e in reports(node, "stream")]
        assert states == ["opened", "lost", "back"]
    finally:
        node.terminate()
        process.kill()
        process.wait()


def test_waiting_is_said_once(name):
    node = LslInlet(name=name, timeout=0.0)
    node.id = "eeg"
    node.open()
    for _ in range(5):
        assert node.poll(0.0) == []
    node.terminate()
    (said,) = reports(node)
    assert said[1] == "state" and said[2]["state"] == "waiting"
    assert name in said[2]["detail"]["stream"]


@pytest.mark.slow
def test_two_streams_of_one_name_are_listed_and_none_is_taken(name):
    infos = [pylsl.StreamInfo(name, "EEG", 1, 100, "float32", f"{name}-{k}") for k in "ab"]
    outs = [pylsl.StreamOutlet(info) for info in infos]
    assert len(pylsl.resolve_byprop("name", name, 2, 5.0)) == 2  # both answer by now
    node = LslInlet(name=name)
    node.id = "eeg"
    node.open()
    node._link._settle = 10**9  # the tests' own LSL configuration leaves 0.5 s to answer
    deadline = time.monotonic() + 10
    while not node._reports and time.monotonic() < deadline:
        assert node.poll(0.02) == []
    (said,) = reports(node)
    node.terminate()
    assert said[1] == "error"
    assert f"{name}-a" in said[2]["message"] and f"{name}-b" in said[2]["message"]
    node = opened(LslInlet(name=name, source_id=f"{name}-b"))
    collect(node, 1, lambda: [out.push_sample([k]) for k, out in enumerate(outs)])
    node.terminate()


def test_dejitter_smooths(name):
    out = outlet(name)
    node = opened(LslInlet(name=name, dejitter=True))
    rng = np.random.default_rng(1)
    stamps = pylsl.local_clock() + np.arange(600) / RATE + rng.normal(0, 0.003, 600)
    out.push_chunk(np.zeros((600, 3), np.float32), stamps.tolist())
    times = SignalFrame.concat(collect(node, 600)).times
    node.terminate()
    assert np.diff(times)[100:].std() < 0.1 * np.diff(stamps).std() * 1e9


def test_stamps_of_another_clock_are_said(name):
    out = outlet(name)
    node = opened(LslInlet(name=name))
    collect(node, 1, lambda: out.push_sample([0.0] * 3, 1.7e9))
    node.terminate()
    (said,) = reports(node, "error")
    assert "not use LSL's clock" in said[2]["message"]


def test_terminate_works_before_start_twice_and_ends_poll(name):
    node = LslInlet(name=name)
    node.terminate()
    node.open()
    node.terminate()
    node.terminate()
    assert node.poll(10.0) == []


def test_the_stream_must_be_described():
    with pytest.raises(NodeError, match="say which stream"):
        LslInlet()
    assert [p.message for p in problems(LslInlet, {"name": "a", "rate": -1})] == [
        "rate: should be greater than 0, got -1"
    ]


def test_infer_states_what_the_parameters_do():
    spec = LslInlet(name="a", channels={"x": "lx"}, unit="µV", rate=60.0).infer({})["o"]
    assert (spec.channels, spec.rate, spec.unit) == (("x",), 60.0, "uV")
    spec = LslInlet(name="a").infer({})["o"]
    assert (spec.channels, spec.rate, spec.unit) == (None, None, None)


def test_network_is_one_setting_a_process(name):
    with pytest.raises(StreamError, match="make them equal"):
        LslInlet(name=name, network=True).open()


def test_query_quotes():
    assert query("a", "b", "", "c=1") == "name='a' and type='b' and (c=1)"
    assert query(name="it's") == 'name="it\'s"'
    with pytest.raises(StreamError, match="quotes"):
        query(name="'\"")


def test_a_list_names_the_channels_of_a_stream_that_names_none():
    assert select_channels(["ch1", "ch2"], ["Fz", "Cz"], named=False) == (("Fz", "Cz"), [0, 1])
    assert select_channels(["Fz", "Cz"], ["Cz"]) == (("Cz",), [1])


def test_events_of_ours_come_back_and_others_are_mapped(name):
    out = outlet(name, 1, 0.0, "string", type="Markers")
    node = opened(LslEvents(name=name))
    now = pylsl.local_clock()
    ours = json.dumps({"label": "flash", "version": 1, "data": {"ids": ["a"], "menu": 2}})
    wrong = json.dumps({"label": "flash", "data": {"ids": ["a"], "manu": 2}})
    for k, text in enumerate([ours, "start", wrong, "{not json"]):
        out.push_sample([text], now + k)
    events = [event for frame in collect(node, 3) for event in frame]
    node.terminate()
    assert [(label, data) for _, label, data in events] == [
        ("flash", {"ids": ["a"], "menu": 2}),
        ("state", {"state": "start", "source": "", "detail": {}}),
        ("state", {"state": "{not json", "source": "", "detail": {}}),
    ]
    assert [t - events[0][0] for t, _, _ in events] == [0, 10**9, 3 * 10**9]
    (dropped,) = reports(node, "dropped")
    assert dropped[2]["count"] == 1 and "event flash" in dropped[2]["reason"]


def test_numbers_are_markers_too(name):
    out = outlet(name, 1, 0.0, "int32", type="Markers")
    node = opened(LslEvents(name=name, label="flash"))
    out.push_sample([7])
    (frame,) = collect(node, 1)
    node.terminate()
    assert frame.select("flash")[0][2] == {"ids": ["7"], "menu": 0}


@pytest.mark.parametrize(
    ("label", "field"),
    [("key", "key"), ("calibration", "step"), ("text", "text"), ("turn", "text"), ("state", "state")],
)
def test_plain_markers(label, field):
    found, data = marker_event("x", label)
    assert found == label and data[field] == "x"


def test_a_marker_of_no_label_in_the_vocabulary_is_refused():
    with pytest.raises(FrameError, match="is no event"):
        marker_event('{"label": "flush", "data": {}}', "state")
