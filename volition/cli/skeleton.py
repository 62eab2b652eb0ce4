"""The beginning of a source: a node that runs, its test, and a graph around it."""

from __future__ import annotations

import keyword
import re
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path

from volition.core.errors import LoadError

_NODE = '''\
"""A sensor of my own: one channel, a sine wave until a real device takes its place."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Annotated

import numpy as np

from volition.core import Gt, SignalFrame, SignalOut, SignalSpec, Source, Spec, Unit
from volition.core.clock import SECOND, Clock
from volition.core.events import Gap
from volition.core.node import Arrival

CHANNELS = ("signal",)
UNIT = "uV"


class FakeDevice:
    """Stands in for the device: 50 uV at 10 Hz, one sample every 1 / ``rate`` seconds from when it was made.

    Sample number k has the time and the value that k says, however often and however late it is read.
    """

    def __init__(self, rate: float, clock: Clock):
        self.rate = rate
        self._clock = clock
        self._begin = clock.now()
        self._count = 0
        self._closed = threading.Event()

    def read(self, timeout: float) -> tuple[np.ndarray, np.ndarray]:
        """Wait up to ``timeout`` seconds for the next sample; times in ns UTC (n,), values (n, 1) in uV."""
        early = (self._time(self._count) - self._clock.now()) / SECOND
        if timeout > 0 and early > 0:
            self._closed.wait(min(early, timeout))
        done = int((self._clock.now() - self._begin) * self.rate / SECOND) + 1
        numbers = np.arange(self._count, max(self._count, done))
        self._count = max(self._count, done)
        times = np.array([self._time(k) for k in numbers.tolist()], dtype=np.int64)
        return times, 50.0 * np.sin(2 * np.pi * 10.0 * numbers[:, None] / self.rate)

    def _time(self, number: int) -> int:
        return self._begin + round(number * SECOND / self.rate)

    def lose(self, n_samples: int) -> None:
        """Never give the next samples, as a bad connection does not."""
        self._count += n_samples

    def close(self) -> None:
        """Let go of a ``read`` that waits."""
        self._closed.set()


class {cls}(Source):
    """Samples of my sensor.

    A hole in the times is reported as ``gap`` and starts a new segment.
    """

    o = SignalOut(channels=list(CHANNELS), unit=UNIT)

    def __init__(self, rate: Annotated[float, Unit("Hz"), Gt(0)] = 250.0):
        """Store the settings.

        rate: samples a second.
        """
        self.rate = rate
        self._device: FakeDevice | None = None
        self._last: int | None = None
        self._segment = 0

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """What the output will be, known before anything runs."""
        return {{"o": SignalSpec(CHANNELS, self.rate, UNIT)}}

    def start(self) -> None:
        """Open the device."""
        self._device = FakeDevice(self.rate, self.clock)

    def poll(self, timeout: float) -> list[Arrival]:
        """Wait up to ``timeout`` seconds for samples; called from a thread of the source's own."""
        if self._device is None:
            return []
        times, values = self._device.read(timeout)
        if not len(times):
            return []
        self._look_for_a_gap(int(times[0]))
        self._last = int(times[-1])
        return [("o", SignalFrame(times, values, CHANNELS, self.rate, UNIT, self._segment))]

    def _look_for_a_gap(self, first: int) -> None:
        """Start a new segment after a hole, so that no filter runs on across it, and say so."""
        if self._last is not None and first - self._last > 1.5 * SECOND / self.rate:
            self._segment += 1
            seconds = (first - self._last) / SECOND
            self.report(Gap(source=self.id, start_ns=self._last, seconds=seconds), first)

    def terminate(self) -> None:
        """Close the device."""
        if self._device is not None:
            self._device.close()
            self._device = None
'''

_TEST = '''\
"""The sensor gives the same signal however it is read, and its graph is sound."""

from pathlib import Path

import numpy as np

from volition.core.clock import SECOND, VirtualClock
from volition.core.params import problems
from volition.engine.check import check
from volition.engine.load import beside

HERE = Path(__file__).parent

with beside(HERE):
    from {name} import {cls}


def read(steps: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of a sensor that is polled after each of ``steps``, in ns; no real time passes."""
    sensor = {cls}(rate=250.0)
    sensor.clock = clock = VirtualClock(SECOND)
    sensor.open()
    frames = []
    for step in steps:
        clock.set(clock.now() + step)
        frames += [frame for port, frame in sensor.poll(0.0)]
    sensor.terminate()
    return np.concatenate([f.times for f in frames]), np.concatenate([f.values for f in frames])


def test_a_second_holds_what_it_should() -> None:
    times, values = read([SECOND])
    seconds = (times - SECOND) / SECOND
    assert len(times) == 251  # both ends
    assert np.allclose(np.diff(times), 4_000_000)
    assert np.allclose(values[:, 0], 50 * np.sin(2 * np.pi * 10 * seconds))


def test_same_signal_however_it_is_polled() -> None:
    whole = read([SECOND])
    pieces = read([SECOND // 1000] * 500 + [SECOND // 20] * 10)
    assert np.array_equal(whole[0], pieces[0])
    assert np.array_equal(whole[1], pieces[1])


def test_a_hole_is_said_and_starts_a_segment() -> None:
    sensor = {cls}(rate=250.0)
    sensor.clock = clock = VirtualClock(SECOND)
    sensor.open()
    before = sensor.poll(0.0)
    assert sensor._device is not None
    sensor._device.lose(25)
    clock.set(2 * SECOND)
    after = sensor.poll(0.0)
    assert [frame.segment for _, frame in before + after] == [0, 1]
    assert [label for _, label, _ in sensor.take_reports()] == ["gap"]
    sensor.terminate()


def test_wrong_parameters_are_named() -> None:
    assert not problems({cls}, {{"rate": 500.0}})
    assert "rate" in problems({cls}, {{"rate": -1.0}})[0].message


def test_its_graph_is_sound() -> None:
    assert check(HERE / "{name}.yaml") == []
'''

_GRAPH = """\
# My sensor, cleaned, and out again as an LSL stream that other programs can read.
graphs:
  - id: main
    nodes:
      - id: sensor
        module: {name}
        class: {cls}
        params: {{rate: 250}}
      - id: clean
        module: volition.nodes.eeg.filters
        class: Bandpass
        params: {{low: 1, high: 30}}
      - id: out
        module: volition.nodes.outputs.lsl
        class: LslOutlet
        params: {{name: {name}, type: EEG}}
    edges:
      - {{source: sensor, target: clean}}
      - {{source: clean, target: out}}
"""


def class_name(name: str) -> str:
    """The class that a module is named after.

    >>> class_name("my_sensor")
    'MySensor'
    """
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _taken(name: str) -> bool:
    """Whether the module or its class would hide another one."""
    cls = class_name(name)
    installed = PathFinder.find_spec(name, [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    reserved = name in sys.stdlib_module_names or name in ("volition", "timeflux", "nodes")
    return reserved or installed is not None or keyword.iskeyword(cls) or f" {cls}" in _NODE


def write(name: str, folder: Path) -> list[Path]:
    """Write ``NAME.py``, ``test_NAME.py`` and ``NAME.yaml``.

    Parameters
    ----------
    name
        Of the module: small letters, digits and underscores.
    folder
        Where; made when it is not there.

    Raises
    ------
    LoadError
        When the name will not do, one of the files exists, or the folder cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise LoadError(f"{name!r} is no name for a module: take small letters, digits and _, as in my_sensor")
    if _taken(name):
        raise LoadError(f"{name!r} is the name of something else: take one of your own, such as my_{name}")
    texts = {
        folder / f"{name}.py": _NODE,
        folder / f"test_{name}.py": _TEST,
        folder / f"{name}.yaml": _GRAPH,
    }
    for path in texts:
        if path.exists():
            raise LoadError(f"{path} exists: choose another name, or delete it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text.format(name=name, cls=class_name(name)), encoding="utf-8")
    except OSError as error:
        raise LoadError(f"{folder} cannot be written: {error.strerror}") from None
    return list(texts)
