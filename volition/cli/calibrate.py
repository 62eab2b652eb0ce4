"""``volition calibrate``: a decoder fitted to a person's recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from volition.cli import show
from volition.core.places import find

app = typer.Typer(help="Fit a decoder to a recording.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def whole() -> None:
    """Fit a decoder to a recording."""


@app.command()
def erp(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="A recording with cued flashes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file to write.")],
    graph: Annotated[str, typer.Option("--graph", "-g", help="The app with the decoder.")] = "p300.yaml",
    skip: Annotated[float, typer.Option(help="Seconds to leave out at the beginning.", min=0)] = 5.0,
    json: show.Json = False,
) -> None:
    """Fit the ERP decoder; the figures are cross-validated on this recording.

    Example: volition calibrate erp s6-train.xdf -o s6.skops
    """
    from volition.lab.erp import calibrate

    with show.sentences():
        if not out.parent.is_dir():
            show.fail(f"{out.parent} is no folder: make it first", 2)
        path = find("recordings", session)
        with show.bar("calibrate") as progress:
            answer = calibrate(path, out, graph, skip=skip, progress=progress)
        letters = f"{answer['letters_right']} of {answer['letters_total']} letters"
        flashes = f"{answer['flashes']} flashes, {answer['targets']} of them on the target"
        text = f"{out}: AUC {answer['auc']:.3f}, {letters}, {flashes} (cross-validated on this recording)"
        show.result(answer, json, text)
