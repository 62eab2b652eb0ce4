"""Apps run for real: processes, the bus, crashes, signals."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LIVE = Path(__file__).parent / "live"
pytestmark = pytest.mark.slow
PROCESSES: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def ended():
    """Ends what a failed test has left running."""
    yield
    while PROCESSES:
        process = PROCESSES.pop()
        if process.poll() is None:
            process.kill()
        process.communicate()


def start(app, tmp_path, *arguments):
    """``volition run`` of an app in ``live``; the process."""
    environment = {**os.environ, "OUT": str(tmp_path / "out.jsonl"), "MARKER": str(tmp_path / "marker")}
    command = [sys.executable, "-m", "volition", "run", str(LIVE / app), *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    PROCESSES.append(process)
    return process


def finish(process, timeout=30):
    """Exit code, stdout and stderr of a process that ends by itself."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def lines(tmp_path):
    """What ``ToFile`` wrote."""
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def wait_for(condition, seconds=15.0):
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def started(tmp_path):
    """Whether data have reached the file."""
    path = tmp_path / "out.jsonl"
    return path.exists() and "counts" in path.read_text()


def graph_processes(process):
    """Pids of the processes of the graphs, by the memory of their command lines."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_nothing_is_lost_between_graphs_not_even_the_first_message(tmp_path):
    code, out, err = finish(start("two.yaml", tmp_path, "--seconds", "1.5", "--json"))
    assert code == 0, err
    answer = json.loads(out)
    assert answer["failures"] == [] and answer["dropped"] == 0
    written = lines(tmp_path)
    counts = [c for line in written for c in line.get("counts", [])]
    assert counts == list(range(len(counts))) and len(counts) > 100
    assert [e["state"] for line in written for e in line.get("events", [])] == ["first"]
    assert written[-1] == {"terminated": True}


def test_a_node_that_raises_restarts_its_graph_and_the_others_go_on(tmp_path):
    code, out, err = finish(start("crash.yaml", tmp_path, "--seconds", "3", "--json"))
    assert code == 1
    answer = json.loads(out)
    assert len(answer["failures"]) == 1
    assert "graph shaky: raises: ValueError: counted too far; it starts again in 0.5 s" in answer["failures"][0]
    assert "Traceback" not in err
    counts = [c for line in lines(tmp_path) for c in line.get("counts", [])]
    assert counts == list(range(len(counts))) and len(counts) > 400


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order_within_two_seconds(tmp_path, number):
    process = start("two.yaml", tmp_path)
    wait_for(lambda: started(tmp_path))
    children = graph_processes(process)
    assert len(children) == 2
    begin = time.monotonic()
    process.send_signal(number)
    code, _, err = finish(process)
    assert time.monotonic() - begin < 2.0
    assert code == 0, err
    assert lines(tmp_path)[-1] == {"terminated": True}
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the graph's process in /proc")
def test_a_killed_graph_comes_back(tmp_path):
    process = start("two.yaml", tmp_path, "--seconds", "4", "--json")
    wait_for(lambda: started(tmp_path))
    os.kill(graph_processes(process)[0], signal.SIGKILL)
    code, _, err = finish(process)
    assert code == 1
    assert "ended by SIGKILL; it starts again" in err
    pids = {e["pid"] for line in lines(tmp_path) for e in line.get("events", [])}
    assert len(pids) == 2  # the first event of either life has arrived
    counts = [c for line in lines(tmp_path) for c in line.get("counts", [])]
    assert counts.count(0) == 2


def test_graphs_end_when_the_supervisor_is_killed(tmp_path):
    process = start("two.yaml", tmp_path)
    wait_for(lambda: started(tmp_path))
    children = graph_processes(process)
    process.kill()
    process.communicate(timeout=10)
    wait_for(lambda: not any(_runs(pid) for pid in children))


def _runs(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_wrong_app_is_refused_before_anything_runs(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("graphs:\n  - nodes:\n      - {id: a, module: volition.nodes.eeg.filters, class: Bandpas}\n")
    command = [sys.executable, "-m", "volition", "run", str(wrong)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 2
    assert "Bandpas" in answer.stderr and "Traceback" not in answer.stderr
