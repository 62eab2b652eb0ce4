"""The contract that every node class keeps; the numbers are those of the points in docs/contributing.md.

A new node is tested before its author has written one test. Where the suite cannot guess something, it fails
with the entry that is missing in ``tests/contract/cases.py``.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any, get_type_hints

import msgpack
import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt
from timeflux.core.scheduler import Scheduler

from tests.contract.cases import CASES
from tests.contract.discover import case_of, modules, node_classes
from tests.contract.feeds import TableFeed
from tests.contract.harness import (
    HERE,
    Harness,
    Run,
    assert_same,
    contents,
    copied,
    grid,
    random_grid,
    run_node,
    span,
    until,
    up_to,
)
from tests.contract.streams import RATE, default_streams, signal
from volition.core import EpochFrame, EventFrame, Node, SignalFrame, Source, VolitionError
from volition.core.clock import SECOND
from volition.core.events import parse
from volition.core.params import build, problems, schema_of, signature_of
from volition.core.ports import EpochsSpec, EventsSpec, SignalSpec
from volition.engine.load import App, EdgeDef, GraphDef, NodeDef
from volition.engine.replay import replay

NODES = sorted(node_classes())
STEP = 26 / RATE * SECOND


@pytest.fixture(params=NODES)
def key(request) -> str:
    """A node class, as in ``eeg.filters.Bandpass``."""
    return str(request.param)


@pytest.fixture
def cls(key) -> type:
    return node_classes()[key]


@pytest.fixture
def case(key):
    return case_of(key)


@pytest.fixture
def params(key, cls, case, tmp_path) -> dict[str, Any]:
    given = case.build(tmp_path)
    try:
        build(cls, given)
    except VolitionError as error:
        pytest.fail(
            f"{key} cannot be built with {given}: {error}. Add to CASES in tests/contract/cases.py the entry "
            f'"{key}": Case({{...the parameters that it needs...}})'
        )
    return given


@pytest.fixture
def streams(cls, case) -> dict[str, list[Any]]:
    return case.streams(cls)


def excused(case, point: str) -> None:
    """Skip a point that the case has a reason against."""
    if point in case.exempt:
        pytest.skip(case.exempt[point])


def fresh(cls, params, tmp_path, name: str) -> dict[str, Any]:
    """The parameters with a file of their own for nodes that write one."""
    return (
        {**params, "path": str(tmp_path / f"{name}.xdf")} if "path" in params and cls.__name__ == "Record" else params
    )


def test_nodes_are_found():
    assert len(NODES) > 10
    assert set(CASES) <= set(NODES), "cases.py has entries for classes that are gone"


# 1. Imports with no hardware, network or optional library.

_IMPORT = """
import importlib, os, socket, sys, threading
before = set(os.listdir("."))
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("cv2", "torch", "brainflow", "pylsl"):
            raise ModuleNotFoundError(f"no module named {name}", name=name)
sys.meta_path.insert(0, Missing())
def refuse(*args, **kwargs):
    raise OSError("no network at import")
socket.socket.connect = socket.socket.bind = socket.getaddrinfo = refuse
for name in sys.argv[1:]:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
assert set(os.listdir(".")) == before, "importing wrote a file"
"""


@pytest.mark.slow
def test_1_imports_without_devices_network_and_optional_libraries(tmp_path):
    roots = os.pathsep.join([str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", _IMPORT, *modules()],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, roots)),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "importing printed"


# 2. The signature gives a schema; each wrong value is refused by name.


def test_2_signature_is_the_schema(cls, params):
    assert schema_of(cls)
    docs = cls.__init__.__doc__ or ""
    for parameter in signature_of(cls).parameters.values():
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD, f"YAML cannot give {parameter}"
        assert parameter.annotation is not parameter.empty, f"{parameter.name} has no type"
        assert f"{parameter.name}:" in docs, f"the docstring of __init__ does not explain {parameter.name!r}"
    assert (cls.__doc__ or "").strip().split("\n")[0].endswith("."), "the docstring begins with no sentence"
    found = problems(cls, {**params, "no_such_parameter": 1})
    assert len(found) == 1 and "'no_such_parameter'" in found[0].message


def beyond(bounds: list[Any]) -> list[float]:
    """Values just outside of the bounds of a parameter."""
    values: list[float] = []
    for bound in bounds:
        parts = [bound] if not isinstance(bound, Interval) else list(bound)
        for part in parts:
            if isinstance(part, Gt):
                values.append(part.gt)
            elif isinstance(part, Ge):
                values.append(part.ge - 1)
            elif isinstance(part, Lt):
                values.append(part.lt)
            elif isinstance(part, Le):
                values.append(part.le + 1)
    return values


def test_2_wrong_values_are_refused_by_name(cls, params):
    hints = get_type_hints(cls.__init__, include_extras=True)
    for name in signature_of(cls).parameters:
        wrong: list[Any] = [{"no": {"such": "thing"}}]
        wrong += beyond(list(getattr(hints[name], "__metadata__", ())))
        for value in wrong:
            found = problems(cls, {**params, name: value})
            assert found, f"{name}: {value!r} was accepted"
            assert all(p.path[0] == name for p in found)
            assert all(name in p.message for p in found)


# 3. Declared ports are the only ports; outputs have the declared channels, dtype, unit.


def input_specs(streams) -> dict[str, Any]:
    """What ``infer`` is told of the streams."""
    specs: dict[str, Any] = {}
    for port, frames in streams.items():
        first = frames[0]
        if isinstance(first, EventFrame):
            specs[port] = EventsSpec(tuple(sorted(set(first.labels))))
            continue
        unit = first.unit[0] if len(set(first.unit)) == 1 else first.unit
        if isinstance(first, SignalFrame):
            specs[port] = SignalSpec(first.channels, first.rate, unit)
        else:
            stop = first.start + first.values.shape[1] / first.rate
            specs[port] = EpochsSpec(first.channels, first.rate, unit, first.start, stop)
    return specs


def check_frame(frame: Any, spec: Any, declared: Any) -> None:
    """That an output is what was inferred of it."""
    if isinstance(frame, EventFrame):
        assert isinstance(spec, EventsSpec)
        labels = spec.labels or declared.spec.labels
        for time_ns, label, data in frame:
            assert isinstance(time_ns, int)
            assert labels is None or label in labels, f"{label!r} is not among {labels}"
            parse(label, data)
            assert json.loads(json.dumps(dict(data))) is not None
            msgpack.packb(dict(data))
        return
    assert frame.values.dtype in (np.float32, np.float64)
    assert frame.values.flags.c_contiguous and not frame.values.flags.writeable
    assert frame.times.dtype == np.int64
    assert spec.channels is None or frame.channels == tuple(spec.channels)
    assert spec.rate is None or frame.rate == spec.rate
    if spec.unit is not None:
        units = (spec.unit,) * len(frame.channels) if isinstance(spec.unit, str) else tuple(spec.unit)
        assert frame.unit == units
    if isinstance(frame, SignalFrame):
        assert (np.diff(frame.times) > 0).all()


def test_3_outputs_are_as_declared(key, cls, case, params, streams):
    harness = Harness(cls, params)
    inferred = dict(harness.node.infer({} if issubclass(cls, Source) else input_specs(streams)))
    run = harness.feed(streams, grid(streams, STEP))
    declared = cls.port_specs
    for name in harness.node.ports:
        assert any(spec.matches(name) for spec in declared.values()), f"port {name!r} is not declared"
    outputs = {name for name, spec in declared.items() if spec.direction == "o"}
    assert set(inferred) >= {name for name in outputs if not name.endswith("*")}, "infer leaves outputs out"
    for port, frames in run.outputs.items():
        spec = next(spec for spec in declared.values() if spec.matches(port))
        for frame in frames:
            assert isinstance(frame, spec.frame_type)
            check_frame(frame, inferred.get(port, spec.spec), spec)
    harness.close()
    if outputs and not run.outputs and not case.silent:
        pytest.fail(
            f"{key} gave nothing, so that nothing was tested. Add to CASES in tests/contract/cases.py "
            f'the entry "{key}": Case(streams=...) that makes it speak, or Case(silent="why")'
        )


# 4. No input and an empty frame give no output and change nothing.


def test_4_empty_frames_change_nothing(cls, case, params, streams, tmp_path):
    excused(case, "4")
    times = grid(streams, STEP)
    harness = Harness(cls, fresh(cls, params, tmp_path, "empty"))
    run = harness.feed(streams, times, empties=True)
    harness.close()
    # A timer's last piece ends with its last tick, of which there are more here.
    end = times[-1] - SECOND // 2 if run.timer else times[-1]
    expected = run_node(cls, params, streams, times).outputs
    assert_same(up_to(expected, end), up_to(run.outputs, end), "with empty frames in between")


def test_4_no_input_gives_no_output(cls, case, params, streams):
    harness = Harness(cls, params)
    start = span(streams)[0]
    for k in range(3):
        harness.tick(start + k)
    timer = harness.run.timer
    for port, frames in streams.items():
        harness.give(port, frames[0][0:0] if not isinstance(frames[0], EpochFrame) else frames[0])
        if not isinstance(frames[0], EpochFrame):
            harness.tick(start + 10)
    harness.close()
    if not timer and not case.speaks_first:
        assert harness.run.outputs == {}


# 5. The output does not depend on how the input was cut.


@pytest.mark.parametrize("cut", ["1", "7", "64", "all", "random 1", "random 2", "random 3"])
def test_5_output_does_not_depend_on_the_cut(cut, cls, case, params, streams, tmp_path):
    excused(case, "5")
    if cls.chunk_dependent:
        pytest.skip(f"declared: {cls.chunk_dependent}")
    if cut.startswith("random"):
        times = random_grid(streams, int(cut[-1]))
    else:
        times = grid(streams, None if cut == "all" else int(cut) / RATE * SECOND)
    expected = run_node(cls, params, streams, grid(streams, STEP))
    got = run_node(cls, fresh(cls, params, tmp_path, "cut"), streams, times)
    assert_same(expected.outputs, got.outputs, f"cut {cut}")
    assert sorted(r[:2] for r in steady(expected)) == sorted(r[:2] for r in steady(got)), "other reports"


def steady(run: Run) -> list[Any]:
    """The reports that tell of data; a state is told at the time of the tick."""
    return [report for report in run.reports if report[1] not in ("state", "error")]


# 6. Inputs are unchanged after update.


def test_6_inputs_are_left_alone(cls, params, streams):
    before = copied(streams)
    run_node(cls, params, streams, grid(streams, STEP))
    assert copied(streams) == before


# 7. NaN, a gap, a repeated and a backward timestamp.


def with_signal(streams, change) -> dict[str, list[Any]]:
    """The streams with every signal changed."""
    return {
        port: [part for f in frames for part in (change(f) if isinstance(f, SignalFrame) else [f])]
        for port, frames in streams.items()
    }


def with_nan(frame: SignalFrame) -> list[SignalFrame]:
    """A channel that fails for a while, and one sample that is gone."""
    values = frame.values.copy()
    values[50:90, 0] = np.nan
    values[120] = np.nan
    return [frame.like(values=values)]


def with_gap(frame: SignalFrame) -> list[SignalFrame]:
    """Half a second is missing."""
    n = len(frame) // 2
    later = SignalFrame(
        frame.times[n:] + SECOND // 2,
        frame.values[n:],
        frame.channels,
        frame.rate,
        frame.unit,
        frame.segment + 1,
    )
    return [frame[:n], later]


@pytest.mark.parametrize("change", [with_nan, with_gap], ids=["nan", "gap"])
def test_7_nan_and_gaps(change, cls, case, params, streams, tmp_path):
    excused(case, "7")
    changed = with_signal(streams, change)
    if copied(changed) == copied(streams):
        pytest.skip("takes no signal")
    expected = run_node(cls, params, changed, grid(changed, STEP))
    got = run_node(cls, fresh(cls, params, tmp_path, "cut"), changed, grid(changed, 7 / RATE * SECOND))
    if not cls.chunk_dependent:
        assert_same(expected.outputs, got.outputs, "after what is missing")


@pytest.mark.parametrize("shift", [0, -1, -100_000_000], ids=["repeated", "backward", "far back"])
def test_7_time_that_stands_or_runs_backwards(shift, cls, case, params, streams):
    excused(case, "7")
    if not any(isinstance(f, SignalFrame) for frames in streams.values() for f in frames):
        pytest.skip("takes no signal")
    harness = Harness(cls, params)
    start = span(streams)[0]
    try:
        for k in range(2):
            for port, frames in streams.items():
                part = frames[0] if isinstance(frames[0], EpochFrame) else frames[0][:40]
                if isinstance(part, SignalFrame) and k:
                    jump = int(part.times[-1] - part.times[0]) + shift
                    part = part.like(times=part.times + jump)
                harness.give(port, part)
            harness.tick(start + (k + 1) * SECOND)
    except VolitionError as error:
        assert str(error).strip()
    finally:
        harness.close()


def test_7_docstring_tells_of_nan_and_gaps(cls):
    if issubclass(cls, Source) or not any(s.kind == "signal" and s.direction == "i" for s in cls.port_specs.values()):
        pytest.skip("takes no signal")
    text = (cls.__doc__ or "") + (cls.__init__.__doc__ or "")
    assert "NaN" in text and "gap" in text, "the docstring does not say what happens at NaN and at gaps"


# 8. A change of rate, channels or unit restarts or raises.

_CHANGES = {
    "rate": {"rate": 128.0},
    "channels": {"channels": ("Cz", "Oz"), "n": 256},
    "unit": {"unit": "V"},
}


@pytest.mark.parametrize("change", _CHANGES)
def test_8_a_changed_stream_restarts_or_raises(change, cls, case, params, streams):
    excused(case, "8")
    signals = [p for p, frames in streams.items() if isinstance(frames[0], SignalFrame)]
    if not signals or issubclass(cls, Source):
        pytest.skip("takes no signal")
    port = signals[0]
    first = streams[port][0]
    given = {
        "channels": first.channels,
        "unit": first.unit[0],
        "rate": first.rate,
        "n": 512,
        **_CHANGES[change],
    }
    after = signal(start=int(first.times[-1]) + SECOND, seed=3, **given)
    both = {**streams, port: [first, after]}
    try:
        run = run_node(cls, params, both, grid(both, STEP))
        alone = run_node(cls, params, {port: [after]}, grid({port: [after]}, STEP))
    except VolitionError as error:
        assert str(error).strip()
        return
    for name, frames in alone.outputs.items():
        if isinstance(frames[0], SignalFrame):
            later = [f for f in run.outputs[name] if f.times[0] >= after.times[0]]
            assert_same({name: frames}, {name: later}, f"after a change of {change}")


# 9. terminate works twice, before any update and after a failed one, and nothing stays behind.


class Broken:
    """A frame that cannot be read."""

    def __len__(self) -> int:
        raise RuntimeError("broken on purpose")


def open_files() -> int:
    """How many files this process has open; -1 where that cannot be known."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return -1


def test_9_terminate(cls, params, streams, tmp_path):
    def whole(name: str, use) -> None:
        node = build(cls, fresh(cls, params, tmp_path, name), "node")
        node.id, node.muted, node.engine_driven = "node", cls.__name__ != "Record", True
        if isinstance(node, Source):
            node.replayed = True
        use(node)
        node.terminate()
        node.terminate()

    def failed(node: Node) -> None:
        for port in [p for p in streams if p.startswith("i")]:
            getattr(node, port).frame = Broken()
        with contextlib.suppress(Exception):
            node.update()

    whole("warm", lambda node: node.update())  # libraries may open files of their own once
    gc.collect()
    files, threads = open_files(), set(threading.enumerate())
    whole("never", lambda node: None)
    whole("opened", lambda node: node.open())
    whole("failed", failed)
    gc.collect()
    end = time.monotonic() + 3.0
    while set(threading.enumerate()) - threads and time.monotonic() < end:
        time.sleep(0.005)
    assert set(threading.enumerate()) - threads == set()
    assert open_files() == files, "files stay open"


# 11. update stays in its budget (reported), memory flat over 10,000 updates.


def endless(streams, count: int):
    """``count`` ticks of the streams, repeated later and later: (time, {port: frame})."""
    start, end = span(streams)
    length = end - start + SECOND // 100
    steps = grid(streams, STEP)[:-1]
    pieces = [
        (now, {p: [until(f, last, now) for f in frames] for p, frames in streams.items()})
        for last, now in zip([start - 1, *steps], steps, strict=False)
    ]
    for k in range(count):
        loop, number = divmod(k, len(pieces))
        now, parts = pieces[number]
        yield (
            now + loop * length,
            {port: [moved(f, loop * length, loop) for f in frames if f is not None] for port, frames in parts.items()},
        )


def moved(frame: Any, by: int, loop: int) -> Any:
    """A frame at a later time."""
    if isinstance(frame, EventFrame):
        return EventFrame(frame.times + by, frame.labels, frame.data)
    if isinstance(frame, SignalFrame):
        return SignalFrame(
            frame.times + by, frame.values, frame.channels, frame.rate, frame.unit, frame.segment + 10 * loop
        )
    return EpochFrame(
        frame.times + by, frame.values, frame.channels, frame.data, frame.ready + by,
        frame.rate, frame.start, frame.unit, frame.segment,
    )  # fmt: skip


@pytest.mark.slow
def test_11_memory_is_flat(cls, case, params, streams, record_property):
    excused(case, "11")
    harness = Harness(cls, params)
    used: list[int] = []
    durations = []
    marks = {case.updates // 2, case.updates - 1}
    tracemalloc.start()
    try:
        for k, (now, parts) in enumerate(endless(streams, case.updates)):
            for port, frames in parts.items():
                for frame in frames:
                    harness.give(port, frame)
            begin = time.perf_counter_ns()
            harness.tick(now, keep=False)
            if k < 2_000:
                durations.append(time.perf_counter_ns() - begin)
            if k in marks:
                gc.collect()
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        harness.close()
    record_property("update_us_p50", round(float(np.median(durations)) / 1000, 1))
    grown = used[1] - used[0]
    assert grown < 8 * case.updates + 32_000, f"grew by {grown} bytes in {case.updates // 2} updates"


# 12. Same seed, same bytes; the same answers under our engine, in replay and under plain Timeflux.


def test_12_same_seed_same_bytes(cls, params, streams, tmp_path):
    times = grid(streams, STEP)
    states = random.getstate(), np.random.get_state()[1].tobytes()
    one = run_node(cls, params, streams, times)
    other = run_node(cls, fresh(cls, params, tmp_path, "again"), streams, times)
    assert_same(one.outputs, other.outputs, "a second run")
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == states, "a global generator was used"


def test_12_same_in_replay(key, cls, case, params, streams, tmp_path):
    if any(isinstance(f, EpochFrame) for frames in streams.values() for f in frames):
        pytest.skip("epochs do not come from a source")
    if cls.__name__ == "Record":
        pytest.skip("a replay records nothing")
    nodes = [NodeDef("node", cls.__module__, cls.__name__, params, HERE)]
    edges, session = [], {}
    for port, frames in streams.items():
        if issubclass(cls, Source):
            session["node" if port == "o" else f"node-{port[2:]}"] = frames
            continue
        feed = "SignalFeed" if isinstance(frames[0], SignalFrame) else "EventsFeed"
        nodes.insert(0, NodeDef(f"feed_{port}", "tests.contract.feeds", feed, {}, HERE))
        edges.append(
            EdgeDef("contract", f"feed_{port}", "o", "contract", "node", port, "block", 1024, HERE, HERE, HERE)
        )
        session[f"feed_{port}"] = frames
    app = App(Path("contract.yaml"), tmp_path, [GraphDef("contract", None, nodes, edges, HERE)], [], "")
    outputs = [name for name, spec in cls.port_specs.items() if spec.direction == "o"]
    result = replay(app, session, taps=[("node", port) for port in outputs])
    got = {port: frames for (_, port), frames in result.taps.items() if frames}
    # A replay moves by 26 samples of the fastest stream, or by a tenth of a second where there is none.
    rate = max((f.rate for frames in streams.values() for f in frames if isinstance(f, SignalFrame)), default=260)
    expected = run_node(cls, params, streams, grid(streams, 26 / rate * SECOND))
    assert_same(expected.outputs, got, "in replay")


def test_12_same_under_plain_timeflux(cls, case, params, streams):
    expected = run_node(cls, params, streams, grid(streams, STEP))
    reason = case.needs_engine
    if issubclass(cls, Source):
        reason = "a source talks to its device"
    elif expected.timer:
        reason = "has timers, which plain Timeflux does not"
    elif any(isinstance(f, EpochFrame) for frames in streams.values() for f in frames):
        reason = "takes epochs, which a table does not hold"
    if reason:
        pytest.skip(reason)
    node = build(cls, params, "node")
    node.muted = True
    times = grid(streams, STEP)
    nodes: dict[str, Any] = {}
    predecessors = []
    for port, frames in streams.items():
        nodes[port] = TableFeed(
            [
                next((p.to_pandas() for f in frames if (p := until(f, last, now)) is not None), (None, None))
                for last, now in zip([times[0] - 1, *times], times, strict=False)
            ]
        )
        predecessors.append({"node": port, "src_port": "o", "dst_port": port, "copy": False})
    path = [{"node": name, "predecessors": []} for name in nodes]
    scheduler = Scheduler([*path, {"node": "node", "predecessors": predecessors}], {**nodes, "node": node}, 0)
    got: dict[str, list[Any]] = {}
    for _ in times:
        scheduler.next()
        for name, port in node.ports.items():
            if name[0] == "o" and port.ready():
                assert len(port.data) > 0
                got.setdefault(name, []).append(port.frame)
    scheduler.terminate()
    assert_same(expected.outputs, got, "under plain Timeflux")


def test_default_streams_are_valid():
    for cls in node_classes().values():
        for frames in default_streams(cls).values():
            assert contents(frames)
            for frame in frames:
                if isinstance(frame, EventFrame):
                    for _, label, data in frame:
                        parse(label, data)
