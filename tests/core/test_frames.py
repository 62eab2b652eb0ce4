"""Frames, and the way to pandas and back."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from volition.core import EpochFrame, EventFrame, FrameError, SignalFrame
from volition.core.frames import from_pandas

T0 = 1_700_000_000_000_000_000


@st.composite
def signals(draw):
    """Signal frames of any kind."""
    n, n_channels = draw(st.integers(0, 12)), draw(st.integers(1, 4))
    steps = draw(st.lists(st.integers(1, 10**10), min_size=n, max_size=n))
    values = draw(arrays(np.float64, (n, n_channels), elements=st.floats(allow_nan=True, width=64)))
    channels = tuple(f"c{k}" for k in range(n_channels))
    unit = draw(st.sampled_from(["", "uV", tuple("ab"[k % 2] for k in range(n_channels))]))
    times = T0 + np.cumsum(np.array(steps, dtype=np.int64))
    return SignalFrame(
        times, values, channels, draw(st.sampled_from([0.0, 256.0, 99.9])), unit, draw(st.integers(0, 3))
    )


@given(signals())
def test_signal_to_pandas_and_back(frame):
    back = from_pandas(*frame.to_pandas())
    assert isinstance(back, SignalFrame)
    np.testing.assert_array_equal(back.times, frame.times)
    np.testing.assert_array_equal(back.values, frame.values)
    assert back.identity == frame.identity


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
event_lists = st.lists(
    st.tuples(
        st.integers(0, 2**62),
        st.text(min_size=1, max_size=8),
        st.dictionaries(st.text(max_size=4), json_values),
    ),
    max_size=6,
).map(lambda events: sorted(events, key=lambda event: event[0]))


@given(event_lists)
def test_events_to_pandas_and_back(events):
    frame = EventFrame.of(*events)
    back = from_pandas(*frame.to_pandas())
    assert isinstance(back, EventFrame)
    assert list(back) == list(frame) == [tuple(e) for e in events]


def test_table_of_events_shares_nothing_with_the_frame():
    frame = EventFrame.of((1, "menu", {"options": [{"id": "1"}]}))
    table, _ = frame.to_pandas()
    table["data"].iloc[0]["options"].append("wrong")
    table["data"].iloc[0]["menu"] = 1
    assert list(frame) == [(1, "menu", {"options": [{"id": "1"}]})]


def test_table_of_samples_shares_nothing_with_the_frame():
    frame = SignalFrame(np.array([1, 2]), np.ones((2, 1)), ("a",))
    table, _ = frame.to_pandas()
    table.iloc[0, 0] = 5.0
    assert frame.values[0, 0] == 1.0


def test_arrays_are_read_only():
    frame = SignalFrame(np.array([1, 2]), np.ones((2, 1)), ("a",))
    with pytest.raises(ValueError, match="read-only"):
        frame.values[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        frame.times[0] = 2


def test_values_are_contiguous_floats():
    assert SignalFrame(np.arange(2), np.ones((2, 3), np.int16), tuple("abc")).values.dtype == np.float32
    assert SignalFrame(np.arange(2), np.ones((2, 3), np.int64), tuple("abc")).values.dtype == np.float64
    frame = SignalFrame(np.arange(4), np.ones((2, 4)).T, tuple("ab"))
    assert frame.values.flags.c_contiguous


def test_wrong_shapes_are_refused():
    with pytest.raises(FrameError, match=r"2 times and 1 channels got values of shape \(2, 2\)"):
        SignalFrame(np.arange(2), np.ones((2, 2)), ("a",))
    with pytest.raises(FrameError, match="2 labels"):
        EventFrame([1], ["a", "b"], [{}])
    with pytest.raises(FrameError, match="n_epochs, n_samples, n_channels"):
        EpochFrame(np.arange(2), np.ones((2, 3)), ("a",), [{}, {}], np.arange(2), 1.0)


def test_missing_channel_names_what_there_is():
    frame = SignalFrame(np.arange(1), np.ones((1, 2)), ("lx", "ly"))
    with pytest.raises(FrameError, match="gaze: the stream has no channel 'x'; it has 'lx', 'ly'"):
        frame.indices(["x", "ly"], "gaze")
    assert frame.indices(["ly", "lx"]) == [1, 0]


@given(signals(), st.lists(st.integers(0, 12), max_size=4))
def test_cut_and_joined_is_the_same(frame, cuts):
    edges = [0, *sorted(min(c, len(frame)) for c in cuts), len(frame)]
    whole = SignalFrame.concat([frame[a:b] for a, b in pairwise(edges)])
    np.testing.assert_array_equal(whole.times, frame.times)
    np.testing.assert_array_equal(whole.values, frame.values)
    assert whole.identity == frame.identity


def test_frames_across_a_gap_are_not_joined():
    one = SignalFrame(np.arange(1), np.ones((1, 1)), ("a",))
    other = SignalFrame(np.arange(1), np.ones((1, 1)), ("a",), segment=1)
    with pytest.raises(FrameError, match="segments"):
        SignalFrame.concat([one, other])


def test_joined_events_are_in_order_of_time_and_stable():
    frames = [EventFrame.of((3, "a", {}), (5, "b", {})), EventFrame.of((3, "c", {}), (4, "d", {}))]
    assert EventFrame.concat(frames).labels == ("a", "c", "d", "b")


def test_like_keeps_what_is_not_given():
    frame = SignalFrame(np.arange(2), np.ones((2, 2)), ("a", "b"), 10.0, ("uV", "V"), 3)
    assert frame.like(values=np.zeros((2, 2))).identity == frame.identity
    other = frame.like(values=np.zeros((2, 1)), channels=["c"], unit="deg")
    assert (other.channels, other.unit, other.segment, other.rate) == (("c",), ("deg",), 3, 10.0)


def test_tables_that_are_no_frames_are_refused():
    with pytest.raises(FrameError, match="DatetimeIndex"):
        from_pandas(pd.DataFrame({"a": [1.0]}))
    index = pd.DatetimeIndex([T0])
    with pytest.raises(FrameError, match="neither numbers nor events"):
        from_pandas(pd.DataFrame({"a": ["text"]}, index=index))


def test_coarse_time_units_become_nanoseconds():
    index = pd.DatetimeIndex([T0]).as_unit("us")
    assert from_pandas(pd.DataFrame({"a": [1.0]}, index=index)).times.tolist() == [T0]


def test_meta_of_timeflux_passes_through():
    index = pd.DatetimeIndex([T0])
    table = pd.DataFrame({"a": [1.0]}, index=index)
    frame = from_pandas(table, {"rate": 10, "epoch": {"context": "x"}})
    assert frame.rate == 10.0
    assert frame.to_pandas()[1] == {"rate": 10.0, "epoch": {"context": "x"}}


def test_epochs_as_a_table():
    values = np.arange(12.0).reshape(2, 3, 2)
    frame = EpochFrame(np.array([T0, T0 + 10]), values, ("a", "b"), [{"k": 1}, {}], np.array([T0, T0]), 100.0, -0.01)
    table, meta = frame.to_pandas()
    assert table.shape == (6, 2) and meta["epochs"] == [{"k": 1}, {}]
    assert table.index[0] == (pd.Timestamp(T0), pd.Timestamp(T0 - 10_000_000))
    np.testing.assert_array_equal(table.to_numpy().reshape(2, 3, 2), values)
