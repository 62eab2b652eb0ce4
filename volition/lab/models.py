"""Which models an app uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from volition.core.errors import LoadError
from volition.core.params import signature_of
from volition.core.places import find
from volition.engine.load import App, beside
from volition.engine.recording import node_class
from volition.nodes.text.find import find_model
from volition.sessions.manifest import file_sha256


def models_of(app: App) -> list[dict[str, Any]]:
    """Name and SHA-256 of every model that a node's parameter ``model`` names; None for one that is missing."""
    found: list[dict[str, Any]] = []
    with beside(*app.folders):
        for node in (node for graph in app.graphs for node in graph.nodes):
            parameter = signature_of(node_class(node)).parameters.get("model")
            name = node.params.get("model", parameter.default if parameter is not None else None)
            if isinstance(name, str):
                path = _path(name)
                found.append({"node": node.id, "name": name, "sha256": file_sha256(path) if path else None})
    return found


def _path(name: str) -> Path | None:
    for kind in ("shipped", "language"):
        try:
            return find("models", name) if kind == "shipped" else find_model(name)
        except LoadError:
            continue
    return None
