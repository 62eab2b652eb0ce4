"""LslOutlet and LslEventsOutlet, read back by pylsl and by our own inlets."""

from __future__ import annotations

import itertools
import json
import os
import time

import numpy as np
import pytest

from volition.core import EventFrame, NodeError, SignalFrame
from volition.core.lsl import configure
from volition.core.node import drive
from volition.nodes.outputs.lsl import LslEventsOutlet, LslOutlet
from volition.nodes.sources.lsl import LslEvents, LslInlet

pylsl = pytest.importorskip("pylsl")

_numbers = itertools.count()
CHANNELS = ("counter", "Cz")


@pytest.fixture
def name() -> str:
    configure(False, "tests")
    return f"volition-out-{os.getpid()}-{next(_numbers)}"


def frames(node, sizes, segment=0, rate=250.0, unit="uV", dtype=np.float64):
    """Frames with a sample counter as channel 0."""
    start, k = node.clock.now(), 0
    for size in sizes:
        index = np.arange(k, k + size)
        k += size
        times = start + index * round(1e9 / rate)
        values = np.column_stack([index, -index / 8]).astype(dtype)
        yield SignalFrame(times, values, CHANNELS, rate, unit, segment)


def connect(name):
    infos = pylsl.resolve_bypred(f"name='{name}'", 1, 5.0)
    assert len(infos) == 1
    inlet = pylsl.StreamInlet(infos[0], recover=False)
    inlet.open_stream(5.0)
    return inlet


def pull(inlet, n):
    values, stamps, deadline = [], [], time.monotonic() + 10
    while len(values) < n and time.monotonic() < deadline:
        more, when = inlet.pull_chunk(0.2, min_samples=1)
        values += more
        stamps += when
    return values, stamps


@pytest.mark.parametrize("form", ["float32", "double64"])
def test_samples_arrive_once_in_order_with_their_own_times(name, form):
    node = LslOutlet(name, format=form)
    sent = list(frames(node, [1, 1, 7, 26, 1, 64]))
    drive(node, i=sent[0])
    inlet = connect(name)
    for frame in sent[1:]:
        before = frame.values.copy()
        drive(node, i=frame)
        assert (frame.values == before).all()
    values, stamps = pull(inlet, 99)
    expected = SignalFrame.concat(sent[1:])
    assert (np.array(values) == expected.values.astype(np.float32)).all()
    utc = np.round(np.array(stamps) * 1e9).astype(np.int64) + node.clock.utc_offset
    assert abs(utc - expected.times).max() <= 1
    info = inlet.info(5.0)
    assert info.source_id() == f"volition-{name}" and info.nominal_srate() == 250.0 and info.type() == "EEG"
    assert info.channel_format() == (pylsl.cf_float32 if form == "float32" else pylsl.cf_double64)
    assert info.get_channel_labels() == list(CHANNELS)
    assert info.get_channel_units() == ["microvolts"] * 2
    node.terminate()


@pytest.mark.slow
def test_round_trip_through_our_own_inlet(name):
    node, reader = LslOutlet(name), LslInlet(name=name)
    reader.engine_driven = True
    reader.open()
    sent = list(frames(node, [1] * 200))
    got: list[SignalFrame] = []
    deadline = time.monotonic() + 10
    for frame in sent:
        drive(node, i=frame)
        while reader._link._inlet is None and time.monotonic() < deadline:
            reader.poll(0.02)
        got += [f for _, f in reader.poll(0.0)]
    while not (got and got[-1].times[-1] == sent[-1].times[-1]) and time.monotonic() < deadline:
        got += [f for _, f in reader.poll(0.1)]
    received = SignalFrame.concat(got)
    lost = 200 - len(received)  # what was sent before the connection stood
    assert lost <= 1
    expected = SignalFrame.concat(sent[lost:])
    assert (received.times == expected.times).all()
    assert (received.values == expected.values).all()
    assert (received.channels, received.unit, received.rate) == (CHANNELS, ("uV", "uV"), 250.0)
    reader.terminate()
    node.terminate()


def test_a_gap_keeps_the_stream_and_another_rate_replaces_it(name):
    node = LslOutlet(name)
    for frame in frames(node, [3]):
        drive(node, i=frame)
    first = node._outlet
    for frame in frames(node, [3], segment=1):
        drive(node, i=frame)
    assert node._outlet is first
    for frame in frames(node, [3], rate=125.0):
        drive(node, i=frame)
    assert node._outlet is not first
    inlet = connect(name)
    assert inlet.info(5.0).nominal_srate() == 125.0
    node.terminate()


def test_nothing_happens_without_input_or_in_a_replay(name):
    node = LslOutlet(name)
    assert drive(node) == {}
    assert node._outlet is None
    node = LslOutlet(name)
    node.muted = True
    for frame in frames(node, [3]):
        drive(node, i=frame)
    assert node._outlet is None
    events = LslEventsOutlet(name)
    events.muted = True
    drive(events, i=EventFrame.of((1, "key", {"key": "a"})))
    assert events._outlet is None
    for thing in (node, events):
        thing.terminate()
        thing.terminate()


def test_events_come_back_as_they_were(name):
    node, reader = LslEventsOutlet(name), LslEvents(name=name)
    drive(node)
    reader.engine_driven = True
    reader.open()
    deadline = time.monotonic() + 10
    while reader._link._inlet is None and time.monotonic() < deadline:
        reader.poll(0.02)
    now = node.clock.now()
    sent = EventFrame.of(
        (now, "flash", {"ids": ["а", "b"], "menu": 3}),
        (now, "layout", {"boxes": [], "unit": "px", "menu": 3}),
        (now + 5, "text", {"text": "Hello, мир\n", "reason": "choice"}),
    )
    drive(node, i=sent)
    got: list[tuple] = []
    while len(got) < 3 and time.monotonic() < deadline:
        got += [event for _, frame in reader.poll(0.2) for event in frame]
    assert got == list(sent)
    reader.terminate()
    node.terminate()


def test_the_marker_is_json_that_others_can_read(name):
    node = LslEventsOutlet(name)
    drive(node)
    inlet = connect(name)
    drive(node, i=EventFrame.of((node.clock.now(), "key", {"key": "да"})))
    ((marker,),), _ = pull(inlet, 1)
    assert json.loads(marker) == {"label": "key", "version": 1, "data": {"key": "да"}}
    assert inlet.info(5.0).type() == "Markers" and inlet.info(5.0).nominal_srate() == 0
    node.terminate()


def test_a_stream_needs_a_name():
    for cls in (LslOutlet, LslEventsOutlet):
        with pytest.raises(NodeError, match="name is empty"):
            cls("")
