"""``volition nodes``: what there is to compose, and the beginning of a node of one's own."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from volition.cli import show
from volition.cli.catalogue import HOME, BrokenModule, NodeEntry, PortEntry, catalogue


def nodes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A class; all when not given.")] = None,
    new: Annotated[str | None, typer.Option("--new", metavar="my_sensor", help="Write a new source.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Where --new writes.")] = Path(),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/nodes.md.")] = False,
    json: show.Json = False,
) -> None:
    """List the nodes, explain one, or start a new one.

    Example: volition nodes Bandpass
    """
    with show.sentences():
        if new is not None:
            _start(new, folder, json)
            return
        entries, broken = catalogue()
        if name is not None:
            entries = _named(entries, name)
        if markdown:
            sys.stdout.write(page(entries))
        else:
            answer = {
                "nodes": [entry.as_dict() for entry in entries],
                "failed": [] if name else [{"module": b.module, "reason": b.reason} for b in broken],
            }
            text = "\n\n".join(map(explained, entries)) if name else table(entries, broken)
            show.result(answer, json, text)


def _start(name: str, folder: Path, json: bool) -> None:
    from volition.cli.skeleton import write

    written = write(name, folder)
    graph = next(path for path in written if path.suffix == ".yaml")
    test = next(path for path in written if path.name.startswith("test_"))
    following = [
        f"python -m pytest {test}",
        f"volition check {graph}",
        f"volition run {graph} --seconds 5 --stats",
    ]
    lines = [*(f"wrote {path}" for path in written), "", "next:", *(f"  {line}" for line in following)]
    text = "\n".join(lines)
    show.result({"written": [str(path) for path in written], "next": following}, json, text)


def _named(entries: list[NodeEntry], name: str) -> list[NodeEntry]:
    wanted = name.lower()
    found = [e for e in entries if wanted in (e.name.lower(), e.module, f"{e.module}.{e.name}".lower())]
    if not found:
        names = {e.name.lower(): e.name for e in entries}
        near = difflib.get_close_matches(wanted, names, 1)
        hint = f"; did you mean {names[near[0]]}?" if near else "; `volition nodes` lists all"
        show.fail(f"there is no node {name!r}{hint}", 2)
    return found


def _place(entry: NodeEntry) -> str:
    return entry.module.removeprefix(HOME + ".")


def table(entries: list[NodeEntry], broken: list[BrokenModule]) -> str:
    """One line a node, by module."""
    width = max((len(entry.name) for entry in entries), default=0)
    lines: list[str] = []
    before = ""
    for entry in entries:
        if entry.module != before:
            lines += [*([""] if lines else []), entry.module]
            before = entry.module
        lines.append(f"  {entry.name:<{width}}  {entry.summary}")
    if broken:
        lines += ["", "not available:", *(f"  {b.module}: {b.reason}" for b in broken)]
    return "\n".join(lines)


def explained(entry: NodeEntry) -> str:
    """Everything about one node."""
    kind = ", a source" if entry.source else ""
    lines = [f"{entry.name}  ({entry.module}{kind})", "", entry.description.replace("``", "`"), ""]
    lines += [f"  in   {port}" for port in entry.inputs] + [f"  out  {port}" for port in entry.outputs]
    for param in entry.params:
        default = "required" if param.default is None else f"= {param.default}"
        facts = [param.type, param.unit, param.bounds, default]
        lines += ["", f"  {param.name}: {', '.join(filter(None, facts))}", f"      {param.doc}"]
    return "\n".join(lines)


def page(entries: list[NodeEntry]) -> str:
    """The page of all nodes, in Markdown."""
    parts = [
        "# The nodes",
        "Made by `volition nodes --markdown` from the classes themselves; a test fails when this page is "
        "stale. `volition nodes NAME` says the same in the terminal.",
        "| node | module | what it does |\n|---|---|---|\n"
        + "\n".join(f"| [{e.name}](#{e.name.lower()}) | `{_place(e)}` | {_cell(e.summary)} |" for e in entries),
    ]
    for entry in entries:
        parts += _section(entry)
    return "\n\n".join(parts) + "\n"


def _section(entry: NodeEntry) -> list[str]:
    kind = " (a source)" if entry.source else ""
    ports = [f"- in {_port(port)}" for port in entry.inputs]
    ports += [f"- out {_port(port)}" for port in entry.outputs]
    parts = [f"## {entry.name}", f"`{entry.module}`{kind}", _prose(entry.description), "\n".join(ports)]
    if entry.params:
        rows = "\n".join(
            f"| `{p.name}` | {_cell(p.type)} | {p.unit} | {_cell(p.bounds)} "
            f"| {'required' if p.default is None else f'`{_escaped(p.default)}`'} | {_cell(p.doc)} |"
            for p in entry.params
        )
        parts.append(f"| parameter | type | unit | bounds | default | |\n|---|---|---|---|---|---|\n{rows}")
    return parts


def _port(port: PortEntry) -> str:
    labels = " or ".join(f"`{label}`" for label in port.labels)
    facts = [port.kind, labels, ", ".join(port.channels), port.unit, "(optional)" if port.optional else ""]
    return f"`{port.name}`: {' '.join(filter(None, facts))}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _prose(text: str) -> str:
    """Text of a docstring as Markdown: a "<" outside of code is no tag."""
    parts = text.replace("``", "`").split("`")
    parts[::2] = [re.sub("<(?=[A-Za-z/!])", "&lt;", part) for part in parts[::2]]
    return "`".join(parts)


def _cell(text: str) -> str:
    return _escaped(_prose(text))
