"""``volition write``: phrases written by a simulated person, and what that took."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from volition.cli import show
from volition.cli.run import Set, overrides


def write(
    phrases: Annotated[str, typer.Option("--phrases", "-p", metavar="FILE", help="UTF-8 text, one phrase a line.")],
    user: Annotated[
        str, typer.Option("--user", "-u", help="oracle, looks, eeg, both, infrared, webcam, or a YAML file.")
    ] = "looks",
    model: Annotated[
        str, typer.Option("--model", "-m", help="A .gguf file, smollm2-135m, embedded ...")
    ] = "smollm2-135m",
    limit: Annotated[int | None, typer.Option(help="Only so many phrases, spread evenly over the file.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of all chance.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="Processes; the result is the same.", min=1)] = 1,
    dask: Annotated[str, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, in place of processes.")] = "",
    compare: Annotated[bool, typer.Option(help="Beside it: letters only, the small table, all options alike.")] = False,
    settings: Set = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with tables and plots.")] = None,
    json: show.Json = False,
) -> None:
    """A simulated person writes phrases, on virtual time: what it takes, and whose sentences they are.

    Example: volition write --phrases phrases.txt --user oracle --limit 100
    """
    from volition.lab.lm import read_phrases, spread
    from volition.lab.people import find_person
    from volition.lab.writing import Plan, write_all
    from volition.lab.writing_report import page

    with show.sentences():
        person = find_person(user)
        lines = spread(read_phrases(phrases), limit)
        plan = Plan(person, model, seed, overrides(settings), jobs, dask)
        with show.bar("write") as progress:
            runs = write_all(plan, lines, compare=compare, progress=progress)
        answer = {**runs[0].figures, "user": person.name, "model": model, "seed": seed}
        if compare:
            answer["compared"] = {run.name: run.figures for run in runs[1:]}
        if report is not None:
            try:
                report.write_text(page(runs, about=f"{len(lines)} phrases of {Path(phrases).name}"), encoding="utf-8")
            except OSError as error:
                show.fail(f"cannot write {report}: {error.strerror}")
            answer["report"] = str(report)
        show.result(answer, json, _table([(run.name, run.figures) for run in runs]))


def _table(runs: list[tuple[str, dict[str, Any]]]) -> str:
    """A column a run, its interval beside a single one."""
    from volition.lab.writing_figures import TITLES, shown

    single = len(runs) == 1
    width = max(len(title) for title, _ in TITLES.values()) + 2
    lines = [] if single else [" " * width + "".join(f"{name:>16}" for name, _ in runs)]
    for key, (title, _) in TITLES.items():
        cells = []
        for _, figures in runs:
            cell, *ends = shown(figures, key)
            if single and ends:
                cell += f"   95 % within {ends[0]} and {ends[1]}"
            cells.append(cell if single else f"{cell:>16}")
        lines.append(f"{title:<{width}}{''.join(cells)}")
    figures = runs[0][1]
    lines.append(
        f"{figures['phrases']} phrases, {figures['characters']} characters: {figures['choices']} choices, "
        f"{figures['letters']} letters, {figures['undos']} undone, {figures['words_taken_back']} words taken back"
        + (f", {figures['given_up']} given up" if figures["given_up"] else "")
    )
    return "\n".join(lines)
