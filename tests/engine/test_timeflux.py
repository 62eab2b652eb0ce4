"""Timeflux and Volition, both ways: their apps in our engine, our nodes under their command."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "timeflux_app" / "main.yaml"


def free_ports(n):
    """Ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [str(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.mark.slow
def test_an_existing_app_runs_unchanged(tmp_path):
    port_in, port_out = free_ports(2)
    path = tmp_path / "predictions.jsonl"
    environment = os.environ | {
        "PORT_IN": port_in,
        "PORT_OUT": port_out,
        "TRIALS": "14",
        "PREDICTIONS": str(path),
    }
    command = [sys.executable, "-m", "volition", "run", str(APP), "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + 60
        while not path.exists() or len(path.read_text().splitlines()) < 5:
            if time.monotonic() > end or process.poll() is not None:
                process.kill()
                pytest.fail(f"no predictions: {process.communicate()}")
            time.sleep(0.1)
        process.terminate()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert json.loads(out)["failures"] == []
    assert "did not stop in time" not in err
    said = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(row["result"] == row["target"] for row in said) >= 0.8 * len(said)


OURS = """
graphs:
  - id: ours
    rate: 20
    nodes:
      - {id: random, module: source_beside, class: Ramp}
      - {id: filter, module: volition.nodes.eeg.filters, class: Bandpass, params: {low: 1.0, high: 20.0}}
      - {id: file, module: source_beside, class: File, params: {path: "OUT"}}
    edges:
      - {source: random, target: filter}
      - {source: filter, target: file}
"""
BESIDE = '''
import numpy as np
import pandas as pd
from timeflux.core.exceptions import WorkerInterrupt
from timeflux.core.node import Node


class Ramp(Node):
    """Ten samples of 100 Hz an update, twenty times."""

    def __init__(self):
        self._n = 0

    def update(self):
        if self._n == 200:
            raise WorkerInterrupt("all samples are sent")
        numbers = np.arange(self._n, self._n + 10)
        self._n += 10
        times = pd.to_datetime(1_700_000_000_000_000_000 + numbers * 10_000_000)
        self.o.data = pd.DataFrame({"a": np.sin(numbers / 3), "b": np.cos(numbers / 5)}, index=times)
        self.o.meta = {"rate": 100}


class File(Node):
    """Appends rows to a file."""

    def __init__(self, path):
        self._path = path

    def update(self):
        if self.i.ready():
            self.i.data.to_csv(self._path, mode="a", header=False)
'''


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            ["-m", "timeflux"],
            marks=pytest.mark.skipif(
                sys.version_info >= (3, 12), reason="the logging of timeflux 0.17.2 does not start on Python 3.12"
            ),
        ),
        ["-m", "volition", "run"],
    ],
)
def test_our_node_among_theirs_says_the_same_under_either_program(tmp_path, program):
    import numpy as np
    import pandas as pd
    from scipy.signal import butter, sosfilt, sosfilt_zi

    out = tmp_path / "out.csv"
    (tmp_path / "source_beside.py").write_text(BESIDE)
    (tmp_path / "app.yaml").write_text(OURS.replace("OUT", str(out)))
    command = [sys.executable, *program, str(tmp_path / "app.yaml")]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    rows = pd.read_csv(out, header=None, index_col=0)
    numbers = np.arange(200)
    signal = np.stack([np.sin(numbers / 3), np.cos(numbers / 5)], axis=1)
    sos = butter(4, (1.0, 20.0), "bandpass", fs=100, output="sos")
    expected, _ = sosfilt(sos, signal, axis=0, zi=sosfilt_zi(sos)[:, :, None] * signal[0])
    assert np.allclose(rows.to_numpy(), expected)


def test_timeflux_lsl_nodes_import_though_pylsl_lost_two_names(tmp_path):
    from volition.engine.check import check

    app = tmp_path / "app.yaml"
    app.write_text(
        "graphs:\n  - nodes:\n"
        "      - {id: receive, module: timeflux.nodes.lsl, class: Receive, params: {prop: type, value: EEG}}\n"
        "      - {id: send, module: timeflux.nodes.lsl, class: Send, params: {name: out}}\n"
        "    edges:\n      - {source: receive, target: send}\n"
    )
    assert check(app) == []
