"""What was written, told from the events of a running app."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from volition.core.clock import SECOND, seconds
from volition.core.frames import EventFrame, Frame
from volition.nodes.simulate.user import attended, leads_on

GIVE_UP = 60.0
"""Virtual seconds a character after which nobody would go on."""

NONE = "none"
START = 1_700_000_000 * SECOND
"""When virtual time begins, ns UTC."""


@dataclass
class Selection:
    """One choice from a menu.

    Attributes
    ----------
    wanted, taken
        Ids of options, or ``none``; ``wanted`` is what the person attended to.
    p
        What was believed of each, at the choice.
    prior
        What the menu said of each.
    seconds
        From the menu to the choice.
    """

    wanted: str
    taken: str
    p: dict[str, float]
    prior: dict[str, float]
    seconds: float

    @property
    def right(self) -> bool:
        """Whether what was taken is what was wanted."""
        return self.wanted == self.taken


@dataclass
class Written:
    """How one phrase was written.

    Attributes
    ----------
    phrase, text
        What was meant, and what stands there at the end.
    seconds
        Virtual time that it took.
    selections
        Choices from menus, *none* among them.
    letters
        Keys that count; a space after an option is free.
    undos, trims
        Steps taken back, and last words taken back.
    offered
        Of each menu for a text that leads to the phrase, whether something of it leads on.
    """

    phrase: str
    text: str = ""
    seconds: float = 0.0
    selections: list[Selection] = field(default_factory=list)
    letters: int = 0
    undos: int = 0
    trims: int = 0
    offered: list[bool] = field(default_factory=list)
    finished: bool = True

    @property
    def count(self) -> int:
        """Everything that the person did."""
        return len(self.selections) + self.letters + self.undos + self.trims


class Scribe:
    """Makes ``Written`` from the events of a running app."""

    def __init__(self, phrases: Sequence[str]):
        self.phrases = list(phrases)
        self.done: list[Written] = []
        self._began = START
        self._last = START
        self._begin()

    def _begin(self) -> None:
        number = len(self.done)
        self.current = Written(self.phrases[number]) if number < len(self.phrases) else None
        self._menu: Mapping[str, Any] | None = None
        self._shown = 0
        self._wanted = ""
        self._p: dict[str, float] = {}
        self._after_option = False

    def __call__(self, graph: str, node: str, port: str, frame: Frame) -> None:
        """Hear one output; see ``VirtualApp.settle``."""
        if isinstance(frame, EventFrame):
            for time, label, data in frame:
                hear = getattr(self, f"_on_{label}", None)
                if hear is not None and self.current is not None:
                    self._last = time
                    hear(time, data)

    def _on_menu(self, time: int, data: Mapping[str, Any]) -> None:
        self._menu, self._shown, self._wanted, self._p = data, time, "", {}
        written = self._written
        if leads_on(data["context"], written.phrase):
            written.offered.append(attended(data["context"], data["options"], written.phrase) != NONE)

    def _on_calibration(self, time: int, data: Mapping[str, Any]) -> None:
        if data["step"] == "attend":
            self._wanted = data["target"]

    def _on_posterior(self, time: int, data: Mapping[str, Any]) -> None:
        if self._menu is not None and data["menu"] == self._menu["menu"]:
            self._p = dict(data["p"])

    def _on_choice(self, time: int, data: Mapping[str, Any]) -> None:
        if self._menu is None or data["menu"] != self._menu["menu"]:
            return
        prior = {option["id"]: math.exp(option["log_probability"]) for option in self._menu["options"]}
        prior[NONE] = self._menu["p_none"]
        taken = seconds(time - self._shown)
        self._written.selections.append(Selection(self._wanted, data["option"], self._p, prior, taken))
        self._after_option = data["option"] != NONE or self._after_option

    def _on_key(self, time: int, data: Mapping[str, Any]) -> None:
        if data["key"] == " " and self._after_option:
            return
        self._after_option = False
        self._written.letters += 1

    def _on_undo(self, time: int, data: Mapping[str, Any]) -> None:
        if data.get("reason") != "error potential":
            self._written.undos += 1

    def _on_command(self, time: int, data: Mapping[str, Any]) -> None:
        self._written.trims += data["command"] == "word_back"

    def _on_text(self, time: int, data: Mapping[str, Any]) -> None:
        if data["reason"] != "cleared":
            self._written.text = data["text"]

    def _on_state(self, time: int, data: Mapping[str, Any]) -> None:
        if data["state"] != "phrase_done":
            return
        written = self._written
        written.text, written.seconds = data["detail"]["text"], data["detail"]["seconds"]
        self.done.append(written)
        self._began = time
        self._begin()

    @property
    def _written(self) -> Written:
        assert self.current is not None
        return self.current

    def overdue(self, now: int) -> bool:
        """Whether the phrase at hand takes so long that it will not be finished."""
        return self.current is not None and seconds(now - self._began) > GIVE_UP * len(self.current.phrase)

    def give_up(self, now: int) -> None:
        """Leave the phrase as it is."""
        written = self._written
        written.seconds, written.finished = seconds(now - self._began), False
        self.done.append(written)
        self._began = now
        self._begin()
