"""Node and Source: what an author of a node derives from.

Both stand on Timeflux's ``Node``, so the ``timeflux`` command runs them, too. The engine sets ``id``, ``now`` and
``rng`` before each update; under plain Timeflux, or driven by hand, they have working defaults.
"""

from __future__ import annotations

import contextlib
import difflib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, ClassVar

import numpy as np
from timeflux.core.node import Node as TimefluxNode

from volition.core.clock import Clock, LiveClock
from volition.core.errors import NodeError
from volition.core.events import Event
from volition.core.frames import EpochFrame, EventFrame, Frame, SignalFrame
from volition.core.ports import Port, PortSpec, SignalSpec, Spec

_CLOCK = LiveClock()


class Node(TimefluxNode):
    """Base of all nodes.

    Subclasses declare ports at class level, take typed parameters in ``__init__`` (which stores, and opens nothing),
    and implement ``update``. Before the first update ``start`` is called; whenever the input's segment, rate,
    channels or unit differ from what the memory was built for, ``restart`` is.
    """

    id: str = ""
    """The node's id in its app."""

    now: int = 0
    """The tick's time in ns UTC: the only clock a node may read."""

    wake: int | None = None
    """Set by ``update``: the time in ns UTC at which the node wants a tick though no data may have arrived."""

    engine_driven: bool = False
    """Whether a Volition engine runs the node (and not plain Timeflux, or a test)."""

    port_specs: ClassVar[Mapping[str, PortSpec]] = {}

    muted: bool = False
    """Set in a replay: a node that acts on the world outside (outlets, publishers, screens) must then keep still."""

    virtual: bool = False
    """Set where time is virtual: slow work takes no time there, so nothing may depend on how long it took."""

    clock: Clock = _CLOCK
    """The run's clock, for sources that stamp what arrives; all other nodes read ``now``."""

    _watched: ClassVar[tuple[str, ...]] = ()
    """Inputs whose identity a restart depends on."""
    _watches_more: ClassVar[bool] = False

    hears_reports: ClassVar[bool] = False
    """Whether the engine leads what all nodes of the app report to this node's port ``i_reports``."""

    journals_results: ClassVar[bool] = False
    """Whether ``results`` depend on more than the submitted arguments, such as on how long they took: they are then
    kept in the journal, and an exact replay takes them from there."""

    chunk_dependent: ClassVar[str] = ""
    """Why the outputs depend on how the input was cut; empty for nearly all nodes, which do not."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        specs: dict[str, PortSpec] = {}
        for base in reversed(cls.__mro__):
            for value in vars(base).values():
                if isinstance(value, PortSpec):
                    specs[value.name] = value
        cls.port_specs = specs
        inputs = [spec for spec in specs.values() if spec.direction == "i"]
        cls._watched = tuple(spec.name for spec in inputs if not spec.many and spec.kind != "events")
        cls._watches_more = any(spec.many for spec in inputs)
        if "update" in vars(cls):
            cls.update = _prepared(vars(cls)["update"])  # type: ignore[method-assign, assignment]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        node = super().__new__(cls)
        node.ports = {name: Port() for name, spec in cls.port_specs.items() if not spec.many}
        node.rng = np.random.default_rng(0)
        node._identities = {}
        node._started = False
        node._inside = False
        node._reports = deque()
        node._jobs = None
        return node

    rng: np.random.Generator
    """The seeded generator: the only chance a node may use."""

    ports: dict[str, Any]
    _started: bool
    _identities: dict[str, tuple[Any, ...]]
    _reports: deque[tuple[int, str, dict[str, Any]]]
    _jobs: Any

    def __getattr__(self, name: str) -> Any:
        # Timeflux makes any port that is asked for; here only those that a "*" declaration covers.
        if name in {"i", "o"} or name[:2] in ("i_", "o_"):
            if name in self.ports:
                return self.ports[name]
            if any(spec.many and spec.matches(name) for spec in self.port_specs.values()):
                port = self.ports[name] = Port()
                return port
            near = difflib.get_close_matches(name, self.port_specs, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(repr, self.port_specs))}"
            raise NodeError(f"{self.id or type(self).__name__}: there is no port {name!r}{hint}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def bind(self, source: str, target: str) -> None:
        """Make the port ``target`` an alias of ``source``, as in Timeflux."""
        self.ports[target] = getattr(self, source)

    def clear(self) -> None:
        """Empty all ports."""
        for port in self.ports.values():
            port.clear()

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """What the outputs will be for given inputs, without running.

        The default gives what the class declares, with what it leaves open taken from the input ``i``.

        Raises
        ------
        NodeError
            When the inputs do not fit; ``volition check`` prints the message with the node's line.
        """
        given: dict[str, Spec] = {}
        for name, declared in self.port_specs.items():
            if declared.direction != "o" or declared.many or declared.spec is None:
                continue
            spec, source = declared.spec, inputs.get("i")
            if isinstance(spec, SignalSpec) and isinstance(source, SignalSpec):
                spec = SignalSpec(
                    spec.channels or source.channels,
                    source.rate if spec.rate is None else spec.rate,
                    (source.unit if spec.channels is None else None) if spec.unit is None else spec.unit,
                )
            given[name] = spec
        return given

    def start(self) -> None:
        """Open what the node needs: devices, files, models. Called once, before the first update."""

    def restart(self) -> None:
        """Forget: the next input is not the continuation of the last one. Called before the first input, too."""

    def update(self) -> None:
        """Read the inputs, write the outputs."""
        raise NotImplementedError

    def terminate(self) -> None:
        """Close what ``start`` opened. May be called twice, and before ``start``."""

    def report(self, event: Event, at: int | None = None) -> None:
        """Tell the engine something outside the ports: a loss, a gap, an error.

        Reports are recorded, published and shown by ``volition run``.
        """
        self._reports.append(event.at(self.now if at is None else at))

    def take_reports(self) -> list[tuple[int, str, dict[str, Any]]]:
        """The reports since the last call."""
        reports = []
        while self._reports:  # a source's own thread may be adding
            reports.append(self._reports.popleft())
        return reports

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Run slow work off the tick; its result is in ``results()`` of a later tick.

        The work must depend on its arguments only, or ``journals_results`` be set. Without an engine it runs at once.
        """
        if self._jobs is None:
            self._jobs = InlineJobs()
        self._jobs.submit(function, args)

    def results(self) -> list[Any]:
        """Results of submitted work that have come back, in the order of submission; an exception is raised."""
        return [] if self._jobs is None else self._jobs.take()

    def pack_result(self, result: Any) -> Any:
        """A result as msgpack can write it, for nodes with ``journals_results``."""
        return result

    def unpack_result(self, packed: Any) -> Any:
        """The inverse of ``pack_result``."""
        return packed

    @property
    def busy(self) -> bool:
        """Whether submitted work has not come back yet."""
        return self._jobs is not None and self._jobs.pending > 0

    def open(self) -> None:
        """Call ``start`` unless that has happened; the engine does so before the first tick."""
        if not self._started:
            self._started = True
            self.start()

    def _prepare(self) -> None:
        self.open()
        if not self.engine_driven:
            self.now = _CLOCK.now()
        stale = False
        for name in self._watched if not self._watches_more else [n for n in self.ports if n[0] == "i"]:
            port = self.ports[name]
            frame = port._frame if port._frame is not None else port.frame
            if frame is None or type(frame) is EventFrame or not len(frame):
                continue
            identity = frame.identity
            if self._identities.get(name) != identity:
                self._identities[name] = identity
                stale = True
        if stale:
            self.restart()


def _prepared(update: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap an ``update`` so that start and restart happen whoever calls it."""

    def prepared(self: Any) -> None:
        if self._inside:  # super().update() of a subclass
            update(self)
            return
        self._inside = True
        try:
            self._prepare()
            update(self)
        finally:
            self._inside = False

    prepared.__doc__ = update.__doc__
    prepared.__wrapped__ = update  # type: ignore[attr-defined]
    return prepared


class InlineJobs:
    """Runs submitted work at once: for nodes driven by hand or by plain Timeflux."""

    def __init__(self) -> None:
        self._done: list[Future[Any]] = []

    @property
    def pending(self) -> int:
        """How many results have not been taken."""
        return len(self._done)

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Run ``function(*args)``."""
        self._done.append(done_at_once(function, args))

    def take(self) -> list[Any]:
        """All results; the exception of failed work is raised."""
        done, self._done = self._done, []
        return [future.result() for future in done]


def done_at_once(function: Callable[..., Any], args: tuple[Any, ...]) -> Future[Any]:
    """``function(*args)``, done, with its result or its exception."""
    future: Future[Any] = Future()
    try:
        future.set_result(function(*args))
    except Exception as error:
        future.set_exception(error)
    return future


Arrival = tuple[str, Frame]


class Source(Node):
    """A node that data comes in through.

    Subclasses implement ``poll``; the engine calls it from a thread of the source's own, and ``update`` puts what has
    arrived on the ports. A replay fills the same inbox from a recording, under the node's id, and never calls
    ``start`` or ``poll``.
    """

    replayed: bool = False
    """Whether a recording stands in for the device."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        node = super().__new__(cls, *args, **kwargs)
        node.inbox = deque()
        return node

    inbox: deque[Arrival]

    def poll(self, timeout: float) -> list[Arrival]:
        """Wait up to ``timeout`` seconds, in C code, for data; give (port name, frame) pairs, empty when none came.

        A frame never spans a gap: what follows a gap is a new frame with the next segment number.
        """
        raise NotImplementedError

    def update(self) -> None:
        """Put what has arrived on the ports, up to the next gap."""
        if not self.engine_driven:
            self.inbox.extend(self.poll(0.0))
        pending: dict[str, list[Any]] = {}
        while self.inbox:
            name, frame = self.inbox[0]
            before = pending.get(name)
            if before is not None and _broken(before[-1], frame):
                break  # the rest waits for a tick of its own
            pending.setdefault(name, []).append(frame)
            self.inbox.popleft()
        for name, frames in pending.items():
            self.ports[name].frame = type(frames[0]).concat(frames)

    def open(self) -> None:
        """As ``Node.open``, but a replayed source opens nothing."""
        if not self.replayed:
            super().open()


def _broken(before: Any, after: Any) -> bool:
    if isinstance(before, EpochFrame):
        return True
    return isinstance(before, SignalFrame) and before.identity != after.identity


def drive(node: Node, now: int | None = None, **inputs: Frame) -> dict[str, Any]:
    """Run one tick of a node by hand: set inputs, update, give the frames of the output ports.

    For tests and notebooks: ``drive(Bandpass(1, 20), i=frame)["o"]``.
    """
    node.clear()
    node.engine_driven = True
    if now is not None:
        node.now = now
    for name, frame in inputs.items():
        getattr(node, name).frame = frame
    with contextlib.suppress(AttributeError):
        del node.wake
    node.update()
    return {name: port.frame for name, port in node.ports.items() if name[0] == "o" and port.frame is not None}
