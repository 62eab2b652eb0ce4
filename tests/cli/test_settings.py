"""``--set`` replaces parameters, and says so when it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIVE = Path(__file__).parent.parent / "engine" / "live"


def run(tmp_path, *arguments):
    """``volition run`` of a small app."""
    command = [sys.executable, "-m", "volition", "run", str(LIVE / "two.yaml"), *arguments]
    environment = {**os.environ, "OUT": str(tmp_path / "out.jsonl")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_a_parameter_is_replaced(tmp_path):
    answer = run(tmp_path, "--set", "once.text=second", "--seconds", "0.5", "--json")
    assert answer.returncode == 0, answer.stderr
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    events = [e for line in lines for e in json.loads(line).get("events", [])]
    assert [e["state"] for e in events] == ["second"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("onse.text=second", "no node 'onse' in two.yaml; did you mean 'once'?"),
        ("once.txet=second", "no parameter 'txet'"),
        ("counter.rate=-1", "greater than 0"),
        ("once.text", "write it as node.parameter=value"),
    ],
)
def test_what_cannot_be_replaced_is_said(tmp_path, setting, sentence):
    answer = run(tmp_path, "--set", setting, "--seconds", "0.5")
    assert answer.returncode == 2
    assert sentence in answer.stderr and "Traceback" not in answer.stderr
