"""``volition doctor``: what works on this machine, and the way out where something does not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import typer

from volition.cli import show
from volition.core.errors import LoadError, VolitionError

PYTHONS = ((3, 10), (3, 13))
GLIBC = (2, 35)
SPACE_WARN, SPACE_FAIL = 2_000_000_000, 200_000_000
"""Bytes free: below the first a long recording may not fit, below the second a short one may not."""
AMX = "amx_tile"
MEASURING_S = 60.0
"""Seconds for one model."""

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``way_out`` says what to do when ``state`` is not ok, ``figures`` are for programs."""

    name: str
    state: State
    detail: str
    way_out: str = ""
    figures: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``figures`` only where there are some."""
        return {key: value for key, value in asdict(self).items() if key != "figures" or value is not None}


def doctor(json: show.Json = False) -> None:
    """Look at everything that a graph needs here; ends with exit code 1 when something fails.

    Example: volition doctor
    """
    findings: list[Finding] = []
    with show.sentences():
        for number, check in enumerate(CHECKS):
            with show.bar(check.__name__.replace("_", " ")) as progress:
                progress(number / len(CHECKS))
                found = list(check())
            findings += found
            if not json:
                for finding in found:
                    show.out.print(_line(finding), markup=False)
        failed = any(finding.state == "fail" for finding in findings)
        if json:
            show.result({"ok": not failed, "checks": [finding.as_dict() for finding in findings]}, True)
    raise typer.Exit(1 if failed else 0)


def _line(finding: Finding) -> str:
    line = f"{finding.state:<5} {finding.name:<10} {finding.detail}"
    return f"{line}\n{'':17}-> {finding.way_out}" if finding.way_out else line


def system() -> Iterator[Finding]:
    """Python, and the C library that the packages were built for."""
    version = platform.python_version()
    good = PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]
    way_out = "" if good else "make a new .venv with Python 3.10, 3.11 or 3.12"
    detail = f"{version} on {platform.platform(terse=True)}"
    yield Finding("python", "ok" if good else "fail", detail, way_out)
    library, number = platform.libc_ver()
    if library == "glibc" and tuple(map(int, number.split("."))) < GLIBC:
        way_out = "use a newer system, or build liblsl yourself"
        yield Finding("glibc", "warn", f"{number}; liblsl wants 2.35", way_out)


def packages() -> Iterator[Finding]:
    """What the installation asks for, and what is there."""
    from packaging.requirements import Requirement

    try:
        requirements = metadata.requires("volition") or []
    except metadata.PackageNotFoundError:
        way_out = "run `make demo`, or `pip install -e .`"
        yield Finding("packages", "warn", "volition itself is not installed", way_out)
        return
    found: list[str] = []
    for text in requirements:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        install = f"pip install '{wanted}'"
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield Finding("packages", "fail", f"{wanted.name} is not installed", install)
            continue
        found.append(f"{wanted.name} {version}")
        if not wanted.specifier.contains(version, prereleases=True):
            yield Finding("packages", "fail", f"{wanted.name} is {version}, not {wanted.specifier}", install)
    yield Finding("packages", "ok", ", ".join(found))


def processor() -> Iterator[Finding]:
    """Cores, and whether AMX is advertised: some virtual machines do, and fault when it is used."""
    flags = Path("/proc/cpuinfo").read_text(errors="replace") if Path("/proc/cpuinfo").is_file() else ""
    amx = "; advertises AMX, which the decode below tries" if AMX in flags else ""
    yield Finding("processor", "ok", f"{platform.machine()}, {os.cpu_count()} cores{amx}")


def lsl() -> Iterator[Finding]:
    """A sample out and in again over LSL."""
    begin = time.perf_counter()
    try:
        found = _lsl_loop()
    except (ImportError, OSError, RuntimeError, VolitionError) as error:
        way_out = "pip install --force-reinstall pylsl"
        yield Finding("lsl", "fail", f"{type(error).__name__}: {error}", way_out)
        return
    if found:
        took = 1e3 * (time.perf_counter() - begin)
        yield Finding("lsl", "ok", f"a sample came back, {took:.0f} ms with the search")
    else:
        way_out = "let the firewall pass UDP 16571-16604 and TCP 16572-16604 on the loopback interface"
        yield Finding("lsl", "fail", "a stream that this process opened was not found by it", way_out)


def _lsl_loop() -> bool:
    import pylsl

    from volition.core.lsl import configure

    configure(False, "volition doctor")
    name = f"doctor-{uuid.uuid4().hex}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Test", 1, 0, "float32", name))
    streams = pylsl.resolve_byprop("source_id", name, 1, 5.0)
    if not streams:
        return False
    inlet = pylsl.StreamInlet(streams[0])
    try:
        inlet.open_stream(5.0)
        outlet.wait_for_consumers(5.0)
        outlet.push_sample([42.0])
        sample, _ = inlet.pull_sample(5.0)
        return sample == [42.0]
    finally:
        inlet.close_stream()


def bus() -> Iterator[Finding]:
    """A message over the kind of socket that joins graphs."""
    import zmq

    from volition.engine.bus import endpoint

    with tempfile.TemporaryDirectory(prefix="volition-") as folder, zmq.Context() as context:
        address = endpoint(Path(folder), 0)
        try:
            with context.socket(zmq.PULL) as reader, context.socket(zmq.PUSH) as writer:
                reader.linger = writer.linger = 0
                reader.bind(address)
                writer.connect(address)
                writer.send(b"here")
                arrived = bool(reader.poll(2000)) and reader.recv() == b"here"
        except zmq.ZMQError as error:
            way_out = "set TMPDIR to a folder with a short path that you may write to"
            yield Finding("bus", "fail", f"ZeroMQ cannot use {address}: {error}", way_out)
            return
    kind = address.partition(":")[0]
    if arrived:
        yield Finding("bus", "ok", f"ZeroMQ {zmq.zmq_version()} over {kind}")
    else:
        way_out = "look at the limits of your sandbox or firewall"
        yield Finding("bus", "fail", f"no message came through {kind}", way_out)


def brainflow() -> Iterator[Finding]:
    """BrainFlow's native library."""
    try:
        from volition.nodes.sources.brainflow import Description, board_names

        board = Description(board_names()["synthetic"], "eeg", "default")
    except Exception as error:  # its loader raises whatever the platform makes it raise
        way_out = "pip install --force-reinstall brainflow; without it, LSL still works"
        yield Finding("brainflow", "warn", f"{type(error).__name__}: {error}", way_out)
        return
    detail = f"{len(board_names())} boards; the synthetic one has {len(board.channels)} channels"
    yield Finding("brainflow", "ok", detail)


def model() -> Iterator[Finding]:
    """The English language model, loaded and evaluated once in a process of its own."""
    from volition.nodes.text import find, probe

    try:
        path = find.find_model(find.SMOLLM2)
    except LoadError as error:
        problem, _, way_out = str(error).partition(": ")
        yield Finding("model", "fail", problem, way_out)
        return
    result = probe.probe(path)
    if result.ok:
        yield Finding("model", "ok", result.sentence)
    else:
        way_out = (
            "until it works, options come from a small table of words; "
            "build the runtime again with `make clean demo`, or give the generator another .gguf file"
        )
        yield Finding("model", "fail", result.sentence, way_out)


def speed() -> Iterator[Finding]:
    """Whether a menu of each model that has a name comes in time; what was measured before is not again."""
    from volition.nodes.text import find

    try:
        names = find.known_models()
    except LoadError as error:
        problem, _, way_out = str(error).partition("; ")
        yield Finding("speed", "warn", problem, way_out)
        return
    for name in names:
        yield _speed(name)


def _speed(name: str) -> Finding:
    from volition.lab import speed
    from volition.nodes.text import find

    try:
        path, adapters = find.find_model(name), find.default_adapters(name)
        found = speed.known_speed(path, adapters) or speed.measure(path, adapters, timeout=MEASURING_S)
    except LoadError as error:
        way_out = "take another model in graphs that name this one"
        return Finding("speed", "warn", str(error), way_out)
    menu, budget, deadline = found["cached_menu_ms_p50"], found["budget_ms"], found["deadline_ms"]
    figures = {"model": name, "cached_menu_ms": menu, "budget_ms": budget, "deadline_ms": deadline}
    figures["within_budget"] = found["within_budget"]
    detail = f"{name}: a menu in {menu:.0f} ms"
    if found["within_budget"]:
        return Finding("speed", "ok", f"{detail}, within {budget:.0f} ms", figures=figures)
    packed = find.is_packed(path)
    way_out = "take a smaller model" if packed else f"run `volition model quantise {name}`, or take a smaller model"
    detail = f"{detail}, not within {budget:.0f} ms; its deadline is {deadline:.0f} ms"
    return Finding("speed", "warn", detail, way_out, figures)


def disk() -> Iterator[Finding]:
    """Room for recordings here, and for temporary files."""
    places = {place.stat().st_dev: place for place in (Path(tempfile.gettempdir()), Path.cwd())}
    for place in places.values():
        free = shutil.disk_usage(place).free
        state: State = "fail" if free < SPACE_FAIL else "warn" if free < SPACE_WARN else "ok"
        way_out = "" if state == "ok" else "make room; an hour of 8 channels at 256 Hz takes about 60 MB"
        yield Finding("disk", state, f"{free / 1e9:.1f} GB free in {place}", way_out)


def clock() -> Iterator[Finding]:
    """Whether the clock is fine enough, and is the one that LSL reads."""
    from volition.core.clock import LiveClock
    from volition.core.lsl import LslTime

    live = LiveClock()
    resolution = time.get_clock_info("monotonic").resolution
    apart = abs(LslTime(live).offset - live.utc_offset)
    steady = abs(live.drift())
    detail = f"resolution {1e9 * resolution:g} ns, LSL's clock {apart / 1e6:.3f} ms from ours"
    state: State = "ok"
    way_out = ""
    if time.gmtime().tm_year < 2024:
        state, way_out = "fail", "the date is before 2024: set the system's clock, or recordings are misdated"
    elif resolution > 1.1e-3:
        state, way_out = "warn", "times of samples are coarse here; LSL's own stamps are not affected"
    elif steady > 5_000_000:
        state, way_out = "warn", "UTC moved while we looked: the clock is being set, or the machine is busy"
    yield Finding("clock", state, detail, way_out)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    system,
    packages,
    processor,
    clock,
    disk,
    bus,
    lsl,
    brainflow,
    model,
    speed,
)
