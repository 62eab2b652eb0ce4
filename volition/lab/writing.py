"""Phrases written by a simulated person, on virtual time, with the nodes that write live.

Phrases are written in sittings of a fixed number. A sitting is an app of its own, with a seed of its own, so that the
result does not depend on how sittings are spread over processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from volition.core.errors import LoadError, SessionError
from volition.engine.virtual import VirtualApp
from volition.lab.lm import portion
from volition.lab.people import PEOPLE, Person
from volition.lab.scribe import START, Scribe, Written
from volition.nodes.text.find import SMOLLM2, TABLE

SITTING = 25
"""Phrases of a sitting."""


Progress = Callable[[float], None]


def sitting(
    person: Person, phrases: Sequence[str], seed: int, params: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Written]:
    """Some phrases, one after the other, in one app.

    Parameters
    ----------
    person
        Who writes.
    phrases
        What they want to write.
    seed
        Of all chance.
    params
        Parameters by node of the app that replace the person's.

    Raises
    ------
    SessionError
        When the app comes to a halt before the phrases are written.
    """
    left = list(phrases)
    done: list[Written] = []
    while left:
        scribe = _write(person, left, seed, params)
        if not scribe.done:
            raise SessionError(f"{person.name}: nothing happened after {left[0]!r}; is there a channel that speaks?")
        done += scribe.done
        left = left[len(scribe.done) :]
    return done


def _write(person: Person, phrases: Sequence[str], seed: int, params: Mapping[str, Mapping[str, Any]] | None) -> Scribe:
    """Phrases up to the last, or to one that was given up."""
    more = {node: dict(given) for node, given in (params or {}).items()}
    more["user"] = {**more.get("user", {}), "phrases": list(phrases)}
    runner = VirtualApp(person.app(more), seed, muted=False)  # a profile is written to, when one is named
    scribe = Scribe(phrases)
    try:
        for now in runner.live(START, scribe):
            if scribe.current is None:
                break
            if scribe.overdue(now):
                scribe.give_up(now)
                break
    finally:
        runner.close()
    return scribe


@dataclass(frozen=True)
class Plan:
    """Who writes with what.

    Attributes
    ----------
    person
        Who writes.
    model
        As ``find_model`` takes it, or ``TABLE``.
    seed
        Of all chance, together with the number of the sitting.
    params
        Parameters by node of the app that replace the person's.
    jobs
        Processes; the result does not depend on them.
    dask
        Address of a Dask scheduler to use in their place.
    sitting
        Phrases that are written one after the other in one app.
    """

    person: Person
    model: str = SMOLLM2
    seed: int = 0
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    jobs: int = 1
    dask: str = ""
    sitting: int = SITTING

    def settings(self) -> dict[str, dict[str, Any]]:
        """All parameters that replace the person's."""
        given = {node: dict(params) for node, params in self.params.items()}
        given["generator"] = {"model": self.model, "threads": 1, **given.get("generator", {})}
        return given


@dataclass(frozen=True)
class Run:
    """What was written, under a name, and its figures."""

    name: str
    written: list[Written]
    figures: dict[str, Any]


def write(plan: Plan, phrases: Sequence[str], progress: Progress | None = None) -> list[Written]:
    """Phrases in sittings, in their order.

    Parameters
    ----------
    plan
        Who writes with what.
    phrases
        What they want to write.
    progress
        Called with the part that is done, 0..1.

    Raises
    ------
    LoadError, SessionError
        When the plan cannot be carried out.
    """
    from joblib import Parallel, delayed, parallel_config

    parts = [list(phrases[n : n + plan.sitting]) for n in range(0, len(phrases), plan.sitting)]
    given = plan.settings()
    tasks = (delayed(sitting)(plan.person, part, plan.seed * 100_003 + n, given) for n, part in enumerate(parts))
    found: list[Written] = []
    with _workers(plan), parallel_config(**({"backend": "dask"} if plan.dask else {"n_jobs": plan.jobs})):
        for done, part in enumerate(Parallel(return_as="generator")(tasks), 1):
            found += part
            if progress is not None:
                progress(done / len(parts))
    return found


@contextmanager
def _workers(plan: Plan) -> Iterator[None]:
    """Where sittings are written; processes do not outlive them."""
    from joblib.externals.loky import get_reusable_executor

    if plan.dask:
        with _cluster(plan.dask):
            yield
        return
    try:
        yield
    finally:
        if plan.jobs > 1:
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    try:
        from distributed import Client
    except ImportError:
        raise LoadError("--dask wants the package distributed: pip install distributed") from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise LoadError(f"no Dask scheduler answers at {address}: {error}") from None
    try:
        yield
    finally:
        client.close()


def letters_only(phrases: Sequence[str], key_every: float) -> list[Written]:
    """What the phrases take when every letter is typed."""
    return [Written(p, p, round(len(p) * key_every, 3), letters=len(p)) for p in phrases]


def write_all(
    plan: Plan, phrases: Sequence[str], *, compare: bool = False, progress: Progress | None = None
) -> list[Run]:
    """The plan's run, and with ``compare`` what it is to be compared with.

    Beside it then stand the same person typing letters only, with the small table of words in place of the model, with
    all options of the model held equally likely, and, where the person has other channels than gaze, with gaze alone.
    """
    from volition.lab.writing_figures import figures

    plans = {plan.person.name: plan}
    if compare:
        plans |= _others(plan)
    found: list[Run] = []
    for number, (name, other) in enumerate(plans.items()):
        part = portion(progress, number / len(plans), (number + 1) / len(plans))
        written = write(other, phrases, part)
        found.append(Run(name, written, figures(written)))
    if compare:
        app = plan.person.app(plan.settings())
        user = next(node for graph in app.graphs for node in graph.nodes if node.id == "user")
        written = letters_only(phrases, user.params.get("key_every", 0.35))
        found.append(Run("letters only", written, figures(written)))
    return found


def _others(plan: Plan) -> dict[str, Plan]:
    alike = {**plan.params, "fusion": {**plan.params.get("fusion", {}), "uniform": True}}
    others = {"small table": replace(plan, model=TABLE), "all alike": replace(plan, params=alike)}
    gaze = tuple(channel for channel in plan.person.channels if channel in ("looks", "gaze"))
    if gaze and gaze != plan.person.channels:
        others["gaze only"] = replace(plan, person=replace(plan.person, channels=gaze))
    if plan.person.name != "oracle":
        others["oracle"] = replace(plan, person=PEOPLE["oracle"])
    return others
