"""What every test gets: nothing may stay behind, LSL stays on this machine, hypothesis has no deadline."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("volition", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("volition")

collect_ignore = ["timeflux_app", "engine/apps"]  # what some tests run is no test

GRACE = 3.0
"""Seconds that threads and processes get to end by themselves."""
_LSL = """[multicast]
ResolveScope = machine
[lab]
SessionID = volition-tests-{pid}
[log]
level = -3
"""
_SPARED = ("pytest_timeout",)
# Python's own helper of the "spawn" start method lives as long as the program does.
_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def pytest_configure(config):
    """Keep LSL on this machine, and away from other test runs; before liblsl reads its configuration."""
    folder = tempfile.TemporaryDirectory(prefix="volition-tests-")
    config.add_cleanup(folder.cleanup)
    path = Path(folder.name) / "lsl_api.cfg"
    path.write_text(_LSL.format(pid=os.getpid()))
    os.environ["LSLAPICFG"] = str(path)


def children() -> dict[int, str]:
    """Command lines of the running child processes by id; where /proc is, those of other libraries, too."""
    found = {p.pid: p.name for p in multiprocessing.active_children() if p.pid is not None}
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            numbers = listing.read_text().split()
        except OSError:
            continue
        for number in numbers:
            try:
                status = Path(f"/proc/{number}/stat").read_text()
                command = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            if status.rpartition(")")[2].split()[0] != "Z":
                found.setdefault(int(number), command)
    return {pid: command for pid, command in found.items() if not any(h in command for h in _HELPERS)}


def strangers(threads: set[threading.Thread], processes: dict[int, str]) -> list[str]:
    """Threads and child processes that were not there before, by name."""
    new = [t for t in threading.enumerate() if t not in threads and not t.name.startswith(_SPARED)]
    left = {pid: command for pid, command in children().items() if pid not in processes}
    return [f"thread {t.name}" for t in new] + [f"process {pid}: {command}" for pid, command in left.items()]


@pytest.fixture(autouse=True)
def nothing_left_running():
    """Fail a test that leaves threads or child processes behind."""
    threads, processes = set(threading.enumerate()), children()
    yield
    end = time.monotonic() + GRACE
    while (left := strangers(threads, processes)) and time.monotonic() < end:
        time.sleep(0.01)
    if left:
        pytest.fail("the test left running: " + "; ".join(left))


def pytest_terminal_summary(terminalreporter):
    """Name the tests that took more than a second and are not marked slow."""
    slow = [
        report
        for report in terminalreporter.getreports("passed")
        if report.when == "call" and report.duration > 1.0 and "slow" not in report.keywords
    ]
    for report in sorted(slow, key=lambda r: -r.duration):
        terminalreporter.write_line(f"{report.duration:5.1f} s, not marked slow: {report.nodeid}")
