"""What a contender's output stream and its processes show from outside."""

from __future__ import annotations

import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pylsl


@dataclass(frozen=True)
class Figures:
    """One run: latencies in ms of the samples that came, how many did not, CPU in percent of one core."""

    p50: float
    p99: float
    cpu: float | None
    lost: int


def descendants(pid: int) -> list[int]:
    """A process and all that it started (Linux)."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        queue += parents.get(current, [])
    return found


def cpu_seconds(pids: list[int]) -> float | None:
    """User and system time of processes; None where the system does not say."""
    if not Path("/proc/self/stat").exists():
        return None
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def original(stamps: np.ndarray, sent: np.ndarray, rate: float) -> np.ndarray:
    """Indices into ``sent`` of the samples that came out with ``stamps``; both in seconds, ascending.

    Nearest stamp wins, and order where nothing is missing: a chunk may have got evenly spaced stamps. A
    contender may shift all stamps by a period (ezmsg-lsl 1.17 stamps each sample with the time of the next):
    the shift that fits is taken.
    """
    best, error = np.zeros(len(stamps), dtype=int), np.inf
    for shift in (0.0, 1 / rate, -1 / rate):
        right = np.searchsorted(sent, stamps - shift).clip(1, len(sent) - 1)
        nearer = (stamps - shift) - sent[right - 1] < sent[right] - (stamps - shift)
        found = right - nearer
        off = float(np.median(abs(sent[found] - (stamps - shift))))
        if off < error:
            best, error = found, off
    first = best - np.arange(len(best))
    return best if first[0] != first[-1] else first[0] + np.arange(len(best))


def _open(name: str) -> pylsl.StreamInlet:
    infos = pylsl.resolve_byprop("name", name, 1, 20.0)
    if not infos:
        raise TimeoutError(f"no stream {name} within 20 s")
    inlet = pylsl.StreamInlet(infos[0], recover=False)
    inlet.open_stream(5.0)
    return inlet


def latencies(source: str, target: str, pid: int, rate: float, seconds: float, settle: float = 2.0) -> Figures:
    """Read the stream ``target`` of the process ``pid`` for a while.

    The latency of a sample is its time of arrival here minus the stamp that the sender made when it left. The
    first ``settle`` seconds do not count. What was sent is read from ``source`` after the run.

    Raises
    ------
    TimeoutError
        When there is no such stream within 20 s.
    """
    inlet, reference = _open(target), _open(source)
    until = time.monotonic() + settle
    while time.monotonic() < until:
        inlet.pull_sample(0.5)
    arrivals, stamps = np.zeros(int(rate * seconds * 1.5)), np.zeros(int(rate * seconds * 1.5))
    pids = descendants(pid) if Path("/proc").exists() else []
    gc.disable()
    n, begin, cpu = 0, time.monotonic(), cpu_seconds(pids)
    while time.monotonic() < begin + seconds and n < len(stamps):
        _, stamp = inlet.pull_sample(0.5)
        if stamp is not None:
            arrivals[n], stamps[n] = pylsl.local_clock(), stamp
            n += 1
    wall = time.monotonic() - begin
    used = None if cpu is None else (cpu_seconds(pids) or 0.0) - cpu
    gc.enable()
    if n < 2:
        raise TimeoutError(f"{target} carries no samples")
    sent = np.array(reference.pull_chunk(0.0, max_samples=int(2 * rate * (seconds + settle)))[1])
    found = original(stamps[:n], sent, rate)
    lost = int(found.max() - found.min()) + 1 - len(set(found.tolist()))
    p50, p99 = np.percentile((arrivals[:n] - sent[found]) * 1e3, [50, 99])
    return Figures(float(p50), float(p99), None if used is None else 100 * used / wall, lost)
