"""The engagement index against scipy, its windows and its baseline."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.core.errors import NodeError
from volition.core.frames import SignalFrame
from volition.core.node import drive
from volition.core.ports import EventsSpec, SignalSpec
from volition.nodes.eeg.engagement import Engagement

RATE = 128.0
STEP = 7_812_500  # ns
CHANNELS = ("Cz", "Pz")


def frame(values: np.ndarray, first: int = 0, segment: int = 0, rate: float = RATE) -> SignalFrame:
    times = (first + np.arange(len(values))) * STEP
    return SignalFrame(times, values.copy(), CHANNELS, rate, "uV", segment)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2)) * 10 + [100.0, -50.0]


def collect(node: Engagement, values: np.ndarray, sizes: list[int]) -> list[tuple]:
    events, first = [], 0
    for size in [*sizes, len(values)]:
        piece = values[first : first + size]
        if len(piece):
            events += list(drive(node, i=frame(piece, first)).get("o", ()))
        first += size
    return events


def reference(window: np.ndarray) -> float:
    frequencies, power = scipy.signal.periodogram(window, RATE, window="hann", detrend="constant", axis=0)
    total = power.sum(axis=1)

    def band(low: float, high: float) -> float:
        return float(total[(frequencies >= low) & (frequencies < high)].sum())

    return band(13, 22) / (band(8, 13) + band(4, 8))


def test_equals_scipy_window_by_window():
    values = noise(1000)
    events = collect(Engagement(window=2.0, step=0.5, baseline=0.0), values, [26] * 30)
    assert [time for time, _, _ in events] == [(255 + 64 * k) * STEP for k in range(12)]
    expected = [reference(values[64 * k : 64 * k + 256]) for k in range(12)]
    np.testing.assert_allclose([data["index"] for _, _, data in events], expected, rtol=1e-10)
    assert all("z" not in data for _, _, data in events)


def test_rises_with_beta_and_falls_with_alpha():
    times = np.arange(256) / RATE

    def index(frequency: float) -> float:
        values = noise(256) + 30 * np.sin(2 * np.pi * frequency * times)[:, None]
        return collect(Engagement(baseline=0.0), values, [])[0][2]["index"]

    assert index(18.0) > 5 > 0.5 > index(10.0)


def test_z_is_against_the_first_windows():
    events = collect(Engagement(window=1.0, step=0.5, baseline=5.0), noise(2000), [100])
    logs = np.log([data["index"] for _, _, data in events])
    z = [data.get("z") for _, _, data in events]
    assert z[:10] == [None] * 10
    expected = (logs[10:] - logs[:10].mean()) / logs[:10].std(ddof=1)
    np.testing.assert_allclose(z[10:], expected, rtol=1e-9)


@given(sizes=st.lists(st.integers(1, 300), max_size=30), step=st.sampled_from([0.25, 0.5, 1.0, 1.7]))
@settings(max_examples=30, deadline=None)
def test_same_events_however_the_stream_is_cut(sizes, step):
    values = noise(1500)
    values[700] = np.nan
    whole = collect(Engagement(window=1.0, step=step, baseline=3.0), values, [])
    assert collect(Engagement(window=1.0, step=step, baseline=3.0), values, sizes) == whole
    assert whole


def test_a_window_with_nan_gives_nothing():
    values = noise(512)
    values[300, 1] = np.nan
    events = collect(Engagement(window=1.0, step=1.0, baseline=0.0), values, [])
    assert [time for time, _, _ in events] == [127 * STEP, 255 * STEP, 511 * STEP]
    assert collect(Engagement(channels=["Cz"], window=1.0, step=1.0, baseline=0.0), values, [])[2][0] == 383 * STEP


def test_a_gap_begins_a_window_and_keeps_the_baseline():
    node = Engagement(window=1.0, step=0.5, baseline=1.0)
    values = noise(600)
    drive(node, i=frame(values[:300]))
    after = drive(node, i=frame(values[300:600], 400, segment=1))["o"]
    assert after.times[0] == (400 + 127) * STEP
    assert "z" in after.data[0]
    np.testing.assert_allclose(after.data[0]["index"], reference(values[300:428]))
    changed = SignalFrame((1000 + np.arange(300)) * STEP, noise(300)[:, :1].copy(), ("Cz",), RATE, "uV", 1)
    assert "z" not in drive(node, i=changed)["o"].data[0]


def test_silence_gives_nothing():
    assert collect(Engagement(), np.zeros((600, 2)), [50]) == []
    assert drive(Engagement()) == {}


def test_what_does_not_do_is_said():
    spec = SignalSpec(CHANNELS, RATE, "uV")
    assert Engagement().infer({"i": spec}) == {"o": EventsSpec(("engagement",))}
    with pytest.raises(NodeError, match="no channel 'Oz'; it has 'Cz', 'Pz'"):
        Engagement(channels=["Oz"]).infer({"i": spec})
    with pytest.raises(NodeError, match="more than 44 Hz"):
        Engagement().infer({"i": SignalSpec(CHANNELS, 40.0)})
    with pytest.raises(NodeError, match="too short"):
        Engagement(window=0.1).infer({"i": spec})
    with pytest.raises(NodeError, match="more than 44 Hz"):
        drive(Engagement(), i=frame(noise(10), rate=20.0))
