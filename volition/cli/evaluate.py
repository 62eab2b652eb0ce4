"""``volition evaluate``: how well a recording is decoded, and how well a language model foresees what is written."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from volition.cli import show
from volition.core.places import find

app = typer.Typer(
    help="Decode a recording, or foresee a text, and compare.", no_args_is_help=True, rich_markup_mode=None
)

Session = Annotated[str, typer.Argument(metavar="SESSION", help="A recording that says what was asked for.")]
Chunk = Annotated[int, typer.Option(help="Samples of the fastest stream per step.", min=1)]


@app.callback()
def whole() -> None:
    """Decode a recording or foresee a text, and compare with what was asked for."""


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


@app.command()
def lm(
    phrases: Annotated[str, typer.Option("--phrases", "-p", metavar="FILE", help="UTF-8 text, one phrase a line.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A .gguf file, or smollm2-135m.")] = "smollm2-135m",
    adapter: show.Adapters = None,
    frame: Annotated[str, typer.Option(help="What the prompt begins with: a name, or a text file.")] = "everyday",
    limit: Annotated[int | None, typer.Option(help="Only so many phrases, the first ones.", min=1)] = None,
    n_hits: Annotated[int, typer.Option("--hits", help="Phrases for the hit rates, spread evenly.", min=0)] = 200,
    threads: Annotated[int, typer.Option(help="Of the language model; 0 for a number that suits.", min=0)] = 0,
    json: show.Json = False,
) -> None:
    """Bits per character of phrases, and how often the next word is among the first 3 or 5 offered.

    Example: volition evaluate lm --phrases phrases.txt --limit 300
    """
    from volition.lab.lm import evaluate
    from volition.nodes.text.find import chosen_adapters

    with show.sentences():
        with show.bar("evaluate") as progress:
            answer = evaluate(
                phrases,
                model,
                chosen_adapters(model, adapter),
                frame,
                limit=limit,
                n_hits=n_hits,
                threads=threads,
                progress=progress,
            )
        _notes(answer)
        show.result(answer, json, _table(answer))


def _table(answer: dict[str, Any]) -> str:
    low, high = answer["bits_per_char_ci95"]
    used = " + ".join([answer["model"], *answer["adapters"]])
    lines = {
        "bits per character": f"{answer['bits_per_char']:.3f}   95 % within {low:.3f} and {high:.3f}",
        "phrases": f"{answer['phrases']} with {answer['characters']} characters, {answer['tokens']} tokens",
        "model": used,
        "frame": f"{answer['frame']}, {answer['frame_style']}, {answer['frame_tokens']} tokens",
    }
    if answer["hit_words"]:
        among = f"   of {answer['hit_words']} words in {answer['hit_phrases']} phrases"
        for rank in (3, 5):
            lines[f"next word among {rank}"] = f"{answer[f'hit_rate_at_{rank}']:.1%}{among}"
    lines["took"] = f"{answer['seconds']:.0f} s"
    return "\n".join(f"{name:<20}{value}" for name, value in lines.items())


def _notes(answer: dict[str, Any]) -> None:
    for note in answer.get("notes", []):
        show.say(f"note: {note}")
