"""The text that is being written, and what is offered for it: words, or letters to type."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from operator import itemgetter
from typing import Annotated, Any, NamedTuple

from volition.core import EventFrame, EventsIn, EventsOut, Node, VolitionError
from volition.core.events import Error, State, Text
from volition.core.params import Ge
from volition.nodes.text.draft import Draft
from volition.nodes.text.draftfile import DraftFile, draft_path

__all__ = ["BACKSPACE", "NONE", "Draft", "Writer", "agreed"]

NONE = "none"
BACKSPACE = "backspace"

_IN_WORD = 2
"""So many times ``none`` in a row for a half-typed word asks for letters."""

_MENUS = 64  # numbers of menus that are known to be gone
_MOVES = 100


def agreed(option: str, text: str) -> str:
    """What a choice inserts: the whole option, or as many of its words as ``text`` names.

    >>> agreed(" would like to", " would like"), agreed(" would like to", " wou"), agreed(" would", "")
    (' would like', ' would like to', ' would')
    """
    whole_words = option.startswith(text) and option[len(text) :][:1].isspace()
    return text if text.strip() and whole_words else option


class Place(NamedTuple):
    """What is offered: letters, of a group; or words, after ``refused`` menus in a row that had none that fits."""

    letters: bool = False
    group: str = ""
    refused: int = 0


class Writer(Node):
    """The text so far, which grows by each choice.

    A chosen option is inserted as it is, or as many of its words as the choice names; options bring their own
    space. A key that is one character is typed as it is (reason ``typed``). ``none`` leaves the text and says so
    (reason ``none``). An undo or ``backspace`` goes one step back; one that names a menu only if nothing has
    happened since the choice from it. ``redo``, ``word_back`` and ``clear`` can be undone; the state
    ``phrase_done`` clears the text for good.

    Letters are offered after the command ``letters``, after ``none`` twice in a row for a half-typed word, or
    ``letters_after`` times elsewhere; the text event says so by ``offer``. Then a choice of several characters is
    a group of them (reason ``group``; ``none`` goes back to the groups), and a choice of one is typed, after
    which words that begin so are offered.

    Each change is a text event with the time of its cause; the first is the empty text (reason ``start``). A
    second choice for the same menu is ignored, and so is one from a menu that is gone or for another text. While
    paused only ``resume`` counts, and ``phrase_done``.

    With a ``file`` the text is on the disk before it is said, and the first text is what was there (reason
    ``restored``). When the file fails, that is reported, and the writing goes on.
    """

    i_choice = EventsIn("choice")
    i_menu = EventsIn("menu", optional=True)
    i_undo = EventsIn("undo", optional=True)
    i_state = EventsIn("state", optional=True)
    i_key = EventsIn("key", optional=True)
    i_command = EventsIn("command", optional=True)
    o = EventsOut("text")
    o_state = EventsOut("state")

    journals_results = True  # what the file held when the run began

    def __init__(self, file: str = "", letters_after: Annotated[int, Ge(0)] = 3):
        """file: keeps the text through crashes, or "own" for this account's draft; none when empty.
        letters_after: so many times none in a row ask for letters where no word is half-typed; 0 for never.
        """
        self._place_of_file = file
        self._letters_after = letters_after
        self._draft = Draft()
        self._file: DraftFile | None = None
        self._begun = False
        self._reading = False
        self._waiting: list[Any] = []
        self._problem = ""
        self._paused = False
        self._place = Place()
        self._moves: deque[Place] = deque(maxlen=_MOVES)  # places since the text changed
        self._options: dict[str, str] = {}
        self._kind: str | None = None
        self._menu: int | None = None
        self._context: str | None = None
        self._gone: deque[int] = deque(maxlen=_MENUS)
        self._taken: int | None = None
        self._last: int | None = None  # the menu of the last choice, while nothing has happened since

    def start(self) -> None:
        if self._place_of_file:
            self._file = None if self.muted else DraftFile(draft_path(self._place_of_file))
            self._reading = True
            self.submit(_read, self._file)

    def update(self) -> None:
        events = sorted(
            [*self.i_menu, *self.i_state, *self.i_undo, *self.i_choice, *self.i_command, *self.i_key],
            key=itemgetter(0),
        )  # of one time, in this order
        if self._reading:
            self._waiting += events  # they are about a text that is not there yet
            for found, problem in self.results():
                self._reading = False
                self._draft.clear(found)
                self._complain(problem)
            if self._reading:
                return
            events, self._waiting = self._waiting, []
        texts, states = [], []
        if not self._begun:
            self._begun = True
            texts.append(self._said("restored" if self._draft.text else "start").at(self.now))
        for time, label, data in events:
            paused = self._paused
            reason = self._heed(label, data)
            if self._paused != paused:
                states.append(State(state="paused" if self._paused else "writing", source=self.id).at(time))
            if reason:
                self._keep()
                texts.append(self._said(reason).at(time))
        if texts:
            self.o = EventFrame.of(*texts)
        if states:
            self.o_state = EventFrame.of(*states)

    def _said(self, reason: str) -> Text:
        place = self._place
        offer = "letters" if place.letters else None
        return Text.parse({"text": self._draft.text, "reason": reason, "offer": offer, "group": place.group or None})

    def _heed(self, label: str, data: Mapping[str, Any]) -> str:
        """Apply an event; the reason for the text event, empty when nothing comes of it."""
        if label == "menu":
            self._show(data)
        elif label == "state":
            if data["state"] == "phrase_done":
                self._draft.clear()
                return self._edited("cleared")
        elif label == "command":
            return self._obey(data["command"])
        elif self._paused:
            return ""
        elif label == "choice":
            return self._choose(data["menu"], data["option"], data.get("text", ""))
        elif label == "key":
            return self._type(data["key"])
        elif label == "undo":
            return self._undo(data.get("menu"))
        return ""

    def _edited(self, reason: str, menu: int | None = None) -> str:
        """The text has changed: words are offered again."""
        self._place, self._last = Place(), menu
        self._moves.clear()
        return reason

    def _go(self, place: Place, reason: str, menu: int | None = None) -> str:
        """Something else is offered for the same text."""
        self._moves.append(self._place)
        self._place, self._last = place, menu
        return reason

    def _show(self, data: Mapping[str, Any]) -> None:
        if self._menu is not None and self._menu != data["menu"]:
            self._gone.append(self._menu)
        self._menu, self._context, self._kind = data["menu"], data["context"], data.get("kind")
        self._options = {option["id"]: option["text"] for option in data["options"]}
        if self._menu == self._taken:
            self._taken = None  # the generator began to count anew

    def _type(self, key: str) -> str:
        """Apply a key: a character or backspace; others belong to someone else."""
        if key == BACKSPACE:
            return self._undo(None)
        if len(key) != 1 or not key.isprintable():
            return ""
        self._draft.add(key)
        return self._edited("typed")

    def _obey(self, command: str) -> str:
        if self._paused:
            if command == "resume":
                self._paused = False
                return "resumed"  # asks for a new menu: what was chosen from the last one is lost
            return ""
        if command == "pause":
            self._paused = True
        elif command == "letters":
            return self._go(Place(letters=True), "letters")
        elif command == "words":
            return self._go(Place(), "words")
        changes = {
            "redo": (self._draft.redo, "redo"),
            "word_back": (self._draft.word_back, "word_back"),
            "clear": (self._draft.empty, "cleared"),
        }
        if command in changes and changes[command][0]():
            return self._edited(changes[command][1])
        return ""

    def _choose(self, menu: int, option: str, text: str) -> str:
        current = menu == self._menu
        if menu == self._taken or (current and self._context != self._draft.text):
            return ""
        if not current and menu in self._gone:
            return ""
        kind = self._kind if current else None
        if option == NONE:
            self._taken = menu
            return self._refuse(menu, kind)
        if current and option in self._options:
            text = agreed(self._options[option], text)
        elif not current:
            text = text or option  # a letter of a matrix is its own text
        if not text:
            return ""
        self._taken = menu
        if kind is None:
            self._draft.choose(text)
            return self._edited("choice", menu)
        if len(text) > 1:
            return self._go(Place(letters=True, group=text), "group", menu)
        self._draft.spell(text)
        return self._edited("typed", menu)

    def _refuse(self, menu: int, kind: str | None) -> str:
        """Nothing of a menu fits: other words, letters after a while; other groups, from within one the groups."""
        refused = self._place.refused + 1
        patience = _IN_WORD if self._draft.half_typed else self._letters_after
        letters = kind is not None or (0 < patience <= refused)
        return self._go(Place(letters=True) if letters else Place(refused=refused), NONE, menu)

    def _undo(self, menu: int | None) -> str:
        """Take the last step back: the change of the text, or the way into the letters.

        A ``none`` is taken back only by an undo that names its menu: other ones are about the text.
        """
        if menu is not None and menu != self._last:
            return ""
        if self._moves and (menu is not None or self._place.letters):
            self._place, self._last = self._moves.pop(), None
            return "undo"
        return self._edited("undo") if self._draft.undo() else ""

    def _keep(self) -> None:
        """Have the file say what the text is now."""
        if self._file is None:
            return
        try:
            self._file.keep(self._draft.text)
        except VolitionError as error:
            self._complain(str(error))
        else:
            self._problem = ""

    def _complain(self, problem: str) -> None:
        if problem and problem != self._problem:
            self.report(Error(source=self.id, message=f"{problem}; the text is not safe from a crash"))
        self._problem = problem


def _read(file: DraftFile | None) -> tuple[str, str]:
    """The text that a file holds, and what is wrong with it; nothing of either without a file."""
    try:
        return (file.read() if file is not None else ""), ""
    except VolitionError as error:
        return "", str(error)
