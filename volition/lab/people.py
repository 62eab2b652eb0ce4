"""Simulated people who write: their habits, and which channels their intentions come through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from volition.core.errors import LoadError
from volition.core.places import find
from volition.engine.app import App, with_params
from volition.engine.load import load

GRAPH = "simulated.yaml"
WITH_EEG = "simulated-eeg.yaml"

CHANNELS = {
    "looks": ("looks",),
    "scores": ("scores",),
    "doubts": ("doubts", "error"),
    "gaze": ("eyes", "gaze_on_box"),
    "engagement": ("alertness",),
    "epochs": ("answers", "decoder"),
}
"""Nodes of the app by channel: looks of a stated accuracy, scores of a stated d', error potentials, gaze in pixels,
alertness that comes and goes, and flashes answered by a real person's EEG."""


@dataclass(frozen=True)
class Person:
    """Somebody who writes.

    Attributes
    ----------
    name
        What they are called.
    about
        A line on them.
    channels
        Names of ``CHANNELS``.
    params
        Parameters by node of the app, where they differ.
    """

    name: str
    about: str
    channels: tuple[str, ...]
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def app(self, more: Mapping[str, Mapping[str, Any]] | None = None) -> App:
        """The app with the person in it; ``more`` are parameters that replace theirs.

        Raises
        ------
        LoadError
            When a parameter is of a node that the person does not have.
        """
        unused = {node for name, nodes in CHANNELS.items() if name not in self.channels for node in nodes}
        real = "epochs" in self.channels
        app = without(load(find("graphs", WITH_EEG if real else GRAPH)), unused)
        return with_params(with_params(app, self.params), more or {})


_SURE = 1.0 - 1e-9
_AT_ONCE = {"find": 0.0, "read": 0.15, "react": 0.8, "trims": True}
_SHARED_ERROR = {"threshold": 0.9}  # looks that share one error never lift an unlikely option to 0.99

PEOPLE = {
    person.name: person
    for person in (
        Person(
            "oracle",
            "chooses without error what leads on furthest, and types a letter where nothing does",
            ("looks",),
            {
                "user": _AT_ONCE,
                "looks": {"accuracy": _SURE, "every": 0.3},
                "fusion": {"reliability": {"gaze": 1.0}, "min_time": 0.0},
            },
        ),
        Person("looks", "95 of 100 looks are at what they want", ("looks",)),
        Person("eeg", "no gaze; flashes answered with d' 1 a round", ("scores",)),
        Person("both", "looks and EEG, and error potentials", ("looks", "scores", "doubts")),
        Person(
            "infrared",
            "an infra-red tracker that is 25 px off",
            ("gaze",),
            {"eyes": {"error": 25.0, "jitter": 10.0}, "gaze_on_box": {"error": 0.03}, "fusion": _SHARED_ERROR},
        ),
        Person(
            "webcam",
            "a webcam whose gaze is 172 px off, boxes apart as far as the screen allows",
            ("gaze",),
            {
                "eyes": {"error": 137.0, "jitter": 60.0, "rate": 30.0},
                "gaze_on_box": {"error": 0.14},
                "fusion": _SHARED_ERROR,
            },
        ),
    )
}


def find_person(name: str) -> Person:
    """A person by name, or from a YAML file with ``channels``, and ``params`` by node.

    Raises
    ------
    LoadError
        When there is neither, or the file does not say what a person is.
    """
    if name in PEOPLE:
        return PEOPLE[name]
    path = Path(name)
    if not path.is_file():
        raise LoadError(f"user {name!r}: no such file; name a YAML file, or one of {', '.join(PEOPLE)}")
    import yaml

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LoadError(f"user {name!r}: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict) or not set(given) <= {"about", "channels", "params"} or "channels" not in given:
        raise LoadError(f"user {name!r}: expected the keys channels, params (by node) and perhaps about")
    unknown = [channel for channel in given["channels"] if channel not in CHANNELS]
    if unknown:
        raise LoadError(f"user {name!r}: there is no channel {unknown[0]!r}; there are {', '.join(CHANNELS)}")
    return Person(path.stem, given.get("about", ""), tuple(given["channels"]), given.get("params") or {})


def with_eeg(name: str, bank: str | Path, model: str | Path) -> Person:
    """Somebody without gaze whose flashes are answered by a real person's EEG, read by a decoder of theirs.

    Parameters
    ----------
    bank
        File of epochs; see ``volition.lab.bank``.
    model
        File of ``volition calibrate erp``, fitted to other epochs of the same person.
    """
    params: dict[str, dict[str, Any]] = {
        "answers": {"bank": str(bank)},
        "decoder": {"model": str(model)},
        "screen": {"flashing": True},
        "user": {"wait": 60.0},
    }
    return Person(name, "the EEG of a real person, and no gaze", ("epochs",), params)


def without(app: App, nodes: set[str]) -> App:
    """The app without some nodes, and the edges that lead to or from them; graphs that become empty go, too."""
    graphs = [
        replace(
            graph,
            nodes=[node for node in graph.nodes if node.id not in nodes],
            edges=[e for e in graph.edges if e.source_node not in nodes and e.target_node not in nodes],
        )
        for graph in app.graphs
    ]
    edges = [e for e in app.edges if e.source_node not in nodes and e.target_node not in nodes]
    return replace(app, graphs=[graph for graph in graphs if graph.nodes], edges=edges)
