"""``volition model``: language models of one's own, what they cost here, and re-packing them for this processor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from volition.cli import show
from volition.core.errors import LoadError

app = typer.Typer(help="Language models from GGUF files.", no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of `volition model list`, or a .gguf file.")]
Threads = Annotated[int, typer.Option(help="Of llama.cpp; 0 for what suits this machine.", min=0)]
Again = Annotated[bool, typer.Option("--again", help="Measure, even if it was measured before.")]


@app.callback()
def whole() -> None:
    """Language models: GGUF files that llama.cpp reads, by names that every `model:` takes."""


@app.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .gguf file; it stays where it is.")],
    name: Annotated[str, typer.Option("--name", help="What to call it; else its file's name.")] = "",
    threads: Threads = 0,
    json: show.Json = False,
) -> None:
    """Try a model, say what it is and how quick it is here, and let a name mean it.

    Example: volition model add Qwen3-0.6B-Q4_0.gguf --name qwen
    """
    from volition.lab.gguf import read_card
    from volition.nodes.text.find import check_name, register

    with show.sentences():
        path = file.expanduser().absolute()
        name = name or _name_of(path)
        read_card(path)
        check_name(name, path)
        value = _card(name, path, threads=threads, again=True)
        register(name, path)
        text = f"{_text(value)}\nadded as {name}: `model: {name}` in a graph, or wherever a model is named"
        show.result(value, json, text)


@app.command("list")
def list_models(json: show.Json = False) -> None:
    """The models that can be named, and what is known of them.

    Example: volition model list
    """
    from volition.nodes.text.find import known_models

    with show.sentences():
        rows = [_row(name) for name in known_models()]
        show.result({"models": rows}, json, "\n".join(map(_line, rows)))


@app.command("show")
def show_model(name: Name, again: Again = False, threads: Threads = 0, json: show.Json = False) -> None:
    """What a model is, and how quick it is here.

    Example: volition model show smollm2-135m
    """
    from volition.nodes.text.find import find_model

    with show.sentences():
        value = _card(name, find_model(name), threads=threads, again=again)
        show.result(value, json, _text(value))


@app.command()
def remove(name: Name, json: show.Json = False) -> None:
    """Forget a name; the file stays where it is.

    Example: volition model remove qwen
    """
    from volition.nodes.text.find import unregister

    with show.sentences():
        path = unregister(name)
        show.result({"removed": name, "path": str(path)}, json, f"{name} is forgotten; {path} is still there")


@app.command()
def quantise(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name, or a .gguf file.")] = "smollm2-135m",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The new file; else the program's own copy.")] = None,
    kind: Annotated[str, typer.Option("--type", help="Such as q4_0, q8_0, q4_k_m; auto takes the best.")] = "auto",
    again: Again = False,
    threads: Threads = 0,
    json: show.Json = False,
) -> None:
    """Re-pack a model for this processor, measured before and after.

    The copy of a named model takes its place from then on; a file of one's own gets a new file beside it. With
    --type auto the quickest type is taken that needs at most 1.5 % more bits a character than the best.

    Example: volition model quantise --type q4_0
    """
    from volition.lab.quantise import AUTO, KINDS, known_choice, prepare
    from volition.nodes.text.find import default_adapters, find_model, is_name, original_model, prepared

    with show.sentences():
        if kind not in (AUTO, *KINDS):
            raise LoadError(f"--type {kind}: there are {', '.join((AUTO, *KINDS))}")
        source = original_model(model)
        own = out is None and is_name(model)
        adapters = default_adapters(model)
        value = known_choice(source, adapters) if own and kind == AUTO and not again else None
        if value is not None and (prepared(source) or value["chosen"] == "as shipped"):
            value = {**value, "path": str(find_model(model)), "made": False}
        else:
            with show.bar(f"re-packing {model}") as progress:
                places = _Places(source, out, own, kind)
                value = prepare(source, places, kind, adapters=adapters, threads=threads, progress=progress)
                places.tidy(Path(value["path"]))
            value["made"] = value["path"] != str(source)
        show.result({"model": model, **value}, json, _table(model, value))


class _Places:
    """Where a re-packed file goes, by its type."""

    def __init__(self, source: Path, out: Path | None, own: bool, kind: str):
        self._source, self._out, self._own = source, out.expanduser() if out else None, own
        if self._out is not None and self._out.exists():
            raise LoadError(f"{self._out} is there already: name another file with -o, or delete it")
        if not own and out is None and self(kind).exists():
            raise LoadError(f"{self(kind)} is there already: name another file with -o, or delete it")

    def __call__(self, kind: str) -> Path:
        from volition.nodes.text.find import prepared_path

        if self._own:
            return prepared_path(self._source, kind)
        return self._out or self._source.with_name(f"{self._source.stem}-{kind}.gguf")

    def tidy(self, kept: Path) -> None:
        """Remove what ``kept`` replaces among the program's own copies."""
        from volition.nodes.text.find import replaced

        for copy in replaced(self._source, kept) if self._own else []:
            copy.unlink(missing_ok=True)


def _name_of(path: Path) -> str:
    """A name from a file's name."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._")[:64] or "model"


def _card(name: str, path: Path, *, threads: int = 0, again: bool = False) -> dict[str, Any]:
    """The card of a file, with its speed: measured, unless that is known."""
    from volition.lab.gguf import read_card
    from volition.lab.speed import known_speed, measure
    from volition.nodes.text.find import default_adapters

    card, adapters = read_card(path), default_adapters(name)
    speed = None if again or threads else known_speed(path, adapters)
    if speed is None:
        with show.bar(f"measuring {name}") as progress:
            speed = measure(path, adapters, threads=threads, progress=progress)
    return {"name": name, **card.as_dict(), "speed": speed}


def _text(value: dict[str, Any]) -> str:
    from volition.lab.gguf import TRIED

    speed = value["speed"]
    kinds = ", ".join(f"{kind} {size / 1e6:.0f} MB" for kind, size in value["bytes_by_type"].items() if size > 5e5)
    family = TRIED.get(value["architecture"])
    floor = speed["floor_ms"]
    lines = {
        "file": value["path"],
        "architecture": f"{value['architecture']} ({family or 'not tried with this program; it may still work well'})",
        "parameters": f"{value['parameters'] / 1e6:,.1f} million",
        "weights": f"{value['quantisation']} ({kinds})" if kinds else value["quantisation"],
        "size": f"{value['size_bytes'] / 1e6:,.1f} MB",
        "context": f"trained for {value['context_trained']:,} tokens" if value["context_trained"] else "not said",
        "vocabulary": f"{value['vocabulary']:,} tokens",
        "licence": value["licence"] or "not said in the file",
        "languages": ", ".join(value["languages"]) or "not said in the file",
        "speed here": (
            f"{_threads(speed['threads'])}: a prompt of {speed['prompt_tokens']} tokens takes "
            f"{speed['prompt_ms_p50']:,.0f} ms, a step of 1 sequence {speed['step_1_ms_p50']:,.0f} ms, "
            f"of 5 {speed['step_5_ms_p50']:,.0f} ms"
        ),
        "memory": (
            f"read at {speed['read_gb_s']:.1f} GB/s ({speed['read_gb_s_1']:.1f} with one thread): a step's "
            f"{speed['step_bytes'] / 1e6:,.0f} MB take {floor:,.1f} ms at least; "
            f"1 sequence takes {speed['step_1_over_floor']:.1f} times that, 5 take {speed['step_5_over_floor']:.1f}"
        ),
        "menu": _menu(speed),
    }
    return "\n".join(f"{key:<12}  {line}" for key, line in lines.items())


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _menu(speed: dict[str, Any]) -> str:
    cached = f"{speed['cached_menu_ms_p50']:,.0f} ms when all but the last word is cached"
    if speed["within_budget"]:
        return f"{cached}: within {speed['budget_ms']:.0f} ms"
    return (
        f"{cached}: not within {speed['budget_ms']:.0f} ms; its deadline is {speed['deadline_ms']:,.0f} ms - "
        "re-pack it with `volition model quantise`, or take a smaller model"
    )


def _row(name: str) -> dict[str, Any]:
    """A line of the list; what is wrong with a model is said in its row."""
    from volition.lab.gguf import read_card
    from volition.lab.speed import known_speed
    from volition.nodes.text.find import default_adapters, find_model, original_model

    row: dict[str, Any] = {"name": name, "path": None, "runs": None, "problem": None}
    try:
        original, path = original_model(name), find_model(name)
        card = read_card(path)
    except LoadError as error:
        return {**row, "problem": str(error)}
    speed = known_speed(path, default_adapters(name))
    return {
        **row,
        "path": str(original),
        "runs": str(path),
        "architecture": card.architecture,
        "parameters": card.parameters,
        "quantisation": card.quantisation,
        "size_bytes": card.size,
        "cached_menu_ms": speed and speed["cached_menu_ms_p50"],
        "within_budget": speed and speed["within_budget"],
    }


def _line(row: dict[str, Any]) -> str:
    if row["problem"]:
        return f"{row['name']:<20} {row['problem']}"
    menu = "not measured" if row["cached_menu_ms"] is None else f"menu {row['cached_menu_ms']:,.0f} ms"
    what = f"{row['architecture']} {row['parameters'] / 1e6:,.1f} M {row['quantisation']}"
    packed = " (re-packed)" if row["runs"] != row["path"] else ""
    return f"{row['name']:<20} {what:<24} {row['size_bytes'] / 1e6:>8,.1f} MB  {menu:<14} {row['path']}{packed}"


def _table(model: str, value: dict[str, Any]) -> str:
    lines = [f"{'type':<11} {'MB':>8} {'prompt ms':>10} {'step of 5':>10} {'menu ms':>8} {'bits/char':>10}"]
    for row in value["rows"]:
        times = f"{row['prompt_ms']:>10,.0f} {row['step_5_ms']:>10,.1f} {row['cached_menu_ms']:>8,.0f}"
        lines.append(f"{row['type']:<11} {row['size_bytes'] / 1e6:>8,.1f} {times} {row['bits_per_char']:>10.3f}")
    if value["chosen"] == "as shipped":
        lines.append(f"{model} is best as it is: nothing was written")
    else:
        lines.append(f"{value['chosen']}: {value['path']}{'' if value['made'] else ' (made before)'}")
    return "\n".join(lines)
