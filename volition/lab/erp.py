"""Calibrating and evaluating the ERP decoder, on recordings streamed through the app that will run live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from volition.core.clock import nanoseconds
from volition.core.errors import LoadError, SessionError
from volition.core.frames import EpochFrame, SignalFrame
from volition.core.node import Source
from volition.core.places import find
from volition.engine.app import App, NodeDef
from volition.engine.load import load
from volition.engine.recording import node_class
from volition.engine.replay import replay, upstream
from volition.nodes.eeg.erp import ErpDecoder, ErpModel
from volition.nodes.eeg.erp_fit import Settings, area_under_curve, fit
from volition.sessions.reader import Session

Progress = Callable[[float], None]
ROUNDS = (1, 3, 5, 10)
"""After how many flashes of each row and column letters are counted, beside all of them."""


@dataclass(frozen=True)
class Flashed:
    """One flash: what lit up for which menu, whether it held the target, and what was made of it."""

    menu: int
    ids: tuple[str, ...]
    target: bool
    llr: float


def calibrate(
    session: str | Path | Session | Mapping[str, Any],
    out: str | Path,
    graph: str | Path = "p300.yaml",
    *,
    settings: Settings | None = None,
    skip: float = 5.0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fit a model to a cued recording and write it.

    The recording is replayed through the app up to its ``ErpDecoder``, so that the model sees the epochs
    that it will see live. Left out are flashes in the first ``skip`` seconds of the signal, where the
    filters and the amplifier may still settle, epochs with NaN, and those beyond ``settings.reject``.

    Parameters
    ----------
    session
        A recording with ``flash`` events that state ``target``; its path, itself, or frames by stream name.
    out
        File of the model.
    graph
        The app, or the name of a shipped one.
    settings
        What cross-validation may choose from.
    skip
        Seconds to leave out at the beginning.
    progress
        Called with the part that is done, 0..1.

    Returns
    -------
    dict
        ``auc``, ``letters``, ``letters_right``, ``letters_total``, ... all cross-validated on this recording.
    """
    app = load(find("graphs", graph))
    epochs, n_early, dropped = cued_epochs(session, app, skip, progress)
    _, cutter = decoder_of(app)
    targets = np.array([bool(data["target"]) for data in epochs.data])
    fitted = fit(epochs, targets, describe_preprocessing(app, cutter), settings)
    fitted.model.save(out)
    used = np.flatnonzero(fitted.usable)
    flashes = [
        Flashed(int(epochs.data[k]["menu"]), tuple(epochs.data[k]["ids"]), bool(targets[k]), float(llr))
        for k, llr in zip(used, fitted.llr, strict=True)
    ]
    header = fitted.model.header
    return {
        "auc": header.auc,
        **spelled(flashes),
        "flashes": len(flashes),
        "targets": header.n_targets,
        "flashes_left_out": n_early + int((~fitted.usable).sum()),
        "epochs_dropped": dropped,
        "n_filters": header.n_filters,
        "penalty": header.penalty,
        "preprocessing": header.preprocessing,
        "model": str(out),
        "model_sha256": fitted.model.sha256,
    }


def evaluate(
    session: str | Path | Session | Mapping[str, Any],
    model: str | Path,
    graph: str | Path = "p300.yaml",
    *,
    chunk: int = 26,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay a cued recording through the app with a model, and compare what is decoded with what was asked.

    Parameters
    ----------
    session
        A recording with ``flash`` events that state ``target``; its path, itself, or frames by stream name.
    model
        File of ``calibrate``, or the name of a shipped model.
    graph
        The app, or the name of a shipped one.
    chunk
        Samples a tick.
    progress
        Called with the part that is done, 0..1.

    Returns
    -------
    dict
        ``auc`` over single flashes; ``letters`` by the largest sum of evidence over each menu,
        ``target_letters``, ``letters_right``, ``letters_total``; ``letters_right_after`` so many rounds of
        flashes.
    """
    path = find("models", model)
    header = ErpModel.load(path).header
    app = load(find("graphs", graph))
    decoder, cutter = decoder_of(app)
    result = replay(
        _up_to_and_with(app, decoder),
        _opened(session),
        chunk=chunk,
        override={decoder.id: {"model": str(path)}},
        taps=[(cutter, "o"), (decoder.id, "o")],
        progress=progress,
    )
    flashes = _paired(result.taps[cutter, "o"], result.events(decoder.id))
    targets = np.array([flash.target for flash in flashes])
    if not flashes or targets.all() or not targets.any():
        raise SessionError("there is nothing to evaluate: no flash, or none of either kind, that states 'target'")
    preprocessing = describe_preprocessing(app, cutter)
    differs = f"the model was trained after {header.preprocessing}, the app has {preprocessing}"
    return {
        "auc": area_under_curve(np.array([flash.llr for flash in flashes]), targets),
        **spelled(flashes),
        "flashes": len(flashes),
        "targets": int(targets.sum()),
        "epochs_dropped": _count_dropped(result.reports),
        "auc_in_training": header.auc,
        "notes": [differs] if header.preprocessing != preprocessing else [],
        "model": str(path),
        "sha256": result.sha256,
        "realtime_factor": result.realtime_factor,
    }


def describe_preprocessing(app: App, node: str) -> str:
    """The nodes that a signal passes before ``node`` cuts it into epochs, with the parameters given."""
    parts = [n for graph in upstream(app, node).graphs for n in graph.nodes if not issubclass(node_class(n), Source)]
    return " > ".join(
        f"{n.class_name}({', '.join(f'{key}={n.params[key]}' for key in sorted(n.params))})" for n in parts
    )


def spelled(flashes: Sequence[Flashed]) -> dict[str, Any]:
    """The option of each menu with the largest sum of evidence, and whether it is the attended one.

    The attended one lies in all flashes that held the target and in no other; menus in which no option or
    more than one does are left out. Equal sums go to the id that comes first in the alphabet.
    """
    menus: dict[int, list[Flashed]] = defaultdict(list)
    for flash in flashes:
        menus[flash.menu].append(flash)
    wanted = {menu: letter for menu, of in sorted(menus.items()) if (letter := _attended(of))}
    found = {menu: _best(menus[menu]) for menu in wanted}
    most = max((max(_round_numbers(menus[menu])) + 1 for menu in wanted), default=0)
    return {
        "letters": "".join(found.values()),
        "target_letters": "".join(wanted.values()),
        "letters_right": sum(found[menu] == wanted[menu] for menu in wanted),
        "letters_total": len(wanted),
        "letters_right_after": {
            str(rounds): sum(_best(_first_rounds(menus[menu], rounds)) == wanted[menu] for menu in wanted)
            for rounds in sorted({*(r for r in ROUNDS if r < most), most} - {0})
        },
    }


def _attended(flashes: Sequence[Flashed]) -> str:
    lit = [set(flash.ids) for flash in flashes if flash.target]
    dark = [set(flash.ids) for flash in flashes if not flash.target]
    common = set.intersection(*lit).difference(*dark) if lit else set()
    return common.pop() if len(common) == 1 else ""


def _best(flashes: Sequence[Flashed]) -> str:
    total: dict[str, float] = defaultdict(float)
    for flash in flashes:
        for option in flash.ids:
            total[option] += flash.llr
    return max(sorted(total), key=lambda option: total[option])


def _round_numbers(flashes: Sequence[Flashed]) -> list[int]:
    """For each flash, how often the same boxes had flashed before."""
    seen: dict[tuple[str, ...], int] = defaultdict(int)
    numbers = []
    for flash in flashes:
        numbers.append(seen[flash.ids])
        seen[flash.ids] += 1
    return numbers


def _first_rounds(flashes: Sequence[Flashed], rounds: int) -> list[Flashed]:
    return [f for f, number in zip(flashes, _round_numbers(flashes), strict=True) if number < rounds]


def _opened(session: str | Path | Session | Mapping[str, Any]) -> Session | Mapping[str, Any]:
    return Session.open(session) if isinstance(session, (str, Path)) else session


def _first_sample(session: Session | Mapping[str, Any]) -> int:
    streams: Iterable[Any] = (
        [stream.frames for stream in session.streams.values()] if isinstance(session, Session) else session.values()
    )
    frames = [frame for some in streams for frame in (some if isinstance(some, (list, tuple)) else [some])]
    return min((int(f.times[0]) for f in frames if isinstance(f, SignalFrame) and len(f)), default=0)


def cued_epochs(
    session: str | Path | Session | Mapping[str, Any], app: App, skip: float, progress: Progress | None = None
) -> tuple[EpochFrame, int, int]:
    """The epochs that an app's ``ErpDecoder`` sees of a cued recording, how many were too early, how many dropped.

    Parameters
    ----------
    session, app
        The recording is replayed through the app up to its decoder.
    skip
        Seconds of the signal to leave out at the beginning.
    progress
        Called with the part that is done, 0..1.

    Raises
    ------
    SessionError
        When there are no labelled epochs, or the signal changes within the recording.
    """
    decoder, cutter = decoder_of(app)
    session = _opened(session)
    result = replay(app, session, taps=[(cutter, "o")], upto=decoder.id, progress=progress, digest=False)
    earliest = _first_sample(session) + nanoseconds(skip)
    epochs, early = _joined(result.taps[cutter, "o"], earliest)
    return epochs, early, _count_dropped(result.reports)


def decoder_of(app: App) -> tuple[NodeDef, str]:
    """The app's ``ErpDecoder``, and the id of the node that cuts its epochs."""
    decoders = [n for graph in app.graphs for n in graph.nodes if issubclass(node_class(n), ErpDecoder)]
    if len(decoders) != 1:
        raise LoadError(f"{app.path}: expected one ErpDecoder node, found {[n.id for n in decoders]}")
    edges = [e for graph in app.graphs for e in graph.edges if e.target_node == decoders[0].id]
    if not edges:
        raise LoadError(f"{app.path}: nothing leads to the node {decoders[0].id!r}")
    return decoders[0], edges[0].source_node


def _up_to_and_with(app: App, node: NodeDef) -> App:
    part = upstream(app, node.id)
    graph = next(graph for graph in app.graphs if node in graph.nodes)
    edges = [e for e in graph.edges if e.target_node == node.id]
    whole = replace(part.graphs[0], nodes=[*part.graphs[0].nodes, node], edges=[*part.graphs[0].edges, *edges])
    return replace(part, graphs=[whole])


def _joined(frames: Sequence[EpochFrame], earliest: int) -> tuple[EpochFrame, int]:
    """All labelled epochs from ``earliest`` on as one frame, in order of time, and how many are earlier."""
    if not frames:
        raise SessionError(
            "no flash of the recording has an epoch: are there flash events, and the signal around them?"
        )
    first = frames[0]
    if any(frame.identity != first.identity for frame in frames):
        raise SessionError(
            "the signal changes its rate, channels or unit within the recording: calibrate on one of them"
        )
    times = np.concatenate([frame.times for frame in frames])
    values = np.concatenate([frame.values for frame in frames])
    ready = np.concatenate([frame.ready for frame in frames])
    data = [one for frame in frames for one in frame.data]
    labelled = np.array([one.get("target") is not None for one in data])
    if not labelled.any():
        raise SessionError("the flashes do not say which held the target: record them with a cue")
    order = np.argsort(times, kind="stable")
    keep = order[(labelled & (times >= earliest))[order]]
    epochs = EpochFrame(
        times[keep],
        values[keep],
        first.channels,
        [data[k] for k in keep],
        ready[keep],
        first.rate,
        first.start,
        first.unit,
    )
    return epochs, int((labelled & (times < earliest)).sum())


def _paired(frames: Sequence[EpochFrame], evidence: Sequence[tuple[int, str, Mapping[str, Any]]]) -> list[Flashed]:
    """The evidence of each labelled epoch; those that gave none are left out."""
    found: dict[tuple[int, int, tuple[str, ...]], float] = {}
    for time, _, data in evidence:
        ids = tuple(data["llr"])
        found[time, data["menu"], ids] = data["llr"][ids[0]]
    flashes = []
    for frame in frames:
        for ready, data in zip(frame.ready.tolist(), frame.data, strict=True):
            key = (ready, data["menu"], tuple(data["ids"]))
            if data.get("target") is not None and key in found:
                flashes.append(Flashed(data["menu"], key[2], bool(data["target"]), found[key]))
    return flashes


def _count_dropped(reports: Iterable[tuple[int, str, Mapping[str, Any]]]) -> int:
    return sum(data["count"] for _, label, data in reports if label == "dropped" and data["what"] == "epoch")
