"""Gaze likelihood against SciPy's densities, and its promises about chunks, gaps and calibration."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from volition.core import EventFrame, FrameError, NodeError, SignalFrame, SignalSpec
from volition.core.node import drive
from volition.nodes.gaze.likelihood import GazeOnBox, log_ratios, scale_of

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
SCREEN = (1920.0, 1080.0)
PLACES = {"1": (480, 270), "2": (1440, 270), "3": (480, 810), "none": (1440, 810)}


def layout(menu: int | None, width: float = 200.0, height: float = 100.0) -> dict:
    boxes = [
        {"id": k, "x": x - width / 2, "y": y - height / 2, "width": width, "height": height, "text": ""}
        for k, (x, y) in PLACES.items()
    ]
    return {"boxes": boxes, "unit": "px", "screen": SCREEN} | ({} if menu is None else {"menu": menu})


def layouts(*at: tuple[float, int | None]) -> EventFrame:
    return EventFrame.of(*((T0 + round(s * SECOND), "layout", layout(menu)) for s, menu in at))


def gaze(points: np.ndarray, rate: float = 60.0, unit: str = "px", start: float = 0.0) -> SignalFrame:
    times = T0 + np.round((start + np.arange(len(points)) / rate) * SECOND).astype(np.int64)
    return SignalFrame(times, np.ascontiguousarray(points, dtype=np.float64), ("x", "y"), rate, unit)


def look(place: str, n: int, sd: float = 20.0, seed: int = 0) -> np.ndarray:
    return np.array(PLACES[place]) + np.random.default_rng(seed).normal(0, sd, (n, 2))


def totals(events: EventFrame, menu: int) -> dict[str, float]:
    sums: dict[str, float] = {}
    for _, _, data in events:
        if data["menu"] == menu:
            for option, value in data["llr"].items():
                sums[option] = sums.get(option, 0.0) + value
    return sums


def test_log_ratios_are_those_of_the_densities():
    rng = np.random.default_rng(1)
    centres, spread = rng.random((5, 2)), rng.uniform(0.02, 0.2, (5, 2))
    point, area, outliers = np.array([0.4, 0.6]), 16 / 9, 0.05
    expected = [
        np.log((1 - outliers) * multivariate_normal(c, np.diag(s**2)).pdf(point) * area + outliers)
        for c, s in zip(centres, spread, strict=True)
    ]
    np.testing.assert_allclose(log_ratios(point, centres, spread, area, outliers), expected, rtol=1e-12)
    far = log_ratios(np.array([50.0, 50.0]), centres, spread, area, outliers)
    np.testing.assert_allclose(far, np.log(outliers))


def test_evidence_is_the_joint_ratio_of_the_windows_medians():
    points = look("2", 61)
    node = GazeOnBox(delay=0.0, every=0.25, independent_every=0.25, correlation=0.4, error=0.03)
    events = drive(node, now=0, i=gaze(points), i_layout=layouts((0.0, 7)))["o"]
    assert [t - T0 for t, _, _ in events] == [SECOND // 4 * k for k in (1, 2, 3, 4)]
    centres = np.array(list(PLACES.values())) / 1080
    spread = np.sqrt(0.03**2 + np.array([200.0, 100.0]) ** 2 / 1080**2 / 12) * np.ones((4, 1))
    windows = [np.median(points[15 * k : 15 * k + 15], axis=0) / 1080 for k in range(4)]
    each = [log_ratios(w, centres, spread, 16 / 9, 0.05) for w in windows]
    for n in (1, 2, 3, 4):
        told = totals(events[:n], 7)
        np.testing.assert_allclose(list(told.values()), sum(each[:n]) / (1 + (n - 1) * 0.4), atol=1e-5)
    assert max(told, key=told.get) == "2"


@pytest.mark.parametrize("size", [1, 7, 64])
def test_chunks_do_not_matter(size):
    points = np.concatenate([look("1", 120), look("3", 90, seed=2), look("none", 150, seed=3)])
    points[40:60] = np.nan
    every_layout = layouts((0.5, 1), (2.0, 2), (3.5, None), (4.0, 3))
    whole = list(drive(GazeOnBox(), now=0, i=gaze(points), i_layout=every_layout)["o"])
    node, pieces, signal = GazeOnBox(), [], gaze(points)
    for a in range(0, len(points), size):
        chunk = signal[slice(a, a + size)]
        # Events come with the gaze of their time, as in a replay.
        low = 0 if a == 0 else int(signal.times[a - 1]) + 1
        arrived = [e for e in every_layout if low <= e[0] <= int(chunk.times[-1])]
        inputs = {"i_layout": EventFrame.of(*arrived)} if arrived else {}
        pieces += list(drive(node, now=0, i=chunk, **inputs).get("o") or [])
    assert pieces == whole
    assert {d["menu"] for _, _, d in whole} == {1, 2, 3}


def test_layouts_may_come_before_the_gaze_of_their_time():
    points = np.concatenate([look("1", 120), look("3", 120, seed=2)])
    together = GazeOnBox()
    expected = list(drive(together, now=0, i=gaze(points), i_layout=layouts((0.0, 1), (2.0, 2)))["o"])
    node = GazeOnBox()
    assert drive(node, now=0, i_layout=layouts((0.0, 1), (2.0, 2))) == {}
    assert list(drive(node, now=0, i=gaze(points))["o"]) == expected


def test_normalised_gaze_on_boxes_in_pixels():
    points = look("3", 120)
    in_px = drive(GazeOnBox(), now=0, i=gaze(points), i_layout=layouts((0.0, 1)))["o"]
    in_norm = drive(GazeOnBox(), now=0, i=gaze(points / SCREEN, unit="norm"), i_layout=layouts((0.0, 1)))["o"]
    np.testing.assert_allclose(list(totals(in_px, 1).values()), list(totals(in_norm, 1).values()), atol=1e-4)
    np.testing.assert_allclose(scale_of("norm", (1000, 500)), [2.0, 1.0])


def test_no_evidence_without_gaze_or_before_the_delay():
    blind = np.full((120, 2), np.nan)
    assert drive(GazeOnBox(), now=0, i=gaze(blind), i_layout=layouts((0.0, 1))) == {}
    away = np.full((120, 2), -5000.0)
    assert drive(GazeOnBox(), now=0, i=gaze(away), i_layout=layouts((0.0, 1))) == {}
    soon = drive(GazeOnBox(delay=5.0), now=0, i=gaze(look("1", 120)), i_layout=layouts((0.0, 1)))
    assert soon == {}
    assert drive(GazeOnBox(), now=0, i=gaze(look("1", 120)), i_layout=layouts((0.0, None))) == {}


def test_the_same_layout_again_does_not_start_anew():
    points = look("1", 120)
    once = drive(GazeOnBox(), now=0, i=gaze(points), i_layout=layouts((0.0, 1)))["o"]
    again = drive(GazeOnBox(), now=0, i=gaze(points), i_layout=layouts((0.0, 1), (0.55, 1)))["o"]
    assert list(once) == list(again)


def test_a_gap_drops_the_window_it_falls_into():
    points = look("1", 60)
    node = GazeOnBox(delay=0.0, every=0.5)
    assert drive(node, now=0, i=gaze(points[:20]), i_layout=layouts((0.0, 1))) == {}
    after = gaze(points, start=2.0)
    later = SignalFrame(after.times.copy(), after.values.copy(), ("x", "y"), 60.0, "px", segment=1)
    events = drive(node, now=0, i=later)["o"]
    assert [t - T0 for t, _, _ in events] == [2.5 * SECOND]


def test_wrong_looks_are_bounded_and_right_ones_calibrated():
    """Simulated people with the model's own error: the posterior must be as often right as it says."""
    rng = np.random.default_rng(5)
    said, right = [], []
    for _ in range(300):
        target = str(rng.choice(list(PLACES)))
        shared = rng.normal(0, 0.3 * np.sqrt(0.7), 2)
        own = rng.normal(0, 0.3 * np.sqrt(0.3), (3, 2))
        points = np.repeat((shared + own) * 1080, 15, axis=0) + PLACES[target]
        node = GazeOnBox(error=0.3, delay=0.0, every=0.25, correlation=0.7)
        events = drive(node, now=0, i=gaze(points), i_layout=layouts((0.0, 1))).get("o")
        if events is None:
            continue
        told = totals(events, 1)
        assert all(abs(v) < 8 for v in told.values())
        weights = {k: np.exp(v) for k, v in told.items()}
        best = max(weights, key=weights.get)
        said.append(weights[best] / sum(weights.values()))
        right.append(best == target)
    assert abs(np.mean(said) - np.mean(right)) < 0.06
    assert 0.5 < np.mean(right) < 0.95


def test_units_that_do_not_fit_are_refused():
    with pytest.raises(NodeError, match="deg"):
        GazeOnBox().infer({"i": SignalSpec(("x", "y"), 60.0, "deg")})
    with pytest.raises(FrameError, match="px or norm"):
        drive(GazeOnBox(), now=0, i=gaze(look("1", 3), unit=""), i_layout=layouts((0.0, 1)))
