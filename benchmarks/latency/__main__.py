"""``python -m benchmarks.latency [--json] [--runs 5] [--seconds 20]``: LSL to LSL, four ways.

Latency is measured from outside, in one process, from stamps that one sender makes. A run of each contender
follows a run of each other, so that a slow minute of the machine hits all; the figures are medians over runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pylsl

from benchmarks.latency.measure import Figures, latencies
from benchmarks.latency.sender import RATE
from benchmarks.peers import python as peers_python
from benchmarks.report import show
from volition.core.lsl import configure

HERE = Path(__file__).parent
NAMES = ("bare", "ours", "ezmsg", "timeflux")


def commands(source: str, target: str) -> dict[str, list[str] | str]:
    """The command line of each contender, or why there is none."""
    timeflux = Path(sys.executable).parent / "timeflux"
    peers = peers_python()
    return {
        "bare": [sys.executable, str(HERE / "bare.py"), source, target],
        "ours": [sys.executable, "-m", "volition", "run", str(HERE / "ours.yaml")],
        "ezmsg": (
            [str(peers), str(HERE / "ezmsg_graph.py"), source, target]
            if peers is not None
            else "not installed: python -m benchmarks.peers"
        ),
        "timeflux": ([str(timeflux), str(HERE / "timeflux.yaml")] if timeflux.exists() else f"{timeflux} is missing"),
    }


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process of its own session, with the file that its messages go to; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with log.open("wb") as messages:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
                start_new_session=True,
            )
        try:
            yield process, log
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def contend(name: str, source: str, run: int, seconds: float) -> Figures | str:
    """One run of one contender; a sentence when it cannot."""
    target = f"{source}-{name}-{run}"
    command = commands(source, target)[name]
    if isinstance(command, str):
        return command
    with running(command, {"LATENCY_IN": source, "LATENCY_OUT": target}) as (process, log):
        try:
            return latencies(source, target, process.pid, RATE, seconds)
        except (TimeoutError, OSError, pylsl.util.LostError) as error:
            lines = log.read_text(errors="replace").strip().splitlines()
            return f"{error} (it said: {lines[-1].strip() if lines else 'nothing'})"


def summary(runs: dict[str, list[Figures]], skipped: dict[str, str]) -> dict[str, object]:
    """Medians over runs, and the ratios that the budget is about."""
    figures: dict[str, object] = {}
    middle: dict[tuple[str, str], float] = {}
    for name in NAMES:
        if not runs[name]:
            continue
        for key, field in (("ms_p50", "p50"), ("ms_p99", "p99"), ("cpu_percent", "cpu")):
            values = [getattr(run, field) for run in runs[name]]
            if None not in values:
                middle[name, key] = statistics.median(values)
                figures[f"{name}_{key}"] = round(middle[name, key], 3)
        figures[f"{name}_lost_samples"] = sum(run.lost for run in runs[name])
    for other in ("bare", "ezmsg", "timeflux"):
        for key, short in (("ms_p50", "p50"), ("ms_p99", "p99"), ("cpu_percent", "cpu")):
            if ("ours", key) in middle and middle.get((other, key)):
                figures[f"ours_over_{other}_{short}"] = round(middle["ours", key] / middle[other, key], 3)
    figures["runs"] = max(len(r) for r in runs.values())
    if skipped:
        figures["skipped"] = skipped
    return figures


def main() -> int:
    """Run all contenders in turn, print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--runs", type=int, default=5, help="runs of each contender")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a run")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="contenders")
    given = parser.parse_args()
    configure(False, "benchmarks.latency")
    source = f"volition-latency-{os.getpid()}"
    runs: dict[str, list[Figures]] = {name: [] for name in NAMES}
    skipped: dict[str, str] = {}
    with running([sys.executable, str(HERE / "sender.py"), source], {}):
        for run in range(given.runs):
            turn = run % len(given.only)
            for name in given.only[turn:] + given.only[:turn]:
                if name in skipped:
                    continue
                print(f"run {run + 1} of {given.runs}: {name}", file=sys.stderr)
                result = contend(name, source, run, given.seconds)
                if isinstance(result, str):
                    skipped[name] = result
                else:
                    runs[name].append(result)
    figures = summary(runs, skipped)
    rows = [
        [
            name,
            *(figures.get(f"{name}_{key}", "-") for key in ("ms_p50", "ms_p99", "cpu_percent", "lost_samples")),
        ]
        for name in given.only
    ]
    title = f"LSL to LSL, 8 channels at {RATE} Hz, medians of {figures['runs']} runs of {given.seconds:g} s"
    show(title, ["contender", "p50 ms", "p99 ms", "CPU %", "lost"], rows, figures)
    for name, reason in skipped.items():
        print(f"{name} was skipped: {reason}", file=sys.stderr)
    return 0 if runs["ours"] or "ours" not in given.only else 1


if __name__ == "__main__":
    sys.exit(main())
