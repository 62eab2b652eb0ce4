"""``volition memory``: notes and accepted sentences that the prompt draws on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from volition.cli import show

if TYPE_CHECKING:
    from volition.nodes.text.memory import Entry, Memory

app = typer.Typer(help="Notes and sentences that the options draw on.", no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path | None, typer.Option("--file", help="The memory, when it is not that of this account.")]

_SHOWN = 20


@app.callback()
def whole() -> None:
    """What is remembered: sentences that were accepted, and notes that were chosen."""


def _open(file: Path | None) -> Memory:
    from volition.nodes.text.memory import Memory, own_file

    memory = Memory(file or own_file())
    if memory.damaged:
        show.say(f"note: {memory.damaged} lines of the memory are damaged and passed over")
    return memory


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _row(entry: Entry) -> str:
    return f"{entry.source or entry.kind}: {entry.text}"


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Text files in UTF-8.")],
    file: File = None,
    json: show.Json = False,
) -> None:
    """Remember notes, a sentence a line; a note of the same name takes the place of the older one.

    Example: volition memory add holiday.txt doctor.txt
    """
    from volition.nodes.text.memory import read_note

    with show.sentences():
        texts = [read_note(path) for path in files]  # all of them or none
        memory = _open(file)
        added = {name: memory.add_note(name, text) for name, text in texts}
        text = "\n".join(f"{name}: {_count(n, 'passage')}" for name, n in added.items())
        show.result({"added": added, "lines": len(memory)}, json, text)


@app.command("list")
def list_lines(
    all_lines: Annotated[bool, typer.Option("--all", help="Show every line.")] = False,
    file: File = None,
    json: show.Json = False,
) -> None:
    """The notes and the newest sentences; with --all, every line that is remembered.

    Example: volition memory list --all
    """
    from volition.nodes.text.memory import ACCEPTED

    with show.sentences():
        memory = _open(file)
        notes = memory.notes()
        accepted = [entry for entry in memory.entries if entry.kind == ACCEPTED]
        listed = memory.entries if all_lines else accepted[-_SHOWN:]
        rows = [f"{name}: {_count(n, 'passage')}" for name, n in notes.items()]
        rows += [f"{_count(len(accepted), 'accepted sentence')}"] if accepted else []
        rows += map(_row, listed)
        text = "\n".join(rows) or "nothing is remembered yet; add a note: volition memory add FILE"
        lines = [entry._asdict() for entry in listed]
        show.result({"notes": notes, "accepted": len(accepted), "lines": lines}, json, text)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="What to look for.")],
    k: Annotated[int, typer.Option("-k", help="How many lines.", min=1)] = 4,
    file: File = None,
    json: show.Json = False,
) -> None:
    """The lines that fit words best, with their scores, as they would be found for a prompt.

    Example: volition memory search rose garden
    """
    with show.sentences():
        found = _open(file).search(" ".join(words), k)
        text = "\n".join(f"{p.score:6.2f}  {p.source or 'accepted'}: {p.text}" for p in found)
        show.result({"found": [p._asdict() for p in found]}, json, text or "no line holds any of these words")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The note's name, as in the list.")],
    file: File = None,
    json: show.Json = False,
) -> None:
    """Forget a note.

    Example: volition memory remove holiday.txt
    """
    from volition.core import LoadError

    with show.sentences():
        memory = _open(file)
        if name not in memory.notes():
            raise LoadError(f"no note is named {name!r}; there are: {', '.join(memory.notes()) or 'none'}")
        gone = memory.remove(name)
        show.result({"removed": gone}, json, f"{name}: {_count(gone, 'passage')} forgotten")


@app.command()
def forget(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Words that stand side by side in what to forget.")],
    all_lines: Annotated[bool, typer.Option("--all", help="Forget every line that holds them.")] = False,
    file: File = None,
    json: show.Json = False,
) -> None:
    """Forget what holds these words, for good: the file is written anew without it.

    Example: volition memory forget "my number is 1234"
    """
    from volition.core import LoadError

    with show.sentences():
        memory = _open(file)
        lines = {entry.text: entry for entry in memory.holding(text)}
        if len(lines) > 1 and not all_lines:
            for entry in list(lines.values())[:_SHOWN]:
                show.say(_row(entry))
            raise LoadError(f"{len(lines)} lines hold these words: give more of them, or --all to forget every one")
        gone = memory.forget(text)
        show.result({"forgotten": gone}, json, f"{_count(gone, 'line')} forgotten" if gone else "no line holds this")
