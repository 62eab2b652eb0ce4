"""Filters against scipy on the whole array, and what they promise about chunks, offsets, NaN and gaps."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.core.errors import NodeError
from volition.core.frames import SignalFrame
from volition.core.node import drive
from volition.core.ports import SignalSpec
from volition.nodes.eeg.filters import (
    Bandpass,
    Notch,
    SosFilter,
    bandpass_sections,
    fastest_filter,
    filter_with_public_scipy,
)

RATE = 256.0
CHANNELS = ("counter", "Fz", "Cz")


def signal(n: int, seed: int = 0) -> np.ndarray:
    """A sample counter and two noisy channels, one with a large offset, shape (n, 3)."""
    noise = np.random.default_rng(seed).normal(size=(n, 2)) * 10
    return np.column_stack([np.arange(n, dtype=float), noise[:, 0], noise[:, 1] + 40_000.0])


def frame(values: np.ndarray, first: int = 0, segment: int = 0, rate: float = RATE) -> SignalFrame:
    times = ((first + np.arange(len(values))) * 1e9 / rate).astype(np.int64)
    return SignalFrame(times, values.copy(), CHANNELS, rate, "uV", segment)


def run(node: Bandpass | Notch, values: np.ndarray, sizes: list[int]) -> np.ndarray:
    parts, first = [], 0
    for size in [*sizes, len(values)]:
        piece = values[first : first + size]
        if len(piece):
            parts.append(drive(node, i=frame(piece, first))["o"].values)
        first += size
    return np.concatenate(parts)


def reference(sos: np.ndarray, values: np.ndarray) -> np.ndarray:
    steady = scipy.signal.sosfilt_zi(sos)[:, :, None] * values[0]
    return scipy.signal.sosfilt(sos, values, axis=0, zi=steady)[0]


def test_bandpass_equals_scipy_on_the_whole_array():
    values = signal(1000)
    sos = scipy.signal.butter(4, [0.5, 12], "bandpass", fs=RATE, output="sos")
    np.testing.assert_array_equal(run(Bandpass(0.5, 12.0), values, [26] * 40), reference(sos, values))


def test_notch_equals_scipy_and_takes_the_hum_out():
    times = np.arange(4096) / RATE
    values = np.column_stack([np.sin(2 * np.pi * f * times) for f in (10.0, 50.0, 60.0)])
    sos = scipy.signal.tf2sos(*scipy.signal.iirnotch(50.0, 30.0, fs=RATE))
    filtered = run(Notch(50.0, 30.0), values, [100])
    np.testing.assert_array_equal(filtered, reference(sos, values))
    left = filtered[2048:].std(axis=0) / values[2048:].std(axis=0)
    assert left[1] < 1e-3
    assert left[[0, 2]] == pytest.approx(1.0, abs=0.02)


@given(sizes=st.lists(st.integers(1, 90), max_size=40), holes=st.lists(st.integers(0, 899), max_size=12))
@settings(max_examples=40, deadline=None)
def test_same_bits_however_the_stream_is_cut(sizes, holes):
    values = signal(300)
    for hole in holes:
        values[hole % 300, hole // 300] = np.nan if hole % 2 else np.inf
    whole = run(Bandpass(1.0, 30.0), values, [])
    np.testing.assert_array_equal(run(Bandpass(1.0, 30.0), values, sizes), whole)


def test_float32_is_computed_in_float64():
    values = signal(200).astype(np.float32)
    filtered = run(Bandpass(1.0, 30.0), values, [7, 64])
    assert filtered.dtype == np.float64
    np.testing.assert_array_equal(filtered, run(Bandpass(1.0, 30.0), values.astype(np.float64), []))


def test_an_offset_makes_no_transient():
    constant = np.full((2000, 3), 123_456.0)
    assert np.abs(run(Bandpass(0.5, 12.0), constant, [26] * 10)).max() < 1e-4


def test_a_nan_is_a_hole_in_the_output_and_a_held_value_inside():
    values = signal(400)
    values[100:103, 1] = np.nan
    values[0:5, 2] = np.nan
    filtered = run(Bandpass(1.0, 30.0), values, [50, 51])
    np.testing.assert_array_equal(np.isnan(filtered), np.isnan(values))
    sos = bandpass_sections(1.0, 30.0, 4, RATE)
    held = values.copy()
    held[100:103, 1] = values[99, 1]
    np.testing.assert_array_equal(filtered[103:, 1], reference(sos, held)[103:, 1])
    np.testing.assert_array_equal(filtered[5:, 2], reference(sos, values[5:])[:, 2])


def test_a_channel_without_any_value_gives_nan_and_leaves_the_others_alone():
    values = signal(100)
    whole = run(Bandpass(1.0, 30.0), values, [])
    values[:, 1] = np.nan
    filtered = run(Bandpass(1.0, 30.0), values, [10, 20])
    assert np.isnan(filtered[:, 1]).all()
    np.testing.assert_array_equal(filtered[:, [0, 2]], whole[:, [0, 2]])


def test_starts_anew_after_a_gap_and_at_another_rate():
    values = signal(300)
    node = Bandpass(1.0, 30.0)
    drive(node, i=frame(values[:100]))
    after_gap = drive(node, i=frame(values[100:200], 120, segment=1))["o"]
    assert after_gap.segment == 1
    np.testing.assert_array_equal(after_gap.values, run(Bandpass(1.0, 30.0), values[100:200], []))
    slower = drive(node, i=frame(values[200:], 400, segment=1, rate=128.0))["o"]
    sos = bandpass_sections(1.0, 30.0, 4, 128.0)
    np.testing.assert_array_equal(slower.values, reference(sos, values[200:]))


def test_keeps_stream_and_input():
    values = signal(50)
    given_frame = frame(values)
    out = drive(Bandpass(), i=given_frame)["o"]
    assert (out.channels, out.rate, out.unit) == (CHANNELS, RATE, ("uV",) * 3)
    np.testing.assert_array_equal(out.times, given_frame.times)
    np.testing.assert_array_equal(given_frame.values, values)
    assert not np.shares_memory(out.values, given_frame.values)


def test_empty_and_missing_input_change_nothing():
    node, values = Bandpass(), signal(60)
    assert drive(node) == {}
    first = drive(node, i=frame(values[:30]))["o"].values
    assert drive(node, i=frame(values[:0])) == {}
    second = drive(node, i=frame(values[30:], 30))["o"].values
    np.testing.assert_array_equal(np.concatenate([first, second]), run(Bandpass(), values, []))


@pytest.mark.parametrize(
    ("node", "rate", "said"),
    [
        (Bandpass(1.0, 128.0), 256.0, "128 Hz must lie below 128 Hz"),
        (Bandpass(12.0, 1.0), 256.0, "must lie below high"),
        (Bandpass(1.0, 12.0), 0.0, "irregular"),
        (Notch(60.0), 100.0, "60 Hz must lie below 50 Hz"),
    ],
)
def test_what_cannot_be_filtered_is_said_before_running_and_when_running(node, rate, said):
    with pytest.raises(NodeError, match=said):
        node.infer({"i": SignalSpec(CHANNELS, rate, "uV")})
    piece = SignalFrame(np.arange(3, dtype=np.int64), np.zeros((3, 3)), CHANNELS, rate, "uV")
    with pytest.raises(NodeError, match=said):
        drive(node, i=piece)


def test_infers_the_input():
    spec = SignalSpec(("Fz",), 256.0, "uV")
    assert Bandpass(1.0, 12.0).infer({"i": spec}) == {"o": spec}
    assert Bandpass(1.0, 12.0).infer({"i": SignalSpec()}) == {"o": SignalSpec()}


def test_the_inner_loop_of_scipy_equals_its_public_function():
    sos = bandpass_sections(0.5, 12.0, 4, RATE)
    ours, public = signal(500).T.copy(), signal(500).T.copy()
    state, public_state = np.ones((3, 4, 2)), np.ones((3, 4, 2))
    fastest_filter()(sos, ours, state)
    filter_with_public_scipy(sos, public, public_state)
    np.testing.assert_array_equal(ours, public)
    np.testing.assert_array_equal(state, public_state)


def test_works_without_the_inner_loop_of_scipy(monkeypatch):
    values = signal(200)
    expected = SosFilter(bandpass_sections(1.0, 30.0, 4, RATE))(values)
    monkeypatch.setattr("scipy.signal._sosfilt._sosfilt", lambda sos, signals, state: None)
    fastest_filter.cache_clear()
    try:
        assert fastest_filter() is filter_with_public_scipy
        np.testing.assert_array_equal(SosFilter(bandpass_sections(1.0, 30.0, 4, RATE))(values), expected)
    finally:
        fastest_filter.cache_clear()
