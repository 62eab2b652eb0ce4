"""``volition evaluate``: how well a recording is decoded, streamed through the app that runs live."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from volition.cli import show
from volition.core.places import find

app = typer.Typer(help="Decode a recording and compare.", no_args_is_help=True, rich_markup_mode=None)

Session = Annotated[str, typer.Argument(metavar="SESSION", help="A recording that says what was asked for.")]
Chunk = Annotated[int, typer.Option(help="Samples of the fastest stream per step.", min=1)]


@app.callback()
def whole() -> None:
    """Decode a recording and compare with what was asked for."""


@app.command()
def erp(
    session: Session,
    model: Annotated[str, typer.Option("--model", "-m", help="File of `volition calibrate erp`.")],
    graph: Annotated[str, typer.Option("--graph", "-g", help="The app with the decoder.")] = "p300.yaml",
    chunk: Chunk = 26,
    json: show.Json = False,
) -> None:
    """Single-flash AUC and letters of a cued recording.

    Example: volition evaluate erp s6-test.xdf --model s6.skops
    """
    from volition.lab.erp import evaluate

    with show.sentences():
        path = find("recordings", session)
        with show.bar("evaluate") as progress:
            answer = evaluate(path, model, graph, chunk=chunk, progress=progress)
        _notes(answer)
        text = (
            f"AUC {answer['auc']:.3f} over {answer['flashes']} flashes; {answer['letters_right']} of "
            f"{answer['letters_total']} letters: {answer['letters']} for {answer['target_letters']}"
        )
        show.result(answer, json, text)


@app.command()
def gaze(
    session: Session,
    graph: Annotated[str, typer.Option("--graph", "-g", help="The app with the likelihood.")] = "gaze.yaml",
    seconds: Annotated[float, typer.Option(help="How long after the first flash gaze counts.", min=0)] = 3.0,
    chunk: Chunk = 26,
    json: show.Json = False,
) -> None:
    """For how many prompts the key that was asked for is the likeliest.

    Example: volition evaluate gaze g.xdf
    """
    from volition.lab.gaze import evaluate

    with show.sentences():
        path = find("recordings", session)
        with show.bar("evaluate") as progress:
            answer = evaluate(path, graph, seconds=seconds, chunk=chunk, progress=progress)
        _notes(answer)
        show.result(answer, json, f"{answer['prompts_right']} of {answer['prompts_total']} prompts")


def _notes(answer: dict[str, Any]) -> None:
    for note in answer.get("notes", []):
        show.say(f"note: {note}")
