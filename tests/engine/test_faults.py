"""What happens when a device, a process or the disk fails in the middle of a recording."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from volition.sessions.reader import Session

LIVE = Path(__file__).parent / "live"
PYTHON = sys.executable


@pytest.fixture
def spawn():
    """Start processes that end with the test."""
    started = []

    def start(*command, **environment):
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def reports(session):
    """The reports in a recording, as (label, data)."""
    return [(label, data) for frame in session.streams["reports"].frames for _, label, data in frame]


@pytest.mark.slow
def test_a_stream_that_dies_and_comes_back(tmp_path, spawn):
    stream = f"volition-fault-{os.getpid()}"
    out = tmp_path / "fault.xdf"
    sender = spawn(PYTHON, str(LIVE / "sender.py"), "eeg", f"{stream}-eeg")
    spawn(PYTHON, str(LIVE / "sender.py"), "flash", f"{stream}-flash")
    command = [PYTHON, "-m", "volition", "record", str(LIVE / "streams.yaml"), "--out", str(out), "--json"]
    recorder = spawn(*command, "--seconds", "14", STREAM=stream)
    end = time.monotonic() + 30
    while not (out.exists() and out.stat().st_size > 20_000):
        assert time.monotonic() < end and recorder.poll() is None
        time.sleep(0.05)
    sender.kill()
    sender.communicate()
    time.sleep(2.0)  # the device is away; real time passes in the other processes
    spawn(PYTHON, str(LIVE / "sender.py"), "eeg", f"{stream}-eeg")
    answer, errors = recorder.communicate(timeout=60)
    assert recorder.returncode == 0, errors
    assert json.loads(answer)["failures"] == []
    session = Session.open(out)
    told = reports(session)
    states = [data["state"] for label, data in told if label == "stream" and data["source"] == "eeg"]
    assert states == ["opened", "lost", "back"], told
    gaps = [data for label, data in told if label == "gap" and data["source"] == "eeg"]
    assert len(gaps) == 1 and 1.0 < gaps[0]["seconds"] < 8.0
    dropped = [data for label, data in told if label == "dropped" and data["source"] == "epochs"]
    assert sum(data["count"] for data in dropped) > 0
    pieces = session.streams["eeg"].frames
    assert len(pieces) == 2  # nothing is joined across the hole
    for piece in pieces:
        counts = piece.values[:, 0]
        assert (counts[1:] - counts[:-1] == 1).all()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").exists() or os.geteuid() != 0, reason="mounts a tiny file system")
def test_a_full_disk_is_a_clear_error_and_the_file_is_readable(tmp_path, spawn):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        command = [
            PYTHON,
            "-m",
            "volition",
            "record",
            str(LIVE / "two.yaml"),
            "--out",
            str(small / "a.xdf"),
            "--json",
        ]
        fast = ["--set", "counter.rate=4000"]
        process = spawn(*command, *fast, "--seconds", "8", OUT=str(tmp_path / "out.jsonl"))
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "No space left" in errors and "Traceback" not in errors
        session = Session.open(small / "a.xdf")
        counts = session.streams["counter"].frames[0].values[:, 0]
        assert len(counts) > 1000 and (counts == range(len(counts))).all()
    finally:
        subprocess.run(["umount", str(small)], check=True)
