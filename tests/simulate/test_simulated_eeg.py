"""The simulated EEG: its spectrum, its responses, and its indifference to ticks."""

import numpy as np
import pytest
from scipy.signal import welch

from volition.core import EventFrame, LoadError, SignalFrame
from volition.core.events import Calibration, Flash
from volition.core.node import drive
from volition.nodes.simulate.eeg import ATTENDED, VISUAL, SimulatedEeg, response

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
CHANNELS = ("Fz", "Cz", "P3", "Pz", "P4", "PO7", "Oz", "PO8")


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def attend(seconds: float, target: str, menu: int | None = None) -> tuple:
    return Calibration(step="attend", target=target, menu=menu).at(at(seconds))


def flash(seconds: float, *ids: str, menu: int = 1) -> tuple:
    return Flash(ids=list(ids), menu=menu).at(at(seconds))


def run(node: SimulatedEeg, ticks: list[float], *events: tuple) -> SignalFrame:
    """The samples of ticks at the given seconds, each event with the first tick that is not before it."""
    pieces, before = [], -1
    for tick in ticks:
        now = at(tick)
        given = {}
        for port, label in (("i_attend", "calibration"), ("i_flash", "flash")):
            new = [e for e in events if e[1] == label and before < e[0] <= now]
            if new:
                given[port] = EventFrame.of(*new)
        out = drive(node, now=now, **given)
        pieces += [out["o"]] if "o" in out else []
        before = now
    return SignalFrame.concat(pieces)


def test_the_same_samples_however_the_ticks_fall():
    events = (attend(0.1, "2"), flash(0.5, "2"), flash(0.7, "1"), flash(1.1, "2", "3"))
    even = run(SimulatedEeg(), list(np.arange(0, 151) * 0.02), *events)
    rng = np.random.default_rng(0)
    odd_ticks = [0.0, *np.sort(rng.uniform(0, 3, 400)).round(6).tolist(), 3.0]
    odd = run(SimulatedEeg(), odd_ticks, *events)
    np.testing.assert_array_equal(even.times, odd.times)
    np.testing.assert_array_equal(even.values, odd.values)
    assert len(even) == 3 * 256 + 1
    assert (np.diff(even.times) > 0).all()


def test_the_timer_is_set_to_its_grid():
    node = SimulatedEeg(every=0.02)
    drive(node, now=T0)
    assert node.wake == at(0.02)
    drive(node, now=at(0.031))
    assert node.wake == at(0.04)


@pytest.mark.slow
def test_background_is_pink_with_alpha_at_the_back():
    node = SimulatedEeg(noise=10.0, alpha=0.0)
    drive(node, now=T0)
    values = drive(node, now=at(240))["o"].values
    np.testing.assert_allclose(values.std(axis=0), 10.0, rtol=0.1)
    frequency, power = welch(values, 256, nperseg=1024, axis=0)
    band = (frequency >= 0.5) & (frequency <= 30)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band].mean(axis=1)), 1)[0]
    assert -1.4 < slope < -0.7
    node = SimulatedEeg(noise=1.0, alpha=5.0)
    drive(node, now=T0)
    values = drive(node, now=at(120))["o"].values
    frequency, power = welch(values, 256, nperseg=512, axis=0)
    assert abs(frequency[power[:, CHANNELS.index("Oz")].argmax()] - 10) <= 0.5
    assert abs(values[:, CHANNELS.index("Oz")].std() - np.hypot(5, 1)) < 0.6
    assert values[:, 0].std() < 0.5 * values[:, CHANNELS.index("Oz")].std()


def test_only_attended_flashes_evoke_a_p3():
    quiet = {"noise": 0.0, "alpha": 0.0, "p3": 10.0}
    ticks = [0.0, 2.0]
    frame = run(SimulatedEeg(**quiet), ticks, attend(0.0, "1", 1), flash(0.5, "1"))
    seconds = (frame.times - at(0.5)) / SECOND
    visual = 3.0 * response(CHANNELS, VISUAL, seconds)
    evoked = frame.values - visual
    shape = response(CHANNELS, ATTENDED, seconds)
    strength = (evoked * shape).sum() / (shape * shape).sum()
    np.testing.assert_allclose(evoked, strength * shape, atol=1e-9)
    assert 2.0 <= strength <= 20.0
    assert abs(seconds[frame.values[:, CHANNELS.index("Pz")].argmax()] - 0.35) < 0.01
    assert not frame.values[seconds < 0.04].any()
    for ignored in (
        (attend(0.0, "2", 1), flash(0.5, "1")),
        (attend(0.0, "1", 2), flash(0.5, "1")),
        (attend(0.6, "1", 1), flash(0.5, "1")),
        (flash(0.5, "1"),),
    ):
        np.testing.assert_allclose(run(SimulatedEeg(**quiet), ticks, *ignored).values, visual, atol=1e-9)


def test_flashes_do_not_change_the_noise_and_seeds_do():
    with_flash = run(SimulatedEeg(), [0.0, 1.0], flash(0.2, "1")).values
    without = run(SimulatedEeg(), [0.0, 1.0]).values
    times = np.arange(257) / 256 - 0.2
    np.testing.assert_allclose(with_flash - without, 3.0 * response(CHANNELS, VISUAL, times), atol=1e-6)
    other = SimulatedEeg()
    other.rng = np.random.default_rng(1)
    assert np.abs(run(other, [0.0, 1.0]).values - without).max() > 1


def test_electrodes_and_rate_are_parameters():
    node = SimulatedEeg(rate=500.0, channels=("C3", "C4"))
    assert node.infer({})["o"].channels == ("C3", "C4")
    frame = run(node, [0.0, 1.0])
    assert frame.channels == ("C3", "C4") and len(frame) == 501 and frame.unit == ("uV", "uV")
    with pytest.raises(LoadError, match="'X9'"):
        SimulatedEeg(channels=("Cz", "X9"))
