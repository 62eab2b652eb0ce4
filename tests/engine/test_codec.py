"""Frames as messages."""

import json

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volition.core import BusError, EpochFrame, EventFrame, FrameError, SignalFrame
from volition.engine.codec import decode, encode

times = st.lists(st.integers(0, 2**62), min_size=1, max_size=6, unique=True).map(
    lambda t: np.array(sorted(t), np.int64)
)
dtypes = st.sampled_from([np.float32, np.float64])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
dicts = st.dictionaries(st.text(max_size=6), json_values, max_size=3)


@st.composite
def signals(draw):
    t, n_channels, dtype = draw(times), draw(st.integers(1, 3)), draw(dtypes)
    elements = st.floats(width=32 if dtype is np.float32 else 64)
    values = draw(arrays(dtype, (len(t), n_channels), elements=elements))
    unit = tuple(draw(st.lists(st.text(max_size=3), min_size=n_channels, max_size=n_channels)))
    channels = tuple(f"µ{k}" for k in range(n_channels))
    return SignalFrame(t, values, channels, draw(st.floats(0, 1e5)), unit, draw(st.integers(0, 2**40)))


@st.composite
def epochs(draw):
    t, dtype = draw(times), draw(dtypes)
    values = draw(arrays(dtype, (len(t), 4, 2), elements=st.floats(-100, 100, width=32)))
    data = draw(st.lists(dicts, min_size=len(t), max_size=len(t)))
    return EpochFrame(t, values, ("a", "b"), data, t + 5, 64.0, -0.2, ("uV", "V"), 2)


@given(signals(), st.integers(0, 2**62), st.integers(0, 2**40))
def test_signals(frame, sent, sequence):
    back, header = decode(encode(frame, sent, sequence))
    assert isinstance(back, SignalFrame)
    assert back.times.tobytes() == frame.times.tobytes()
    assert back.values.tobytes() == frame.values.tobytes() and back.values.dtype == frame.values.dtype
    assert back.identity == frame.identity
    assert (header["sent"], header["seq"]) == (sent, sequence)


@given(st.lists(st.tuples(st.integers(0, 2**62), st.text(max_size=8), dicts), max_size=5))
def test_events(events):
    back, _ = decode(encode(EventFrame.of(*events), 0, 0))
    assert isinstance(back, EventFrame) and list(back) == events


@given(epochs())
def test_epochs(frame):
    back, _ = decode(encode(frame, 0, 0))
    assert isinstance(back, EpochFrame)
    for name in ("times", "values", "ready"):
        assert getattr(back, name).tobytes() == getattr(frame, name).tobytes()
    assert (back.identity, back.start, back.data, back.segment) == (
        frame.identity,
        frame.start,
        frame.data,
        2,
    )


def test_numbers_of_numpy_travel_as_plain_ones():
    data = {"a": np.float32(0.5), "b": np.arange(3), "c": np.int64(7)}
    back, _ = decode(encode(EventFrame.of((1, "x", data)), 0, 0))
    assert list(back) == [(1, "x", {"a": 0.5, "b": [0, 1, 2], "c": 7})]


@pytest.mark.parametrize("value", [object(), 2**70, {1, 2}, lambda: None])
def test_what_cannot_be_sent_is_said(value):
    with pytest.raises(FrameError, match="cannot be sent"):
        encode(EventFrame.of((1, "x", {"a": value})), 0, 0)


SIGNAL = encode(SignalFrame(np.array([1, 2]), np.ones((2, 1)), ("a",), 10.0, "uV"), 0, 0)
EVENTS = encode(EventFrame.of((1, "a", {"b": 2})), 0, 0)


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_noise_is_refused(message):
    with pytest.raises(BusError, match="a message on the bus"):
        decode(message)


@pytest.mark.parametrize("message", [SIGNAL, EVENTS], ids=["signal", "events"])
@given(data=st.data())
def test_damaged_messages_are_refused_or_harmless(message, data):
    part = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(message[part]) - 1))
    byte = data.draw(st.integers(0, 255))
    damaged = list(message)
    damaged[part] = message[part][:at] + bytes([byte]) + message[part][at + 1 :]
    try:
        frame, _ = decode(damaged)
    except BusError:
        return
    if isinstance(frame, EventFrame):
        assert all(isinstance(label, str) and isinstance(d, dict) for _, label, d in frame)
    else:
        assert frame.values.shape == (len(frame.times), len(frame.channels)) == (len(frame), len(frame.unit))


def header_of(**changes):
    return json.dumps({**json.loads(SIGNAL[0]), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2}, {"kind": "code"}, {"dtype": "|O"}, {"dtype": "<i8"}, {"shape": [3, 1]}, {"channels": "a"},
        {"channels": ["a", "b"]}, {"unit": []}, {"channels": [1]}, {"rate": "fast"}, {"kind": "epochs"},
    ],
)  # fmt: skip
def test_wrong_headers_are_refused(changes):
    with pytest.raises(BusError):
        decode([header_of(**changes), SIGNAL[1]])


@pytest.mark.parametrize("header", [b"[]", b"null", b"1", b"{}", b"[" * 100_000])
def test_headers_that_are_none_are_refused(header):
    with pytest.raises(BusError):
        decode([header, SIGNAL[1]])


@pytest.mark.parametrize(
    "body",
    [1, [1], [[1, 2, {}]], [[1, "a", []]], [[2**64 - 1, "a", {}]], [["1", "a", {}]], {"a": 1}, None, "abc"],
)
def test_wrong_events_are_refused(body):
    with pytest.raises(BusError):
        decode([EVENTS[0], msgpack.packb(body)])
