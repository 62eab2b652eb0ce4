"""``volition check``: all mistakes of an app, each with its place."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="APP...", help="YAML or JSON files.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say everything that is wrong with an app before it runs.

    Prints file:line:column and a sentence for each mistake, and ends with exit code 2 if there is any.

    Example: volition check graphs/p300.yaml
    """
    from volition.core.errors import LoadError
    from volition.core.places import find
    from volition.engine.check import check_app

    problems = []
    graphs = nodes = 0
    for path in paths:
        try:
            found: Path = find("graphs", path)
        except LoadError:
            found = path  # the check says that there is no such file
        app, mistakes = check_app(found)
        problems += mistakes
        if app is not None:
            graphs += len(app.graphs)
            nodes += sum(len(graph.nodes) for graph in app.graphs)
    if json:
        print(jsonlib.dumps({"errors": [asdict(p) for p in problems], "graphs": graphs, "nodes": nodes}))
    elif problems:
        print(*problems, sep="\n")
    else:
        print(f"ok: {graphs} graph{'s' * (graphs != 1)}, {nodes} node{'s' * (nodes != 1)}")
    if problems:
        raise typer.Exit(2)
