"""A simulated person who knows what they want to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from volition.core import EventFrame, EventsIn, EventsOut, Ge, Gt, LoadError, Node, Unit
from volition.core.clock import nanoseconds, seconds
from volition.core.events import Calibration, Key, State, Undo

PHRASES = ("i would like some water please", "can you open the window", "thank you for your help")
"""Three everyday phrases, made up."""

NONE = "none"


def line_of(text: str) -> str:
    """What of a text belongs to the phrase being written: its last line, with blanks and case evened out.

    >>> line_of("good morning\\nI  would ")
    'i would'
    """
    return " ".join(text.rsplit("\n", 1)[-1].casefold().split())


def fits(text: str, option: str, phrase: str) -> bool:
    """Whether the text with the option inserted is the phrase, or the phrase up to the end of a word.

    >>> fits("i wo", "uld like", "i would like tea"), fits("i", " want", "i would like tea")
    (True, False)
    """
    after = line_of(text + option)
    wanted = line_of(phrase)
    return len(after) > len(line_of(text)) and (wanted == after or wanted.startswith(after + " "))


def attended(text: str, options: Sequence[Mapping[str, Any]], phrase: str) -> str:
    """The id of the longest option that fits, or ``none``."""
    fitting = [option for option in options if fits(text, option["text"], phrase)]
    if not fitting:
        return NONE
    best: str = max(fitting, key=lambda option: len(option["text"]))["id"]
    return best


def next_letter(text: str, phrase: str) -> str:
    """The next letter or space to type; empty when the phrase is complete or cannot be reached.

    >>> next_letter("i ", "i would"), next_letter("i", "i would"), next_letter("i wx", "i would")
    ('w', ' ', '')
    """
    line, wanted = line_of(text), line_of(phrase)
    if not wanted.startswith(line) or line == wanted:
        return ""
    letter = wanted[len(line)]
    if letter == " " and text.endswith(" "):
        return wanted[len(line) + 1]
    return letter


class SimulatedUser(Node):
    """A person who writes phrases by attending to options, and by a slow switch where none leads on.

    At each menu the person attends to the longest option that the rest of the phrase begins with, or to
    ``none``. After ``patience`` menus of one text were answered by ``none``, they type the next word,
    letter by letter. A text that leaves the phrase is undone. A complete phrase gives the state
    ``phrase_done``, which clears the text; the last one also ``finished``. ``attend`` has the time of the
    menu, ``undo`` and ``state`` that of the text, keys their own.
    """

    i_menu = EventsIn("menu")
    i_text = EventsIn("text")
    i_choice = EventsIn("choice", optional=True)
    o = EventsOut("calibration")
    o_key = EventsOut("key")
    o_undo = EventsOut("undo")
    o_state = EventsOut("state")

    def __init__(
        self,
        phrases: tuple[str, ...] = PHRASES,
        patience: Annotated[int, Ge(1)] = 2,
        key_every: Annotated[float, Unit("s"), Gt(0)] = 0.35,
    ):
        """phrases: what the person wants to write, one after the other.

        patience: how many menus of one text they answer by none before they type.
        key_every: time for one letter.
        """
        if not phrases or not all(line_of(phrase) for phrase in phrases):
            raise LoadError("phrases: expected at least one phrase, and none of them empty")
        self._phrases, self._patience, self._key_every = phrases, patience, nanoseconds(key_every)
        self._done = 0
        self._text = ""
        self._began: int | None = None
        self._phrase_began = 0
        self._refused = 0
        self._counts = {"selections": 0, "undos": 0, "keys": 0}
        self._next_key: int | None = None
        self._in_word = False
        self._text_at_key: str | None = None
        self._leaving = False
        self._events: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}

    def update(self) -> None:
        self._events = {"o": [], "o_key": [], "o_undo": [], "o_state": []}
        news = [
            # The text that a choice made comes before the menu that it led to.
            *self.i_choice.select("choice"),
            *self.i_text.select("text"),
            *self.i_menu.select("menu"),
        ]
        for time, label, data in sorted(news, key=lambda event: event[0]):
            if self._done == len(self._phrases):
                break
            if label == "choice":
                self._chosen(time, data)
            elif label == "text":
                self._read(time, data["text"])
            else:
                self._look(time, data)
        self._type()
        self.wake = None if self._next_key is None else max(self._next_key, self.now + 1)
        for port, events in self._events.items():
            if events:
                self.ports[port].frame = EventFrame.of(*sorted(events, key=lambda event: event[0]))

    @property
    def _phrase(self) -> str:
        return self._phrases[self._done]

    def _look(self, time: int, menu: Mapping[str, Any]) -> None:
        if self._began is None:
            self._began = self._phrase_began = time
        # Until the text has changed as they asked, nothing on offer is right.
        target = NONE if self._leaving else attended(self._text, menu["options"], self._phrase)
        attend = Calibration(step="attend", target=target, menu=menu["menu"])
        self._events["o"].append(attend.at(time))

    def _chosen(self, time: int, choice: Mapping[str, Any]) -> None:
        self._counts["selections"] += 1
        if choice["option"] != NONE:
            return
        self._refused += 1
        if self._refused >= self._patience and self._next_key is None and not self._leaving:
            self._next_key = time + self._key_every
            self._in_word, self._text_at_key = False, None

    def _read(self, time: int, text: str) -> None:
        if text == self._text:
            return
        self._text, self._refused, self._leaving = text, 0, False
        line, wanted = line_of(text), line_of(self._phrase)
        if line == wanted:
            self._finish(time)
        elif not wanted.startswith(line):
            self._next_key, self._leaving = None, True
            self._counts["undos"] += 1
            self._events["o_undo"].append(Undo(reason="not what was meant").at(time))

    def _finish(self, time: int) -> None:
        detail = {
            "phrase": self._phrase,
            "text": self._text,
            "seconds": round(seconds(time - self._phrase_began), 3),
            **self._counts,
        }
        self._state(time, "phrase_done", detail)
        self._done += 1
        self._phrase_began, self._next_key = time, None
        self._counts = dict.fromkeys(self._counts, 0)
        self._leaving = True
        if self._done == len(self._phrases):
            took = seconds(time - (self._began or time))
            self._state(time, "finished", {"phrases": self._done, "seconds": round(took, 3)})

    def _state(self, time: int, state: str, detail: dict[str, Any]) -> None:
        self._events["o_state"].append(State(state=state, source=self.id, detail=detail).at(time))

    def _type(self) -> None:
        """The next letter of the word, when its time has come and the one before is in the text."""
        if self._next_key is None or self.now < self._next_key:
            return
        time, self._next_key = self._next_key, self._next_key + self._key_every
        if self._text == self._text_at_key:
            return
        letter = next_letter(self._text, self._phrase)
        # The space after a word ends the typing: the model knows then that the word is complete.
        if not letter or (letter == " " and self._in_word):
            self._next_key = None
        if letter:
            self._in_word = letter != " "
            self._text_at_key = self._text
            self._counts["keys"] += 1
            self._events["o_key"].append(Key(key=letter).at(time))
