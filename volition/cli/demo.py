"""``volition demo``: the whole loop, with a simulated person."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import typer

from volition.cli import show
from volition.core.places import find

PHRASES = ("i would like some water please", "can you open the window", "thank you for your help")
STREAMS = {
    "eeg_outlet": "simulated-eeg",
    "eeg": "simulated-eeg",
    "gaze_outlet": "simulated-gaze",
    "gaze": "simulated-gaze",
}
"""The streams between the simulated person and the senses, by node."""


class Story:
    """Follows the events of a running demo: which phrases are written, with how many selections."""

    def __init__(self, total: int):
        self.total = total
        self.phrases: list[dict[str, Any]] = []
        self.selections = 0
        self.text = ""

    def hear(self, label: str, data: dict[str, Any]) -> None:
        """One event from the publisher."""
        if label == "choice":
            self.selections += 1
        elif label == "text":
            self.text = data["text"]
        elif label == "state" and data["state"] == "phrase_done":
            self.phrases.append(data["detail"])

    def done(self) -> bool:
        """Whether all phrases are written."""
        return len(self.phrases) >= self.total

    def errors(self) -> int:
        """Phrases whose text is not what was wanted."""
        return sum(p["text"].strip() != p["phrase"].strip() for p in self.phrases)


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Stay in the terminal.")] = True,
    phrases: Annotated[list[str] | None, typer.Option("--phrase", help="Write this instead; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="Give up after so many seconds.", min=1)] = 120.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulated person.")] = 0,
    json: show.Json = False,
) -> None:
    """A simulated person writes three phrases: signals over LSL, decoding, a language model, choices, text.

    Example: volition demo --phrase "good morning"
    """
    from volition.engine.supervise import checked
    from volition.lab.live import Ear

    wanted = list(phrases or PHRASES)
    with show.sentences():
        app = checked(find("graphs", "autocomplete.yaml"))
        story = Story(len(wanted))
        override: dict[str, dict[str, Any]] = {"user": {"phrases": wanted}, "screen": {"draw": not json}}
        for node, name in STREAMS.items():  # two demos on one machine must not hear each other
            override[node] = {"name": f"{name}-{os.getpid()}"}
        begin = time.monotonic()
        with Ear(app, override, seed) as ear:
            code = ear.run(story.hear, seconds, story.done)
        took = time.monotonic() - begin
        answer = {
            "phrases": story.phrases,
            "text": [p["text"] for p in story.phrases],
            "selections": story.selections,
            "errors": story.errors(),
            "seconds": round(took, 2),
        }
        if code == 0 and not story.done():
            show.say(f"only {len(story.phrases)} of {len(wanted)} phrases were written in {seconds:g} s")
            code = 1
        written = f"{len(story.phrases)} phrase{'s' * (len(story.phrases) != 1)}"
        text = f"{written}, {story.selections} selections, {story.errors()} errors, {took:.1f} s"
        show.result(answer, json, text)
    raise typer.Exit(code)
