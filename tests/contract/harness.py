"""Runs one node the way the engine does: ticks at given times, timers and slow work in between."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from volition.core import EpochFrame, EventFrame, Node, SignalFrame, Source
from volition.core.clock import SECOND, VirtualClock
from volition.core.params import build
from volition.engine.graph import Graph
from volition.engine.jobs import VirtualJobs
from volition.engine.load import GraphDef, NodeDef
from volition.engine.positions import Position

HERE = Position("contract", 1, 1)
WORK_NS = 50_000_000
MOST_TICKS = 20_000
"""Timers that need more ticks than this for a few seconds never rest."""


@dataclass
class Run:
    """What a node gave."""

    outputs: dict[str, list[Any]] = field(default_factory=dict)
    reports: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    ticks: int = 0
    timer: bool = False


def until(frame: Any, last: int, now: int) -> Any:
    """The part of a frame that becomes known after ``last`` and by ``now``; None when there is none."""
    times = frame.ready if isinstance(frame, EpochFrame) else frame.times
    chosen = (times > last) & (times <= now)
    if not chosen.any():
        return None
    if isinstance(frame, EventFrame):
        first, stop = np.flatnonzero(chosen)[[0, -1]]
        return frame[int(first) : int(stop) + 1]
    if isinstance(frame, SignalFrame):
        return SignalFrame(
            frame.times[chosen], frame.values[chosen], frame.channels, frame.rate, frame.unit, frame.segment
        )
    data = [one for one, take in zip(frame.data, chosen, strict=True) if take]
    return EpochFrame(
        frame.times[chosen], frame.values[chosen], frame.channels, data, frame.ready[chosen],
        frame.rate, frame.start, frame.unit, frame.segment,
    )  # fmt: skip


def up_to(outputs: Mapping[str, list[Any]], end: int) -> dict[str, list[Any]]:
    """What was given about the time up to ``end``."""
    kept = {port: [until(frame, -1, end) for frame in frames] for port, frames in outputs.items()}
    return {port: [f for f in frames if f is not None] for port, frames in kept.items() if any(frames)}


class Harness:
    """One node in a graph of its own, on virtual time."""

    def __init__(self, cls: type, params: Mapping[str, Any], seed: int = 0):
        node = build(cls, params, "node")
        node.id = "node"
        self.node: Node = node
        definition = GraphDef("contract", None, [NodeDef("node", cls.__module__, cls.__name__, {}, HERE)], [], HERE)
        self.graph = Graph(definition, {"node": node}, seed)
        self.clock = VirtualClock()
        node.clock = self.clock
        node._jobs = VirtualJobs(self.clock.now, WORK_NS)
        # A recorder must write to be tested; all other nodes keep still towards the world outside.
        node.muted = cls.__name__ != "Record"
        if isinstance(node, Source):
            node.replayed = True
        self.run = Run()
        self._boxes: dict[str, Any] = {}

    def give(self, port: str, frame: Any) -> None:
        """Have a frame arrive before the next tick."""
        if isinstance(self.node, Source):
            self.node.inbox.append((port, frame))
            return
        if port not in self._boxes:
            self._boxes[port] = self.graph.mailbox("node", port)
        self._boxes[port].put(frame)

    def tick(self, now: int, keep: bool = True) -> None:
        """Tick at ``now`` until nothing waits."""
        self.clock.set(now)
        for _ in range(64):
            self.graph.tick(now)
            self.run.ticks += 1
            if keep:
                for _, port, frame in self.graph.outputs():
                    self.run.outputs.setdefault(port, []).append(frame)
                self.run.reports += [event for _, event in self.graph.reports]
            self.graph.reports.clear()
            self.run.timer = self.run.timer or self.node.wake is not None
            if not self.graph.pending():
                return

    def feed(self, streams: Mapping[str, list[Any]], times: Iterable[int], empties: bool = False) -> Run:
        """Tick at ``times``, and at the timers in between; each tick gets what is known by then.

        With ``empties``, frames without a sample or event arrive before each tick.
        """
        last = None
        for goal in times:
            last = goal - 1 if last is None else last
            while last < goal:
                due = self.graph.deadline()
                now = goal if due is None else min(goal, max(due, last + 1))
                for port, frames in streams.items():
                    for frame in frames:
                        part = until(frame, last, now)
                        if empties and not isinstance(frame, EpochFrame):
                            self.give(port, frame[0:0])
                        if part is not None:
                            self.give(port, part)
                self.tick(now)
                last = now
                assert self.run.ticks < MOST_TICKS, "the node's timer never rests"
        return self.run

    def close(self) -> None:
        """Terminate the node."""
        self.graph.terminate(_raise)


def _raise(node: str, error: Exception) -> None:
    raise error


def span(streams: Mapping[str, list[Any]]) -> tuple[int, int]:
    """First and last time of all streams."""
    frames = [frame for parts in streams.values() for frame in parts]
    ends = [frame.ready if isinstance(frame, EpochFrame) else frame.times for frame in frames]
    return min(int(t.min()) for t in ends), max(int(t.max()) for t in ends)


def grid(streams: Mapping[str, list[Any]], step_ns: float | None) -> list[int]:
    """Tick times from the first sample to one second after the last; None takes all at once."""
    start, end = span(streams)
    end += SECOND
    if step_ns is None:
        return [start, end]
    return [*(start + np.round(np.arange(0, end - start, step_ns)).astype(np.int64)).tolist(), end]


def random_grid(streams: Mapping[str, list[Any]], seed: int) -> list[int]:
    """Tick times at random, from 1 ms to 0.4 s apart."""
    start, end = span(streams)
    rng = np.random.default_rng(seed)
    times = [start]
    while times[-1] < end + SECOND:
        times.append(min(end + SECOND, times[-1] + round(float(10 ** rng.uniform(-3, -0.4)) * SECOND)))
    return times


def run_node(cls: type, params: Mapping[str, Any], streams: Mapping[str, list[Any]], times: Iterable[int]) -> Run:
    """What a fresh node gives."""
    harness = Harness(cls, params)
    try:
        return harness.feed(streams, times)
    finally:
        harness.close()


def contents(frames: list[Any]) -> dict[str, Any]:
    """What the frames of one port hold, however they were cut."""
    if isinstance(frames[0], EventFrame):
        return {"events": [(t, label, json.dumps(data, sort_keys=True)) for f in frames for t, label, data in f]}
    held: dict[str, Any] = {
        "times": [t for f in frames for t in f.times.tolist()],
        "values": np.concatenate([f.values for f in frames]),
        "identity": [(f.channels, f.rate, f.unit) for f in frames for _ in range(len(f))],
    }
    if isinstance(frames[0], EpochFrame):
        held["ready"] = [t for f in frames for t in f.ready.tolist()]
        held["data"] = [dict(d) for f in frames for d in f.data]
    else:
        held["segments"] = [f.segment for f in frames for _ in range(len(f))]
    return held


def assert_same(one: Mapping[str, list[Any]], other: Mapping[str, list[Any]], what: str) -> None:
    """Fail unless two runs gave the same on every port, bit for bit."""
    assert sorted(one) == sorted(other), f"{what}: other ports spoke"
    for port in one:
        a, b = contents(one[port]), contents(other[port])
        for key in a:
            if key == "values":
                assert a[key].dtype == b[key].dtype and a[key].shape == b[key].shape, f"{what}: {port}: shape"
                assert a[key].tobytes() == b[key].tobytes(), (
                    f"{what}: port {port}: values differ by up to {np.nanmax(np.abs(a[key] - b[key])):g}"
                )
            else:
                assert a[key] == b[key], f"{what}: port {port}: {key} differ"


def copied(streams: Mapping[str, list[Any]]) -> bytes:
    """Everything that the streams hold, as bytes."""
    parts: list[bytes] = []
    for frames in streams.values():
        for frame in frames:
            parts.append(frame.times.tobytes())
            parts.append(json.dumps([dict(d) for d in getattr(frame, "data", ())], sort_keys=True).encode())
            parts.append(getattr(frame, "values", np.empty(0)).tobytes())
    return b"".join(parts)
