"""``volition replay``: a recorded session through an app, offline."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from volition.cli import show
from volition.cli.run import Seed, Set, overrides
from volition.core.errors import SessionError
from volition.core.places import find
from volition.engine.app import App, with_params
from volition.engine.exact import replay_exact
from volition.engine.replay import replay as run
from volition.engine.supervise import checked
from volition.sessions.reader import Session


def replay(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="An XDF file, or the name of a shipped one.")],
    graph: Annotated[
        str | None,
        typer.Option("--graph", "-g", help="The app; without it, the one the session was made with."),
    ] = None,
    chunk: Annotated[int, typer.Option(help="Samples of the fastest stream per step.", min=1)] = 26,
    seed: Seed = 0,
    settings: Set = None,
    names: Annotated[
        list[str] | None, typer.Option("--map", help="Which stream stands in for a source: source=stream.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Follow the session's journals, and compare with what happened live.")
    ] = False,
    json: show.Json = False,
) -> None:
    """Run a session through an app and print a SHA-256 over all outputs.

    Time moves on a grid of its own, unless --exact is given: then every tick of the live run is run again.

    Example: volition replay recordings/autocomplete.xdf
    """
    mapping = {}
    for pair in names or []:
        source, equals, stream = pair.partition("=")
        if not equals:
            show.fail(f"--map {pair}: write it as source=stream", 2)
        mapping[source] = stream
    with show.sentences():
        path = find("recordings", session)
        opened = Session.open(path)
        for note in opened.notes:
            show.say(f"{path}: {note}")
        app = checked(find("graphs", graph)) if graph else _own_app(path, opened.manifest.get("app"))
        app = with_params(app, overrides(settings))
        if exact:
            _exact(app, opened, bool(graph), json)
            return
        with show.bar("replay") as progress:
            result = run(
                app,
                opened,
                chunk=chunk,
                seed=seed,
                names=mapping,
                progress=progress,
            )
        answer = {
            "session": str(path),
            "graph": str(app.path) if graph else "as recorded",
            "sha256": result.sha256,
            "realtime_factor": round(result.realtime_factor, 2),
            "seconds": round(result.seconds, 3),
            "outputs": result.outputs,
            "dropped": sum(int(d["count"]) for _, label, d in result.reports if label == "dropped"),
        }
        show.result(answer, json)


def _exact(app: App, session: Session, named: bool, as_json: bool) -> None:
    """Replay on the journals; exit code 1 when an event differs from the recorded one."""
    seed = int((session.manifest.get("seeds") or {}).get("app", 0))
    with show.bar("replay") as progress:
        result = replay_exact(app, session, seed, progress)
    answer = {
        "session": str(session.path),
        "graph": str(app.path) if named else "as recorded",
        "sha256": result.sha256,
        "realtime_factor": round(result.realtime_factor, 2),
        "seconds": round(result.seconds, 3),
        "outputs": result.outputs,
        "events_compared": result.compared,
        "same_as_live": not result.differences,
        "differences": result.differences,
    }
    show.result(answer, as_json)
    if result.differences:
        raise typer.Exit(1)


def _own_app(session: Path, text: Any) -> App:
    """The app that the session was recorded with, from its manifest."""
    if not isinstance(text, str) or not text:
        raise SessionError(f"{session} does not say which app it was recorded with: name one with --graph")
    with tempfile.TemporaryDirectory(prefix="volition-") as folder:
        path = Path(folder) / f"{session.stem}.yaml"
        path.write_text(text, encoding="utf-8")
        return checked(path)
