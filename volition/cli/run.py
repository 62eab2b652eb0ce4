"""``volition run`` and ``volition record``: an app, live."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from volition.cli import show
from volition.core.errors import SessionError
from volition.core.places import find
from volition.engine.app import App, with_params
from volition.engine.modules import beside

Graph = Annotated[str, typer.Argument(metavar="GRAPH", help="A YAML file, or the name of a shipped graph.")]
Seconds = Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0)]
Seed = Annotated[int, typer.Option(help="Seed of all chance in the nodes.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Replace a parameter: node.name=value (YAML).")]

STATS_SECONDS = 5.0
"""How often ``--stats`` shows its table while an app runs."""


def overrides(settings: list[str] | None) -> dict[str, dict[str, Any]]:
    """``["erp.model=m.skops"]`` as parameters by node id."""
    import yaml

    found: dict[str, dict[str, Any]] = {}
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        node, dot, parameter = name.partition(".")
        if not (equals and dot and node and parameter):
            show.fail(f"--set {setting}: write it as node.parameter=value", 2)
        found.setdefault(node, {})[parameter] = yaml.safe_load(value)
    return found


class Console:
    """Shows what a running app says, and keeps count of it."""

    def __init__(self, quiet: bool, debug: bool):
        self.quiet, self.debug = quiet, debug
        self.stats: dict[str, Any] = {}
        self.failures: list[str] = []
        self.dropped = 0
        self.started = 0.0
        self._shown = time.monotonic()

    def __call__(self, kind: str, message: dict[str, Any]) -> None:
        """A listener for ``Supervisor``."""
        if kind == "running":
            self.started = time.monotonic()
            if not self.quiet:
                show.say(f"running: {', '.join(message['graphs'])} (Ctrl-C stops)")
        elif kind == "failed":
            self.failures.append(message["message"])
            show.say(message["message"])
            if self.debug and message.get("traceback"):
                show.say(message["traceback"])
        elif kind == "warning":
            show.say(f"warning: {message['message']}")
        elif kind == "stats":
            self.stats[message["graph"]] = message["stats"]
            now = time.monotonic()
            if not self.quiet and now - self._shown > STATS_SECONDS:
                self._shown = now
                show.say(table(self.stats))
        elif kind == "reports":
            for _, label, data in message["events"]:
                if label == "dropped":
                    self.dropped += int(data["count"])
                if not self.quiet:
                    show.say(_report(label, data))


def _report(label: str, data: dict[str, Any]) -> str:
    if label == "stream":
        return f"{data['source']}: stream {data.get('name') or ''} {data['state']}".replace("  ", " ")
    if label == "dropped":
        return f"{data['source']}: dropped {data['count']} {data['what']}(s): {data['reason']}"
    if label == "gap":
        return f"{data['source']}: gap of {data['seconds']:.3f} s {data.get('reason', '')}".rstrip()
    rest = ", ".join(f"{k} {v}" for k, v in data.items() if k != "source" and v not in ("", [], {}))
    return f"{data.get('source', '')}: {label} {rest}"


def table(stats: dict[str, Any]) -> str:
    """Age per edge of each graph, as lines."""
    lines = [f"{'edge':<44} {'frames':>8} {'p50 ms':>8} {'p99 ms':>8}"]
    for graph, figures in stats.items():
        for name, age in figures["edges"].items():
            if age["count"]:
                row = f"{age['count']:>8} {age['age_ms_p50']:>8.2f} {age['age_ms_p99']:>8.2f}"
                lines.append(f"{graph + ': ' + name:<44} {row}")
        if figures["late_ticks"]:
            lines.append(f"{graph}: {figures['late_ticks']} ticks began late")
    return "\n".join(lines)


def _go(
    app: App,
    seconds: float | None,
    seed: int,
    stats: bool,
    journals: Path | None,
    console: Console,
    about: dict[str, Any] | None = None,
) -> int:
    from volition.engine.supervise import Supervisor

    supervisor = Supervisor(app, seed, journals, stats, console, about)
    return supervisor.run(seconds)


def run(
    graph: Graph,
    seconds: Seconds = None,
    seed: Seed = 0,
    settings: Set = None,
    stats: Annotated[bool, typer.Option("--stats", help="Measure the age of frames on every edge.")] = False,
    json: show.Json = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error happened.")] = False,
) -> None:
    """Run an app until Ctrl-C: every graph in a process of its own.

    Example: volition run graphs/muse.yaml --stats
    """
    from volition.engine.supervise import checked

    with show.sentences():
        app = with_params(checked(find("graphs", graph)), overrides(settings))
        console = Console(json, debug)
        code = _go(app, seconds, seed, stats, None, console)
        lasted = time.monotonic() - console.started if console.started else 0.0
        answer = {"exit_code": code, "seconds": round(lasted, 3), "failures": console.failures}
        answer |= {"dropped": console.dropped, "stats": console.stats}
        if json or stats:
            show.result(answer, json, table(console.stats))
    raise typer.Exit(code)


def record(
    graph: Graph,
    out: Annotated[Path, typer.Option("--out", "-o", help="The XDF file to write.")],
    seconds: Seconds = None,
    seed: Seed = 0,
    settings: Set = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    json: show.Json = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error happened.")] = False,
) -> None:
    """Run an app and record it: sources, events, journals and a manifest.

    Example: volition record graphs/openbci.yaml --out monday.xdf
    """
    from volition.engine.recording import with_recorder
    from volition.engine.supervise import checked
    from volition.lab.models import models_of
    from volition.sessions.manifest import manifest_path, update_manifest

    with show.sentences():
        if out.exists() and not overwrite:
            raise SessionError(f"{out} exists: choose another name, or say --overwrite")
        if not out.parent.is_dir():
            raise SessionError(f"{out.parent} is no folder: make it first")
        app = with_params(checked(find("graphs", graph)), overrides(settings))
        for old in (out, manifest_path(out)):
            old.unlink(missing_ok=True)
        with beside(*app.folders):
            recorded = with_recorder(app, out.resolve())
        console = Console(json, debug)
        about = {"app": app.text, "models": models_of(app), "seeds": {"app": seed}}
        code = _go(recorded, seconds, seed, False, out.with_suffix(""), console, about)
        with contextlib.suppress(SessionError):  # a full disk has been reported
            update_manifest(out, drops={"total": console.dropped}, exit_code=code)
        size = out.stat().st_size if out.exists() else 0
        answer = {"path": str(out), "bytes": size, "exit_code": code, "failures": console.failures}
        show.result(answer | {"dropped": console.dropped}, json, f"recorded {out} ({size / 1e6:.2f} MB)")
    raise typer.Exit(code)
