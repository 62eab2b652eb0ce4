"""Evaluating gaze evidence, on recordings streamed through the app that will run live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from volition.core.clock import nanoseconds
from volition.core.errors import LoadError, SessionError
from volition.core.frames import EventFrame, SignalFrame
from volition.core.places import find
from volition.engine.app import App, NodeDef
from volition.engine.load import load
from volition.engine.recording import node_class
from volition.engine.replay import replay
from volition.nodes.gaze.likelihood import GazeOnBox, scale_of
from volition.sessions.reader import Session

Progress = Callable[[float], None]
SCREEN = (1920.0, 1080.0)
"""Of layouts in norm that do not say: its proportions matter, and the pixels in which errors are told."""


def evaluate(
    session: str | Path | Session,
    graph: str | Path = "gaze.yaml",
    *,
    seconds: float = 3.0,
    chunk: int = 26,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Replay a cued recording through the app, and compare each prompt's likeliest box with the cued one.

    The evidence of a prompt is summed from its layout up to ``seconds`` after its first flash, while the
    person is asked to look; without flashes, up to the next prompt.

    Parameters
    ----------
    session
        A recording with the streams ``gaze``, ``layout`` and ``cue``, and perhaps ``flash``.
    graph
        The app, or the name of a shipped one.
    seconds
        How long after the first flash gaze counts.
    chunk
        Samples a tick.
    progress
        Called with the part that is done, 0..1.

    Returns
    -------
    dict
        ``prompts_right``, ``prompts_total``; ``prompts_wrong``, a list of what was cued and found;
        ``log_loss``, the mean of -log of the posterior of the cued box, all boxes being equally likely
        before; ``error_px_median`` and ``error_px_p90``, from the median gaze of a prompt to the centre of
        the cued box.
    """
    session = Session.open(session) if isinstance(session, (str, Path)) else session
    app = load(find("graphs", graph))
    node = _likelihood_of(app)
    prompts = prompts_of(
        session.stream("layout").events, session.stream("cue").events, _flashes(session), nanoseconds(seconds)
    )
    result = replay(app, session, chunk=chunk, taps=[(node.id, "o")], progress=progress)
    totals = _summed(result.events(node.id), prompts)
    right, wrong, losses = 0, [], []
    for menu, (_, _, target, layout) in prompts.items():
        log_v = totals[menu]
        best = max(log_v, key=lambda box: log_v[box]) if log_v else ""
        right += best == target
        if best != target:
            wrong.append({"prompt": menu, "cued": target, "found": best})
        values = np.array([log_v.get(box["id"], 0.0) for box in layout["boxes"]])
        losses.append(float(np.logaddexp.reduce(values) - log_v.get(target, 0.0)))
    errors = [e for prompt in prompts.values() if (e := _error(session.stream("gaze").frames, prompt)) is not None]
    return {
        "prompts_right": right,
        "prompts_total": len(prompts),
        "prompts_wrong": wrong,
        "log_loss": round(float(np.mean(losses)), 4),
        "error_px_median": round(float(np.median(errors)), 1) if errors else None,
        "error_px_p90": round(float(np.percentile(errors, 90)), 1) if errors else None,
        "sha256": result.sha256,
        "realtime_factor": result.realtime_factor,
    }


Prompt = tuple[int, int, str, Mapping[str, Any]]
"""From, until (ns UTC), the id of the cued box, the layout."""


def prompts_of(layouts: EventFrame, cues: EventFrame, flashes: EventFrame | None, length: int) -> dict[int, Prompt]:
    """The prompts by menu: what was cued for each layout, and the time in which the person was to look.

    Raises
    ------
    SessionError
        When no layout with a menu has a cue.
    """
    shown = [(time, data) for time, _, data in layouts if data.get("menu") is not None]
    targets = {data["menu"]: data["target"] for _, _, data in cues if data.get("menu") is not None}
    first_flash: dict[int, int] = {}
    for time, _, data in flashes or ():
        first_flash.setdefault(data["menu"], time)
    prompts: dict[int, Prompt] = {}
    for k, (time, layout) in enumerate(shown):
        menu = layout["menu"]
        end = shown[k + 1][0] if k + 1 < len(shown) else np.iinfo(np.int64).max
        if menu in first_flash:
            end = min(end, first_flash[menu] + length)
        if menu in targets:
            prompts[menu] = (time, int(end), targets[menu], layout)
    if not prompts:
        raise SessionError("there is nothing to evaluate: no cue says what was to be looked at in a layout")
    return prompts


def _flashes(session: Session) -> EventFrame | None:
    return session.stream("flash").events if "flash" in session.streams else None


def _likelihood_of(app: App) -> NodeDef:
    found = [n for graph in app.graphs for n in graph.nodes if issubclass(node_class(n), GazeOnBox)]
    if len(found) != 1:
        raise LoadError(f"{app.path}: expected one GazeOnBox node, found {[n.id for n in found]}")
    return found[0]


def _summed(
    evidence: Sequence[tuple[int, str, Mapping[str, Any]]], prompts: Mapping[int, Prompt]
) -> dict[int, dict[str, float]]:
    totals: dict[int, dict[str, float]] = defaultdict(dict)
    for time, _, data in evidence:
        menu = data["menu"]
        if menu in prompts and time <= prompts[menu][1]:
            for box, value in data["llr"].items():
                totals[menu][box] = totals[menu].get(box, 0.0) + value
    return totals


def _error(frames: Sequence[Any], prompt: Prompt) -> float | None:
    """Distance in px from the median gaze to the centre of the cued box; None without gaze or box."""
    start, end, target, layout = prompt
    box = next((b for b in layout["boxes"] if b["id"] == target), None)
    screen = layout.get("screen") or SCREEN
    points = [
        frame.values[slice(*np.searchsorted(frame.times, [start, end]))][:, frame.indices(["x", "y"])]
        * scale_of(frame.unit[frame.channels.index("x")], screen)
        for frame in frames
        if isinstance(frame, SignalFrame)
    ]
    gaze = np.concatenate(points) if points else np.empty((0, 2))
    gaze = gaze[np.isfinite(gaze).all(axis=1)]
    if box is None or not len(gaze):
        return None
    centre = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    centre = centre * scale_of(layout.get("unit", "px"), screen)
    return float(np.linalg.norm(np.median(gaze, axis=0) - centre) * screen[1])
