"""The text that is being written."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

from volition.core import EventFrame, EventsIn, EventsOut, Node
from volition.core.events import Text

NONE = "none"
BACKSPACE = "backspace"

_STEPS_BACK = 1000


class Draft:
    """A text with the way back."""

    def __init__(self) -> None:
        self.text = ""
        self._lengths: deque[int] = deque(maxlen=_STEPS_BACK)

    def add(self, piece: str) -> None:
        """Append ``piece`` as it is."""
        self._lengths.append(len(self.text))
        self.text += piece

    def undo(self) -> bool:
        """Take the last addition back; whether there was one."""
        if not self._lengths:
            return False
        self.text = self.text[: self._lengths.pop()]
        return True

    def clear(self) -> None:
        """Begin again, with no way back."""
        self.text = ""
        self._lengths.clear()


class Writer(Node):
    """The text so far, which grows by each choice.

    A chosen option is inserted exactly as it is; options bring their own space. Choosing ``none`` leaves
    the text and says so (reason ``none``), a key that is one character is typed (reason ``typed``), an
    undo or ``backspace`` goes one step back, and the state ``phrase_done`` clears the text. Each change
    is a text event with the time of its cause; the first is the empty text (reason ``start``). A second
    choice for the same menu is ignored, and so is one from a menu for another text.
    """

    i_choice = EventsIn("choice")
    i_menu = EventsIn("menu", optional=True)
    i_undo = EventsIn("undo", optional=True)
    i_state = EventsIn("state", optional=True)
    i_key = EventsIn("key", optional=True)
    o = EventsOut("text")

    def __init__(self) -> None:
        """No parameters."""
        self._draft = Draft()
        self._begun = False
        self._options: dict[str, str] = {}
        self._menu: int | None = None
        self._context: str | None = None
        self._taken: int | None = None

    def update(self) -> None:
        texts = []
        if not self._begun:
            self._begun = True
            texts.append(Text(text="", reason="start").at(self.now))
        events = sorted(
            [*self.i_menu, *self.i_state, *self.i_undo, *self.i_choice, *self.i_key], key=itemgetter(0)
        )  # of one time, in this order
        for time, label, data in events:
            reason = ""
            if label == "menu":
                self._show(data)
            elif label == "choice":
                reason = self._choose(data["menu"], data["option"], data.get("text", ""))
            elif label == "key":
                reason = self._type(data["key"])
            elif label == "undo":
                reason = "undo" if self._draft.undo() else ""
            elif label == "state" and data["state"] == "phrase_done":
                self._draft.clear()
                reason = "cleared"
            if reason:
                texts.append(Text(text=self._draft.text, reason=reason).at(time))
        if texts:
            self.o = EventFrame.of(*texts)

    def _show(self, data: Mapping[str, Any]) -> None:
        self._menu, self._context = data["menu"], data["context"]
        self._options = {option["id"]: option["text"] for option in data["options"]}
        if self._menu == self._taken:
            self._taken = None  # the generator began to count anew

    def _type(self, key: str) -> str:
        """Apply a key: a character or backspace; others belong to someone else."""
        if key == BACKSPACE:
            return "undo" if self._draft.undo() else ""
        if len(key) != 1 or not key.isprintable():
            return ""
        self._draft.add(key)
        return "typed"

    def _choose(self, menu: int, option: str, text: str) -> str:
        """Apply a choice; the reason for the text event, empty when nothing comes of it."""
        stale = menu == self._menu and self._context != self._draft.text
        if menu == self._taken or stale:
            return ""
        self._taken = menu
        if option == NONE:
            return NONE
        if not text:
            # A letter of a matrix is its own text.
            text = self._options.get(option, "") if menu == self._menu else option
        self._draft.add(text)
        return "choice"
