"""``volition profile``: what was learned from a person: to see, to move, to forget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from volition.cli import show

if TYPE_CHECKING:
    from volition.nodes.text.profile import Profile

app = typer.Typer(help="What was learned from a person.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Option("--name", help="Whose profile; this account's when it is not given.")]

_SHOWN = 10


@app.callback()
def whole() -> None:
    """What menus draw on of a person's choices: their counts of words, biases, weights, and the log of choices."""


def _open(name: str) -> Profile:
    from volition.nodes.text.profile import Profile, find_profile

    profile = Profile(find_profile(name))
    for sentence in profile.problems:
        show.say(f"note: {sentence}")
    return profile


@app.command("show")
def show_profile(name: Name = "own", json: show.Json = False) -> None:
    """What was learned: how much was written and chosen, the weights, the strongest biases, the settings.

    Example: volition profile show --name anna
    """
    from dataclasses import asdict

    from volition.nodes.text.memory import Memory
    from volition.nodes.text.rerank import FEATURES

    with show.sentences():
        profile = _open(name)
        learned = profile.learned
        rows = profile.rows()
        menus = [row for row in rows if row["kind"] == "choice"]
        biases = sorted(learned.bias.values.items(), key=lambda item: (-abs(item[1]), item[0]))[:_SHOWN]
        value: dict[str, Any] = {
            "folder": str(profile.folder),
            "sentences": learned.sentences,
            "words": learned.cache.n_words,
            "ngrams": len(learned.cache),
            "menus": len(menus),
            "outcomes": {kind: sum(row["outcome"] == kind for row in menus) for kind in ("choice", "none", "typed")},
            "learned_from": learned.choices,
            "remembered": len(Memory(profile.memory_file)),
            "weights": dict(zip(FEATURES, learned.ranker.w.tolist(), strict=True)),
            "bias": dict(biases),
            "settings": asdict(profile.taste),
            "problems": profile.problems,
        }
        outcomes = ", ".join(f"{count} {kind}" for kind, count in value["outcomes"].items())
        lines = [
            f"profile {name} in {profile.folder}",
            f"{learned.sentences} sentences, {learned.cache.n_words} words, {value['remembered']} remembered lines",
            f"{len(menus)} menus: {outcomes}",
            "weights: " + ", ".join(f"{key} {weight:+.2f}" for key, weight in value["weights"].items() if weight),
            "biases: " + ", ".join(f"{word} {nats:+.2f}" for word, nats in biases),
            "settings: " + ", ".join(f"{key} {item}" for key, item in value["settings"].items() if item != ""),
        ]
        show.result(value, json, "\n".join(line for line in lines if not line.endswith(": ")))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .zip for all of it, a .parquet for the choices.")],
    name: Name = "own",
    json: show.Json = False,
) -> None:
    """Write the profile into a .zip, or its log of choices into a .parquet, a row an option shown.

    Example: volition profile export choices.parquet
    """
    with show.sentences():
        lines = _open(name).export(file)
        show.result({"file": str(file), "lines": lines}, json, f"{file}: {lines} lines")


@app.command("import")
def import_profile(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .zip that was exported.")],
    name: Name = "own",
    replace: Annotated[bool, typer.Option("--replace", help="Lose what the profile holds now.")] = False,
    json: show.Json = False,
) -> None:
    """Make a profile from an exported one.

    Example: volition profile import anna.zip --name anna
    """
    from volition.core import LoadError

    with show.sentences():
        profile = _open(name)
        if not profile.empty and not replace:
            raise LoadError(f"profile {name!r} is not empty: give --replace to lose what it holds, or another --name")
        lines = profile.take_over(file)
        show.result({"lines": lines}, json, f"{lines} lines taken over")


@app.command()
def reset(
    name: Name = "own",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: show.Json = False,
) -> None:
    """Forget everything in a profile: choices, counts, weights, sentences, notes, settings.

    Example: volition profile reset --yes
    """
    with show.sentences():
        profile = _open(name)
        if not yes:
            typer.confirm(f"Forget everything in {profile.folder}?", abort=True, err=True)
        profile.reset()
        show.result({"reset": name}, json, f"profile {name}: nothing is left")


@app.command()
def forget(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Words that stand side by side in what to forget.")],
    name: Name = "own",
    json: show.Json = False,
) -> None:
    """Forget each sentence that holds these words, and all that was learned from it.

    Example: volition profile forget "my number is 1234"
    """
    with show.sentences():
        gone = _open(name).forget(text)
        said = f"{gone['lines']} lines of the log and {gone['remembered']} remembered lines forgotten"
        show.result(dict(gone), json, said)
