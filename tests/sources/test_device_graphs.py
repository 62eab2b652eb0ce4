"""graphs/muse.yaml and graphs/openbci.yaml: checked, and run on BrainFlow's synthetic board."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import zmq

from volition.core.lsl import configure
from volition.core.places import shipped
from volition.engine.load import load_with_problems
from volition.nodes.sources.lsl import LslInlet

pytest.importorskip("brainflow")

GRAPHS = ["muse", "openbci"]


@pytest.mark.parametrize("name", GRAPHS)
def test_the_graph_is_well_formed(name):
    app, problems = load_with_problems(shipped("graphs") / f"{name}.yaml")
    assert app is not None and problems == []


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_the_graph_runs_on_the_synthetic_board(name):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    stream = f"volition-{name}-{os.getpid()}"
    settings = ["eeg.board=synthetic", f"publish.address={address}", f"raw.name={stream}"]
    command = [
        sys.executable,
        "-m",
        "volition",
        "run",
        str(shipped("graphs") / f"{name}.yaml"),
        "--seconds",
        "30",
    ]
    command += [argument for setting in settings for argument in ("--set", setting)]
    configure(False, "tests")
    context = zmq.Context()
    events = context.socket(zmq.SUB)
    events.subscribe(b"engagement")
    events.connect(address)
    raw = LslInlet(name=stream)
    raw.open()
    process = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        frames = []
        deadline = time.monotonic() + 25
        while sum(map(len, frames)) < 250 and time.monotonic() < deadline:
            frames += [frame for _, frame in raw.poll(0.1)]
        assert sum(map(len, frames)) >= 250
        assert frames[0].channels[:2] == ("Fz", "C3") and frames[0].unit[0] == "uV" and frames[0].rate == 250.0
        assert {frame.segment for frame in frames} == {0}
        assert all((np.diff(frame.times) > 0).all() for frame in frames)
        assert events.poll(20_000), "no engagement event within 20 s"
        label, body = events.recv_multipart()
        event = json.loads(body)
        assert label == b"engagement" and event["source"] == "engagement" and event["data"]["index"] > 0
    finally:
        process.terminate()
        out, err = process.communicate(timeout=10)
        raw.terminate()
        events.close(linger=0)
        context.term()
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["failures"] == []
