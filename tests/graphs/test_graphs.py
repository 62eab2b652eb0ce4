"""The apps that ship: each passes the check, and runs on simulated people or on a recording."""

import json
import subprocess
import sys

import numpy as np
import pytest

from volition.core import EventFrame, SignalFrame
from volition.core.places import shipped
from volition.engine.check import check
from volition.engine.replay import replay
from volition.lab.simulate import erp_calibration
from volition.sessions.reader import Session

GRAPHS = sorted(shipped("graphs").glob("*.yaml"))
RECORDING = shipped("recordings") / "autocomplete.xdf"


def volition(*arguments, timeout=110):
    """The JSON answer of a command that must succeed."""
    command = [sys.executable, "-m", "volition", *map(str, arguments), "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda path: path.stem)
def test_every_graph_passes_the_check(graph):
    assert check(graph) == []


@pytest.mark.slow
def test_the_demo_writes_what_the_simulated_person_wants():
    answer = volition("demo", "--headless", "--phrase", "thank you for your help")
    assert [p["phrase"] for p in answer["phrases"]] == ["thank you for your help"]
    assert [text.strip() for text in answer["text"]] == ["thank you for your help"]
    assert answer["errors"] == 0
    assert 2 <= answer["selections"] <= 15
    assert answer["seconds"] < 60


@pytest.fixture(scope="module")
def cued():
    """A short simulated P300 session."""
    return erp_calibration(menus=6, rounds=3)


def test_p300_finds_what_the_simulated_person_attends_to(cued):
    result = replay(_graph("p300"), cued, taps=[("fusion", "o_posterior")])
    last = {e[2]["menu"]: e[2]["p"] for e in result.events("fusion", "o_posterior")}
    wanted = {d["menu"]: d["target"] for _, _, d in cued["cue"]}
    found = {menu: max(p, key=p.get) for menu, p in last.items()}
    assert len(found) == 6
    assert sum(found[menu] == wanted[menu] for menu in found) >= 5


def _graph(name):
    return shipped("graphs") / f"{name}.yaml"


def gaze_session():
    """Gaze at sixty hertz that rests on one of four boxes after another."""
    rng = np.random.default_rng(3)
    start, centres = 1_700_000_000_000_000_000, [(0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)]
    boxes = [
        {"id": str(k), "x": x - 0.1, "y": y - 0.1, "width": 0.2, "height": 0.2} for k, (x, y) in enumerate(centres)
    ]
    numbers = np.arange(60 * 12)
    looked = np.array(centres)[(numbers // 180) % 4]
    values = looked + rng.normal(scale=0.02, size=(len(numbers), 2))
    times = start + np.round(numbers / 60 * 1e9).astype(np.int64)
    layouts = [(start + k * 3_000_000_000, "layout", {"boxes": boxes, "unit": "norm", "menu": k}) for k in range(4)]
    return {"gaze": SignalFrame(times, values, ("x", "y"), 60.0, "norm"), "layout": EventFrame.of(*layouts)}


def test_gaze_finds_the_box_that_is_looked_at():
    result = replay(_graph("gaze"), gaze_session(), taps=[("fusion", "o_posterior")])
    last = {e[2]["menu"]: e[2]["p"] for e in result.events("fusion", "o_posterior")}
    assert {menu: max(p, key=p.get) for menu, p in last.items()} == {k: str(k) for k in range(4)}


def test_engagement_follows_the_rhythm_of_the_signal():
    rng = np.random.default_rng(5)
    numbers = np.arange(256 * 40)
    rhythm = np.where(
        numbers < 256 * 20, np.sin(2 * np.pi * 10 * numbers / 256), np.sin(2 * np.pi * 20 * numbers / 256)
    )
    values = rng.normal(size=(len(numbers), 4)) + 10 * rhythm[:, None]
    times = 1_700_000_000_000_000_000 + np.round(numbers / 256 * 1e9).astype(np.int64)
    eeg = SignalFrame(times, values, ("TP9", "AF7", "AF8", "TP10"), 256.0, "uV")
    result = replay(_graph("engagement"), {"eeg": eeg}, taps=[("engagement", "o")])
    values = {e[0]: e[2]["index"] for e in result.events("engagement")}
    relaxed = [v for t, v in values.items() if t < times[256 * 18]]
    engaged = [v for t, v in values.items() if t > times[256 * 24]]
    assert max(relaxed) < min(engaged)


@pytest.mark.parametrize("name", ["p300", "gaze"])
def test_without_feedback_the_tick_does_not_matter(name, cued):
    session = cued if name == "p300" else gaze_session()
    digests = {replay(_graph(name), session, chunk=chunk).sha256 for chunk in (10, 26, 256)}
    assert len(digests) == 1


@pytest.mark.slow
def test_the_shipped_session_replays_to_the_same_bytes_however_it_was_stored():
    first = volition("replay", RECORDING, "--graph", _graph("autocomplete"))
    second = volition("replay", RECORDING, "--graph", _graph("autocomplete"))
    assert first["sha256"] == second["sha256"]
    session = Session.open(RECORDING)
    torn = {
        name: [frame[k : k + 7] for frame in stream.frames for k in range(0, len(frame), 7)]
        for name, stream in session.streams.items()
    }
    assert replay(_graph("autocomplete"), torn).sha256 == first["sha256"]
