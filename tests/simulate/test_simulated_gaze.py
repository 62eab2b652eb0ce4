"""The simulated gaze: where it goes, when, and its indifference to ticks."""

import numpy as np

from volition.core import EventFrame, SignalFrame
from volition.core.events import Box, Calibration, Layout
from volition.core.node import drive
from volition.nodes.simulate.gaze import Jitter, SimulatedGaze, box_centre

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def layout(seconds: float, menu: int) -> tuple:
    boxes = [
        Box(id="1", x=100, y=100, width=200, height=100),
        Box(id="2", x=1500, y=800, width=200, height=100),
    ]
    return Layout(boxes=boxes, screen=(1920.0, 1080.0), menu=menu).at(at(seconds))


def attend(seconds: float, target: str, menu: int) -> tuple:
    return Calibration(step="attend", target=target, menu=menu).at(at(seconds))


def run(node: SimulatedGaze, ticks: list[float], *events: tuple) -> SignalFrame:
    pieces, before = [], -1
    for tick in ticks:
        given = {}
        for port, label in (("i_attend", "calibration"), ("i_layout", "layout")):
            new = [e for e in events if e[1] == label and before < e[0] <= at(tick)]
            if new:
                given[port] = EventFrame.of(*new)
        out = drive(node, now=at(tick), **given)
        pieces += [out["o"]] if "o" in out else []
        before = at(tick)
    return SignalFrame.concat(pieces)


def test_looks_at_the_attended_box_after_the_reaction_time():
    frame = run(SimulatedGaze(error=20.0, jitter=5.0, reaction=0.4), [0.0, 3.0], layout(1.0, 1), attend(1.0, "2", 1))
    seconds = (frame.times - T0) / SECOND
    before, after = frame.values[seconds < 1.1], frame.values[seconds > 2.2]
    assert np.linalg.norm(np.median(before, axis=0) - [960, 540]) < 15
    assert np.linalg.norm(np.median(after, axis=0) - [1600, 850]) < 80
    far = np.linalg.norm(frame.values - [1600, 850], axis=1) > 200
    assert 1.1 < seconds[far].max() < 2.0
    assert frame.channels == ("x", "y") and frame.unit == ("px", "px")


def test_waits_for_the_layout_of_the_menu():
    late = run(
        SimulatedGaze(reaction=0.1, error=20.0),
        [0.0, 1.0, 2.0],
        layout(0.0, 1),
        attend(0.2, "2", 2),
        layout(1.5, 2),
    )
    seconds = (late.times - T0) / SECOND
    assert np.linalg.norm(late.values[seconds < 1.5] - [960, 540], axis=1).max() < 100
    assert np.linalg.norm(np.median(late.values[seconds > 1.8], axis=0) - [1600, 850]) < 150


def test_the_same_samples_however_the_ticks_fall():
    events = [layout(0.5, 1), attend(0.5, "1", 1), layout(2.0, 2), attend(2.05, "none", 2)]
    even = run(SimulatedGaze(), list(np.arange(0, 201) * 0.02), *events)
    odd_ticks = [0.0, *np.sort(np.random.default_rng(0).uniform(0, 4, 300)).round(6).tolist(), 4.0]
    odd = run(SimulatedGaze(), odd_ticks, *events)
    np.testing.assert_array_equal(even.times, odd.times)
    np.testing.assert_array_equal(even.values, odd.values)
    assert len(even) == 241


def test_jitter_is_an_ar1_process():
    wave = Jitter(15.0, 0.8, np.random.default_rng(0))(50_000)
    np.testing.assert_allclose(wave.std(axis=0), 15.0, rtol=0.05)
    for axis in wave.T:
        assert abs(np.corrcoef(axis[:-1], axis[1:])[0, 1] - 0.8) < 0.02


def test_centres_in_normalised_layouts():
    boxes = [{"id": "a", "x": 0.25, "y": 0.5, "width": 0.5, "height": 0.2}]
    np.testing.assert_allclose(box_centre({"boxes": boxes, "unit": "norm"}, "a"), [960, 648])
    assert box_centre({"boxes": boxes, "unit": "norm"}, "b") is None
