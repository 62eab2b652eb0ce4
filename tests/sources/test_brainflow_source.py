"""BrainFlow on its synthetic board, and on a board that loses packages and stops."""

from __future__ import annotations

import time

import numpy as np
import pytest

from volition.core import DeviceError, NodeError, SignalFrame
from volition.core.node import drive
from volition.core.params import build, problems
from volition.nodes.sources.brainflow import BrainFlow, Description, board_names

pytest.importorskip("brainflow")


def collect(node, n, seconds=10.0):
    frames, deadline = [], time.monotonic() + seconds
    while sum(map(len, frames)) < n and time.monotonic() < deadline:
        frames += [frame for _, frame in node.poll(0.1)]
    assert sum(map(len, frames)) >= n
    return frames


def test_the_synthetic_board_streams():
    node = BrainFlow()
    node.id = "eeg"
    node.engine_driven = True
    before = node.clock.now()
    node.open()
    try:
        frame = SignalFrame.concat(collect(node, 60))
    finally:
        node.terminate()
    after = node.clock.now()
    spec = node.infer({})["o"]
    assert (frame.channels, frame.rate, frame.unit) == (spec.channels, spec.rate, ("uV",) * 16)
    assert frame.channels[:3] == ("Fz", "C3", "Cz") and frame.rate == 250.0
    assert (np.diff(frame.times) > 0).all()
    assert before - 10**7 < frame.times[0] and frame.times[-1] < after + 10**7
    assert np.isfinite(frame.values).all() and 1 < abs(frame.values).max() < 1000  # µV, not V
    ((_, label, event),) = node.take_reports()
    assert label == "stream" and event["state"] == "opened" and event["source"] == "eeg"
    assert node.poll(10.0) == []  # closed
    node.terminate()


@pytest.mark.parametrize(
    ("board", "channels", "rate"),
    [
        ("muse_2", ("TP9", "AF7", "AF8", "TP10"), 256.0),
        ("cyton", ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"), 250.0),
        (0, ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"), 250.0),
        ("ganglion", ("eeg1", "eeg2", "eeg3", "eeg4"), 200.0),
    ],
)
def test_montages_rates_and_units_are_known_without_the_device(board, channels, rate):
    spec = BrainFlow(board).infer({})["o"]
    assert (spec.channels, spec.rate, spec.unit) == (channels, rate, "uV")


def test_channels_can_be_named_anew():
    node = BrainFlow("ganglion", channels=["Fz", "Cz", "Pz", "Oz"])
    assert node.infer({})["o"].channels == ("Fz", "Cz", "Pz", "Oz")
    with pytest.raises(NodeError, match="channels has 2 names; Ganglion has 4 channels"):
        BrainFlow("ganglion", channels=["Fz", "Cz"]).infer({})


def test_other_signals_have_no_unit_that_we_would_guess():
    spec = BrainFlow("cyton", kind="accel").infer({})["o"]
    assert spec.channels == ("accel1", "accel2", "accel3") and spec.unit == ""


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"board": "muze"}, "there is no board 'muze'; there are .*muse_2"),
        ({"board": 4711}, "there is no board 4711"),
        ({"board": "muse_2", "kind": "ecg"}, "Muse2 has no ecg in its default stream; it has eeg"),
        ({"board": "cyton", "preset": "ancillary"}, "has no ancillary stream"),
    ],
)
def test_what_a_board_does_not_have_is_named(params, sentence):
    with pytest.raises(NodeError, match=sentence):
        BrainFlow(**params).infer({})


def test_a_missing_device_is_a_sentence():
    node = BrainFlow("cyton", serial_port="/dev/volition-none")
    node.id = "eeg"
    with pytest.raises(DeviceError, match="eeg: Cyton at /dev/volition-none does not answer"):
        node.open()
    node.terminate()


def test_connection_is_checked_from_yaml():
    node = build(BrainFlow, {"board": "muse_2", "connection": {"mac_address": "aa:bb"}})
    assert node.connection.mac_address == "aa:bb"
    (problem,) = problems(BrainFlow, {"connection": {"mac": "aa:bb"}})
    assert "mac" in problem.message


class FakeBoard:
    """Gives prepared blocks of rows, then nothing."""

    def __init__(self, blocks):
        self.blocks = blocks

    def get_board_data(self, preset):
        return self.blocks.pop(0) if self.blocks else np.empty((24, 0))

    def stop_stream(self):
        pass

    def release_session(self):
        pass


class StepClock:
    """Moves 10 ms on each reading."""

    def __init__(self):
        self.time = 1_700_000_000_000_000_000

    def now(self):
        self.time += 10_000_000
        return self.time


def block(numbers, start_s=0.0):
    """Rows of a Cyton: package number, a counter as channel 1, times."""
    found = Description(0, "eeg", "default")
    numbers = np.asarray(numbers)
    rows = np.zeros((24, len(numbers)))
    rows[found.package_row] = numbers % 256
    rows[found.rows[0]] = numbers
    rows[found.time_row] = 1_700_000_000 + start_s + numbers / 250
    return rows


def fake(blocks, **params):
    node = BrainFlow("cyton", **params)
    node.clock = StepClock()
    opens = []

    def open_board():
        opens.append(node.clock.time)
        node._shim, node._heard = (
            FakeBoard(blocks if len(opens) == 1 else [block(range(900, 1000))]),
            node.clock.now(),
        )

    node._open = open_board
    node.engine_driven = True
    node.open()
    return node


def test_lost_packages_are_a_gap_and_no_sample_is_doubled():
    numbers = np.delete(np.arange(600), [300, 301])
    node = fake([block(part) for part in np.split(numbers, [7, 100, 310])])
    frames = collect(node, 598)
    node.terminate()
    assert np.concatenate([f.values[:, 0] for f in frames]).tolist() == numbers.tolist()
    assert sorted({f.segment for f in frames}) == [0, 1]
    assert next(f for f in frames if f.segment == 1).values[0, 0] == 302
    (gap,) = [event for event in node.take_reports() if event[1] == "gap"]
    assert gap[2]["reason"] == "packages are missing"
    assert gap[2]["seconds"] == pytest.approx(3 / 250)


def test_a_board_that_stops_is_lost_and_opened_anew():
    node = fake([block(range(100))], lost_after=0.5)
    frames = collect(node, 200)
    node.terminate()
    assert [f.segment for f in frames] == [0, 1]
    states = [(label, data.get("state", data.get("reason"))) for _, label, data in node.take_reports()]
    assert states == [
        ("stream", "opened"),
        ("stream", "lost"),
        ("stream", "back"),
        ("gap", "no samples for 0.5 s"),
    ]


def test_a_replay_opens_no_board():
    node = BrainFlow("cyton")
    node.replayed = True
    node.inbox.append(("o", SignalFrame(np.array([1]), np.zeros((1, 8)), tuple("abcdefgh"), 250.0, "uV")))
    assert len(drive(node)["o"]) == 1
    node.terminate()


def test_all_boards_have_names():
    names = board_names()
    assert {"synthetic", "muse_2", "muse_s", "cyton", "cyton_daisy", "ganglion"} <= set(names)
    assert names["synthetic"] == -1 and names["cyton"] == 0
