"""One graph, ready to tick: nodes in topological order, and what moves along each edge.

A tick goes once through the nodes. Nodes of ours are skipped when nothing arrived for them, no timer is due and no
slow work has come back; Timeflux nodes are updated at every tick, as they expect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from timeflux.core.node import Node as TimefluxNode
from timeflux.core.registry import Registry

from volition.core.clock import Clock
from volition.core.errors import LoadError
from volition.core.frames import EventFrame, Frame
from volition.core.node import Node, Source
from volition.core.params import build
from volition.core.ports import Port
from volition.engine.load import EdgeDef, GraphDef, NodeDef
from volition.engine.modules import import_module
from volition.engine.step import Age, Mailbox, Step

REPORTS = "$reports"
"""The node id that edges from a graph's reports start at."""


def instantiate(definition: NodeDef) -> TimefluxNode:
    """Import the class of a node and build it with checked parameters.

    Raises
    ------
    LoadError
        When the module, the class or a parameter is wrong.
    """
    params = definition.params
    try:
        cls = getattr(import_module(definition.module), definition.class_name)
    except ModuleNotFoundError as error:
        raise LoadError(f"{definition.id}: no module named {error.name!r}; volition check says more") from None
    except AttributeError:
        raise LoadError(
            f"{definition.id}: no class {definition.class_name!r} in {definition.module}; volition check says more"
        ) from None
    if not issubclass(cls, Node):
        foreign: TimefluxNode = cls(**params)
        return foreign
    node: Node = build(cls, params, definition.id)
    node.id = definition.id
    return node


class Graph:
    """The running form of a ``GraphDef``.

    Parameters
    ----------
    definition
        As loaded.
    nodes
        The nodes by id.
    seed
        Seeds each node's ``rng``, together with the graph's and the node's id.
    clock
        Read for the age of frames only; None leaves ages out.
    """

    def __init__(
        self,
        definition: GraphDef,
        nodes: Mapping[str, TimefluxNode],
        seed: int = 0,
        clock: Clock | None = None,
    ):
        self.id = definition.id
        self.rate = definition.rate
        self.nodes = dict(nodes)
        self.reports: list[tuple[str, tuple[int, str, dict[str, Any]]]] = []
        self._clock = clock
        self.ages: dict[str, Age] = {}
        self._foreign = [n for n in nodes.values() if not isinstance(n, Node)]
        for node_id, node in nodes.items():
            if isinstance(node, Node):
                node.engine_driven = True
                node.rng = np.random.default_rng([seed, *f"{self.id}.{node_id}".encode()])
        self.steps = [Step(self.nodes[i], i) for i in topological_order(definition)]
        self._by_id = {step.id: step for step in self.steps}
        self._connect(definition.edges)
        self.in_foreign = False
        self.current = ""
        """The node that is being updated, or was last."""

    def _connect(self, edges: Sequence[EdgeDef]) -> None:
        for edge in edges:
            step = self._by_id[edge.target_node]
            source, target = self.nodes[edge.source_node], self.nodes[edge.target_node]
            simple = isinstance(source, Node) and isinstance(target, Node) and not edge.source_port.endswith("*")
            if simple:
                age = None
                if self._clock is not None:
                    age = self.ages[_edge_name(edge)] = Age()
                step.direct.append((getattr(source, edge.source_port), getattr(target, edge.target_port), age))
            else:
                step.general.append((source, edge.source_port, edge.target_port))

    def mailbox(self, node: str, port: str, name: str = "") -> Mailbox:
        """A new mailbox for frames that come to ``port`` of ``node`` from another graph."""
        box = Mailbox(node, port, name)
        if self._clock is not None:
            box.age = self.ages.setdefault(name or f"-> {node}", Age())
        self._by_id[node].mailboxes.append(box)
        return box

    @property
    def sources(self) -> dict[str, Source]:
        """The sources by id."""
        return {i: n for i, n in self.nodes.items() if isinstance(n, Source)}

    def admit(self) -> None:
        """Let the next tick take only what has come from other graphs by now.

        Called before the tick's time is read, this makes every message older than the tick that takes it, so that the
        ticks of all graphs, in the order of their times, tell causes before effects.
        """
        for step in self.steps:
            for box in step.mailboxes:
                box.admitted = len(box.frames)

    def tick(self, now: int) -> list[Any]:
        """Update every node that has something to do.

        Returns
        -------
        list
            The tick's journal entry: now, then [node, kind, count] of each input that came from outside, or
            [node, "answers", results] where a node wants its results kept.
        """
        entry: list[Any] = [now]
        if self._foreign:
            Registry.cycle_start = now / 1e9
            Registry.rate = self.rate or 0
        for step in self.steps:
            if step.ours:
                self._tick_ours(step, now, entry)
            else:
                step.node.clear()
                _, counts = step.receive(self._clock)
                _journal_mail(entry, step, counts)
                self.current = step.id
                self.in_foreign = True
                step.node.update()
                self.in_foreign = False
        return entry

    def _tick_ours(self, step: Step, now: int, entry: list[Any]) -> None:
        node = step.node
        if step.dirty:
            step.clear()
            step.dirty = False
        arrived, counts = step.receive(self._clock)
        if counts:
            _journal_mail(entry, step, counts)
        if self._due(step, now, entry) or arrived:
            step.fresh, step.dirty = False, True
            node.wake = None
            node.now = now
            self.current = step.id
            node.update()
            if step.source:
                for name, port in node.ports.items():
                    if port._frame is not None:
                        entry.append([step.id, name, len(port._frame)])
        if node._reports:  # of the update, or of a source's own thread
            self.reports.extend((step.id, report) for report in node.take_reports())

    def _due(self, step: Step, now: int, entry: list[Any]) -> bool:
        """Whether a node has something to do though no frame came along an edge."""
        node = step.node
        due: bool = step.fresh or (step.source and bool(node.inbox))
        if node.wake is not None and node.wake <= now:
            due = True
        if node._jobs is not None:
            ready = node._jobs.collect(now)
            if ready:
                entry.append(_journal_results(step, ready))
                due = True
        return due

    def take_reports(self) -> EventFrame | None:
        """What nodes reported since the last call, as one frame in order of time."""
        if not self.reports:
            return None
        reports = sorted((r for _, r in self.reports), key=lambda r: r[0])
        self.reports = []
        return EventFrame.of(*reports)

    def pending(self) -> bool:
        """Whether something waits for another tick right away."""
        for step in self.steps:
            if step.source and step.node.inbox:
                return True
            for box in step.mailboxes:
                if box.frames:
                    return True
        return False

    def deadline(self) -> int | None:
        """When the next timer is due, in ns UTC; None when there is none."""
        soonest: int | None = None
        for step in self.steps:
            if step.ours:
                node: Any = step.node
                wake = node.wake
                if wake is not None and (soonest is None or wake < soonest):
                    soonest = wake
                if node._jobs is not None:
                    due = node._jobs.deadline
                    if due is not None and (soonest is None or due < soonest):
                        soonest = due
        return soonest

    def outputs(self) -> Iterable[tuple[str, str, Frame]]:
        """(node id, port name, frame) of all outputs of nodes of ours that this tick filled."""
        for step in self.steps:
            if step.ours and step.dirty:
                for name, frame in step.outputs():
                    yield step.id, name, frame

    def output(self, node: str, port: str) -> list[Frame]:
        """The frames that a (perhaps globbed) output holds now, converted from pandas where needed."""
        frames = []
        for _, _, source in self.nodes[node].iterate(port):
            if source.ready():
                if isinstance(source, Port):
                    frames.append(source.frame)
                else:
                    carrier = Port()
                    carrier.data, carrier.meta = source.data, source.meta
                    frames.append(carrier.frame)
        return [frame for frame in frames if frame is not None]

    def terminate(self, on_error: Callable[[str, Exception], None]) -> None:
        """Terminate every node, sinks last; an error in one does not spare the others."""
        for step in self.steps:
            jobs = getattr(step.node, "_jobs", None)
            if jobs is not None and hasattr(jobs, "close"):
                jobs.close()
            try:
                step.node.terminate()
            except Exception as error:
                on_error(step.id, error)


def _journal_mail(entry: list[Any], step: Step, counts: list[int]) -> None:
    for box, count in zip(step.mailboxes, counts, strict=True):
        if count:
            entry.append([step.id, box.name or box.port, count])


def _journal_results(step: Step, ready: int) -> list[Any]:
    node = step.node
    if not node.journals_results or not hasattr(node._jobs, "peek"):
        return [step.id, "results", ready]
    return [step.id, "answers", [node.pack_result(result) for result in node._jobs.peek()]]


def _edge_name(edge: EdgeDef) -> str:
    def end(node: str, port: str) -> str:
        return node if port in ("i", "o") else f"{node}:{port[2:]}"

    return f"{end(edge.source_node, edge.source_port)} -> {end(edge.target_node, edge.target_port)}"


def topological_order(definition: GraphDef) -> list[str]:
    """Node ids so that every edge points forward; nodes that are free to move keep the order of the file.

    Raises
    ------
    LoadError
        When the graph has a cycle.
    """
    order: list[str] = []
    waiting = {
        node.id: {e.source_node for e in definition.edges if e.target_node == node.id} for node in definition.nodes
    }
    while waiting:
        ready = [i for i, before in waiting.items() if not before - set(order)]
        if not ready:
            raise LoadError(f"graph {definition.id}: a cycle through {', '.join(waiting)}; break it across two graphs")
        order.append(ready[0])
        del waiting[ready[0]]
    return order
