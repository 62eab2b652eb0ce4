"""The recording node."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from volition.core import (
    EpochFrame,
    EpochsSpec,
    EventFrame,
    EventsSpec,
    NodeError,
    SessionError,
    SignalFrame,
    SignalSpec,
)
from volition.core.clock import LiveClock, VirtualClock
from volition.core.node import drive
from volition.nodes.outputs.record import Record
from volition.sessions import Session, write_manifest

T0 = 1_764_000_000_000_000_000


def counted(first: int, n: int) -> SignalFrame:
    values = np.arange(first, first + n, dtype=np.float64)[:, None]
    return SignalFrame(T0 + np.arange(first, first + n) * 4_000_000, values, ("count",), 250.0, "uV")


def recorder(path: Path) -> Record:
    node = Record(str(path))
    node.id = "record"
    node.clock = VirtualClock(T0)
    return node


def test_every_input_becomes_a_stream_with_no_sample_lost(tmp_path: Path) -> None:
    node = recorder(tmp_path / "r.xdf")
    key = EventFrame.of((T0 + 5, "key", {"key": "a"}))
    rng = np.random.default_rng(3)
    at = 0
    while at < 2000:
        n = int(rng.integers(1, 60))
        frames = {"i_eeg": counted(at, n)} if at else {"i_eeg": counted(at, n), "i_keys": key}
        assert drive(node, T0 + (at + n) * 4_000_000, **frames) == {}
        at += n
    node.terminate()
    node.terminate()
    session = Session.open(tmp_path / "r.xdf")
    assert {n: (s.kind, s.type) for n, s in session.streams.items()} == {
        "eeg": ("signal", "EEG"),
        "keys": ("events", "Markers"),
    }
    (eeg,) = session.stream("eeg").frames
    assert np.array_equal(eeg.values[:, 0], np.arange(at))
    assert list(session.stream("keys").events) == list(key)
    assert session.manifest["ended"] == "clean" and session.notes == []
    with pytest.raises(NodeError, match="closed"):
        drive(node, T0, i_eeg=counted(0, 1))


def test_what_waits_is_written_within_a_second(tmp_path: Path) -> None:
    path = tmp_path / "r.xdf"
    node = recorder(path)
    drive(node, T0, i_eeg=counted(0, 10))
    assert node.wake == T0 + 5 * 10**8
    drive(node, T0 + 10**8)
    assert node.wake == T0 + 5 * 10**8
    drive(node, T0 + 5 * 10**8)
    assert node.wake is None
    assert len(Session.open(path).stream("eeg")) == 10
    node.terminate()


def test_an_older_recording_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "r.xdf"
    path.write_bytes(b"precious")
    node = recorder(path)
    drive(node, T0, i_eeg=counted(0, 10))
    ((_, label, data),) = node.take_reports()
    assert (label, data["detail"]) == ("state", {"path": str(tmp_path / "r-2.xdf")})
    node.terminate()
    assert path.read_bytes() == b"precious"
    assert len(Session.open(tmp_path / "r-2.xdf").stream("eeg")) == 10


def test_epochs_are_refused_once(tmp_path: Path) -> None:
    node = recorder(tmp_path / "r.xdf")
    times = np.array([T0])
    for _ in range(2):
        epochs = EpochFrame(times, np.zeros((1, 4, 1)), ("a",), [{}], times + 1, 4.0)
        drive(node, T0, i_epochs=epochs)
    assert [label for _, label, _ in node.take_reports()] == ["state", "dropped"]
    node.terminate()
    with pytest.raises(NodeError, match="carries epochs"):
        node.infer({"i_x": EpochsSpec()})
    with pytest.raises(NodeError, match=r"NAME\.xdf"):
        Record("here.csv").infer({})
    assert node.infer({"i_x": SignalSpec(), "i_y": EventsSpec()}) == {}


def test_full_disk_stops_the_graph_and_keeps_the_file(tmp_path: Path, monkeypatch) -> None:
    node = recorder(tmp_path / "r.xdf")
    drive(node, T0, i_eeg=counted(0, 500))
    drive(node, T0 + 2 * 10**9)
    node.take_reports()

    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(SessionError, match="the disk is full"):
        drive(node, T0 + 3 * 10**9, i_eeg=counted(500, 500))
    monkeypatch.undo()
    ((_, label, data),) = node.take_reports()
    assert label == "error" and "the disk is full" in data["message"]
    node.terminate()
    assert len(Session.open(tmp_path / "r.xdf").stream("eeg")) == 500


def test_the_run_clock_is_the_file_clock_and_its_drift_is_kept(tmp_path: Path) -> None:
    node = recorder(tmp_path / "r.xdf")
    node.clock = LiveClock(T0 - 50 * 10**9)
    write_manifest(tmp_path / "r.xdf", {"app": "graphs: []", "seeds": {"person": 1}, "ended": "clean"})
    drive(node, T0, i_eeg=counted(0, 10))
    drive(node, T0 + 61 * 10**9)
    node.terminate()
    manifest = Session.open(tmp_path / "r.xdf").manifest
    assert manifest["utc_offset_ns"] == T0 - 50 * 10**9
    assert (manifest["app"], manifest["seeds"], manifest["format"]) == ("graphs: []", {"person": 1}, 1)
    assert [at for at, _ in manifest["clock_drift"]] == [T0, T0 + 61 * 10**9]


def test_a_replay_records_nothing(tmp_path: Path) -> None:
    node = recorder(tmp_path / "r.xdf")
    node.muted = True
    drive(node, T0, i_eeg=counted(0, 10))
    node.terminate()
    assert list(tmp_path.iterdir()) == []
