"""A simulated person who knows what they want to write."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from volition.core import EventFrame, EventsIn, EventsOut, Ge, Gt, Interval, LoadError, Node, Unit
from volition.core.clock import nanoseconds, seconds
from volition.core.events import Calibration, Command, Key, State, Undo

PHRASES = ("i would like some water please", "can you open the window", "thank you for your help")
"""Three everyday phrases, made up."""

NONE = "none"

_STUCK = "stuck"

Scheduled = tuple[int, int, str, str, int | None]
"""When (ns UTC), a number that keeps the order, what is done (a port, or that nothing came), with what, which menu."""


# What fits


def line_of(text: str) -> str:
    """What of a text belongs to the phrase being written: its last line, with blanks and case evened out.

    >>> line_of("good morning\\nI  would ")
    'i would'
    """
    return " ".join(text.rsplit("\n", 1)[-1].casefold().split())


def leads_on(text: str, phrase: str) -> bool:
    """Whether a text is a beginning of the phrase.

    >>> leads_on("i wo", "i would"), leads_on("i am", "i would")
    (True, False)
    """
    return line_of(phrase).startswith(line_of(text))


def fits(text: str, option: str, phrase: str) -> bool:
    """Whether the text with the option inserted is the phrase, or the phrase up to the end of a word.

    >>> fits("i wo", "uld like", "i would like tea"), fits("i", " want", "i would like tea")
    (True, False)
    """
    after = line_of(text + option)
    wanted = line_of(phrase)
    return len(after) > len(line_of(text)) and (wanted == after or wanted.startswith(after + " "))


def words_too_many(text: str, option: str, phrase: str) -> int | None:
    """How many words at the end of an option have to go for the rest to fit; None when nothing of it does.

    >>> words_too_many("i", " would like", "i would go"), words_too_many("i", " am", "i would go")
    (1, None)
    """
    words = option.rstrip().split(" ")
    for extra in range(len(words)):
        rest = " ".join(words[: len(words) - extra])
        if rest.strip() and fits(text, rest, phrase):
            return extra
    return None


def attended(text: str, options: Sequence[Mapping[str, Any]], phrase: str) -> str:
    """The id of the longest option that fits, or ``none``."""
    fitting = [option for option in options if fits(text, option["text"], phrase)]
    if not fitting:
        return NONE
    best: str = max(fitting, key=lambda option: len(option["text"]))["id"]
    return best


def trimmable(text: str, options: Sequence[Mapping[str, Any]], phrase: str) -> str:
    """The id of an option that fits but for its last word, which would be taken back; or ``none``."""
    for option in options:
        if words_too_many(text, option["text"], phrase) == 1:
            found: str = option["id"]
            return found
    return NONE


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


# The person


@dataclass(frozen=True)
class Habits:
    """How somebody writes; see the parameters of ``SimulatedUser``."""

    find: float
    read: float
    react: float
    key_every: float
    tire: float

    def reading(self, menu: Mapping[str, Any]) -> float:
        """Seconds until the option is found: each word of the menu is read once."""
        words = sum(max(1, len(option["text"].split())) for option in menu["options"])
        return self.find + self.read * words


class SimulatedUser(Node):
    """A person who writes phrases by attending to options, and by a slow switch where none leads on.

    At each menu the person reads, then attends to the longest option that the rest of the phrase begins with, or to
    ``none``. After ``patience`` menus of one text that held nothing they type the next word, or one letter, without
    answering the last of them when their patience is 0. A text that leaves the phrase is undone, as soon as it is
    noticed. A complete phrase gives the state ``phrase_done``, which clears the text; the last one also ``finished``.
    ``attend`` has the time at which the menu was read; ``undo`` that at which the person reacted to the text, ``state``
    that of the text; keys have their own.
    """

    i_menu = EventsIn("menu")
    i_text = EventsIn("text")
    i_choice = EventsIn("choice", optional=True)
    o = EventsOut("calibration")
    o_key = EventsOut("key")
    o_undo = EventsOut("undo")
    o_command = EventsOut("command")
    o_state = EventsOut("state")

    def __init__(
        self,
        phrases: tuple[str, ...] = PHRASES,
        patience: Annotated[int, Ge(0)] = 2,
        key_every: Annotated[float, Unit("s"), Gt(0)] = 0.35,
        spelling: Literal["word", "letter"] = "word",
        find: Annotated[float, Unit("s"), Ge(0)] = 0.0,
        read: Annotated[float, Unit("s"), Ge(0)] = 0.0,
        react: Annotated[float, Unit("s"), Ge(0)] = 0.0,
        lapse: Annotated[float, Interval(ge=0, le=1)] = 0.0,
        notice: Annotated[float, Interval(gt=0, le=1)] = 1.0,
        tire: Annotated[float, Ge(0)] = 0.0,
        trims: bool = False,
        wait: Annotated[float, Unit("s"), Ge(0)] = 0.0,
    ):
        """phrases: what the person wants to write, one after the other.

        patience: how many menus of one text they answer by none before they type.
        key_every: time for one letter.
        spelling: whether they type the word to its end, or look at what is offered after each letter.
        find: time from a menu to the first word that is read.
        read: time to read a word of a menu.
        react: time from a wrong text to its correction.
        lapse: how often they attend to something else than they want.
        notice: how often a wrong text is noticed, at each look at it.
        tire: by what part of the beginning reading and reactions are slower after each 100 selections.
        trims: whether they take an option whose last word is wrong, and take that word back.
        wait: how long they attend to something without a choice before they type a letter; 0 for ever.
        """
        if not phrases or not all(line_of(phrase) for phrase in phrases):
            raise LoadError("phrases: expected at least one phrase, and none of them empty")
        self._phrases, self._patience, self._spelling, self._trims = phrases, patience, spelling, trims
        self._habits = Habits(find, read, react, key_every, tire)
        self._lapse, self._notice, self._wait = lapse, notice, nanoseconds(wait)
        self._done = 0
        self._made = 0
        self._text = ""
        self._began: int | None = None
        self._phrase_began = 0
        self._refused = 0
        self._counts = dict.fromkeys(("selections", "undos", "keys"), 0)
        self._typing: int | None = None
        self._in_word = False
        self._text_at_key: str | None = None
        self._leaving = False
        self._trimming: int | None = None
        self._plan: list[Scheduled] = []
        self._number = 0

    def update(self) -> None:
        news = [
            # The text that a choice made comes before the menu that it led to.
            *self.i_choice.select("choice"),
            *self.i_text.select("text"),
            *self.i_menu.select("menu"),
        ]
        events: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
        for time, label, data in sorted(news, key=lambda event: event[0]):
            self._act(time - 1, events)
            if self._done == len(self._phrases):
                break
            if label == "choice":
                self._chosen(time, data)
            elif label == "text":
                self._read(time, data["text"], events)
            else:
                self._look(time, data)
        self._act(self.now, events)
        self.wake = max(self._plan[0][0], self.now + 1) if self._plan else None
        for port, given in events.items():
            self.ports[port].frame = EventFrame.of(*sorted(given, key=lambda event: event[0]))

    @property
    def _phrase(self) -> str:
        return self._phrases[self._done]

    def _slowly(self, duration: float) -> int:
        return nanoseconds(duration * (1.0 + self._habits.tire * self._made / 100))

    def _schedule(self, time: int, port: str, what: str = "", menu: int | None = None) -> None:
        self._number += 1
        heapq.heappush(self._plan, (time, self._number, port, what, menu))

    def _forget(self, *ports: str) -> None:
        self._plan = [planned for planned in self._plan if planned[2] not in ports]
        heapq.heapify(self._plan)

    # What is seen

    def _look(self, time: int, menu: Mapping[str, Any]) -> None:
        if self._began is None:
            self._began = self._phrase_began = time
        if self._spelling == "letter" and self._in_space():
            return  # the eyes are on the keys
        options = menu["options"]
        self._forget("o", _STUCK)
        self._trimming = None
        # Until the text has changed as they asked, nothing on offer is right.
        target = NONE if self._leaving else attended(self._text, options, self._phrase)
        if target == NONE and self._trims and not self._leaving:
            target = trimmable(self._text, options, self._phrase)
            self._trimming = menu["menu"] if target != NONE else None
        found = time + self._slowly(self._habits.reading(menu))
        if target == NONE and self._patience == 0 and not self._leaving:
            self._type(found)
            return
        if self._lapse and self.rng.random() < self._lapse:
            ids = [option["id"] for option in options if option["id"] != target] or [target]
            target, self._trimming = ids[int(self.rng.integers(len(ids)))], None
        self._schedule(found, "o", target, menu["menu"])
        if self._leaving and "o_undo" not in {planned[2] for planned in self._plan}:
            self._notices(found)  # another look at a text that is wrong

    def _chosen(self, time: int, choice: Mapping[str, Any]) -> None:
        self._counts["selections"] += 1
        self._made += 1
        self._forget(_STUCK)
        if choice["option"] != NONE:
            if self._trimming is not None and choice["menu"] == self._trimming:
                self._schedule(time + self._slowly(self._habits.react), "o_command", "word_back")
            return
        self._refused += 1
        if self._refused >= self._patience and self._typing is None and not self._leaving:
            self._type(time)

    def _read(self, time: int, text: str, events: dict[str, list[Any]]) -> None:
        if text == self._text:
            return
        self._text, self._refused, self._leaving = text, 0, False
        self._forget("o", "o_undo", _STUCK)
        if self._spelling == "letter" and not self._in_space():
            self._stop_typing()
        if line_of(text) == line_of(self._phrase):
            self._finish(time, events)
        elif not leads_on(text, self._phrase) and "o_command" not in {planned[2] for planned in self._plan}:
            self._stop_typing()
            self._leaving = True
            self._notices(time)

    def _in_space(self) -> bool:
        """Whether the letter after the space that was typed last is still to come."""
        return self._typing is not None and self._text.endswith(" ")

    def _notices(self, time: int) -> None:
        if self._notice >= 1 or self.rng.random() < self._notice:
            self._schedule(time + self._slowly(self._habits.react), "o_undo", "not what was meant")

    # What is done

    def _act(self, until: int, events: dict[str, list[Any]]) -> None:
        """Do what was planned for the time up to ``until``."""
        while self._plan and self._plan[0][0] <= until:
            time, _, port, what, menu = heapq.heappop(self._plan)
            if self._done == len(self._phrases):
                continue
            if port == _STUCK:
                self._type(time)
                continue
            if port == "o":
                event = Calibration(step="attend", target=what, menu=menu).at(time)
                if self._wait:
                    self._schedule(time + self._wait, _STUCK)
            elif port == "o_undo":
                self._counts["undos"] += 1
                event = Undo(reason=what).at(time)
            elif port == "o_command":
                self._counts["selections"] += 1
                event = Command(command="word_back").at(time)
            else:
                self._press(time, events)
                continue
            events.setdefault(port, []).append(event)

    def _type(self, time: int) -> None:
        """Begin to type."""
        if self._typing is None:
            self._in_word, self._text_at_key = False, None
            self._typing = time + nanoseconds(self._habits.key_every)
            self._schedule(self._typing, "o_key")

    def _stop_typing(self) -> None:
        self._typing = None
        self._forget("o_key")

    def _press(self, time: int, events: dict[str, list[Any]]) -> None:
        """The next letter of the word, when the one before is in the text."""
        self._typing = time + nanoseconds(self._habits.key_every)
        self._schedule(self._typing, "o_key")
        if self._text == self._text_at_key:
            return
        letter = next_letter(self._text, self._phrase)
        # The space after a word ends the typing: the model knows then that the word is complete.
        if not letter or (letter == " " and self._in_word):
            self._stop_typing()
        if letter:
            self._in_word = letter != " "
            self._text_at_key = self._text
            self._counts["keys"] += 1
            events.setdefault("o_key", []).append(Key(key=letter).at(time))

    def _finish(self, time: int, events: dict[str, list[Any]]) -> None:
        detail = {
            "phrase": self._phrase,
            "text": self._text,
            "seconds": round(seconds(time - self._phrase_began), 3),
            **self._counts,
        }
        states = events.setdefault("o_state", [])
        states.append(State(state="phrase_done", source=self.id, detail=detail).at(time))
        self._done += 1
        self._phrase_began = time
        self._plan, self._typing = [], None
        self._counts = dict.fromkeys(self._counts, 0)
        self._leaving = True
        if self._done == len(self._phrases):
            took = seconds(time - (self._began or time))
            detail = {"phrases": self._done, "seconds": round(took, 3)}
            states.append(State(state="finished", source=self.id, detail=detail).at(time))
