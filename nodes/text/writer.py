"""The text that is being written."""

from __future__ import annotations

from operator import itemgetter

from volition.core import EventFrame, EventsIn, EventsOut, Node
from volition.core.events import Text

NONE = "none"


class Draft:
    """A text with the way back."""

    def __init__(self) -> None:
        self.text = ""
        self._before: list[str] = []

    def add(self, piece: str) -> None:
        """Append ``piece`` as it is."""
        self._before.append(self.text)
        self.text += piece

    def undo(self) -> bool:
        """Take the last addition back; whether there was one."""
        if not self._before:
            return False
        self.text = self._before.pop()
        return True

    def clear(self) -> None:
        """Begin again, with no way back."""
        self.text = ""
        self._before.clear()


class Writer(Node):
    """The text so far, which grows by each choice.

    A chosen option is inserted exactly as it is; options bring their own space. Choosing ``none`` leaves
    the text and says so (reason ``none``), an undo goes one choice back, and the state ``phrase_done``
    clears the text. Each change is a text event with the time of its cause; the first is the empty text
    (reason ``start``), with which the loop begins. A second choice for the same menu is ignored.
    """

    i_choice = EventsIn("choice")
    i_menu = EventsIn("menu", optional=True)
    i_undo = EventsIn("undo", optional=True)
    i_state = EventsIn("state", optional=True)
    o = EventsOut("text")

    def __init__(self) -> None:
        """No parameters."""
        self._draft = Draft()
        self._begun = False
        self._options: dict[str, str] = {}
        self._menu: int | None = None
        self._taken: int | None = None

    def update(self) -> None:
        texts = []
        if not self._begun:
            self._begun = True
            texts.append(Text(text="", reason="start").at(self.now))
        events = sorted(
            [*self.i_menu, *self.i_state, *self.i_undo, *self.i_choice], key=itemgetter(0)
        )  # of one time, in this order
        for time, label, data in events:
            reason = ""
            if label == "menu":
                self._show(data["menu"], {option["id"]: option["text"] for option in data["options"]})
            elif label == "choice":
                reason = self._choose(data["menu"], data["option"], data.get("text", ""))
            elif label == "undo":
                reason = "undo" if self._draft.undo() else ""
            elif label == "state" and data["state"] == "phrase_done":
                self._draft.clear()
                reason = "cleared"
            if reason:
                texts.append(Text(text=self._draft.text, reason=reason).at(time))
        if texts:
            self.o = EventFrame.of(*texts)

    def _show(self, menu: int, options: dict[str, str]) -> None:
        self._menu, self._options = menu, options
        if menu == self._taken:
            self._taken = None  # the generator began to count anew

    def _choose(self, menu: int, option: str, text: str) -> str:
        """Apply a choice; the reason for the text event, empty when nothing comes of it."""
        if menu == self._taken:
            return ""
        self._taken = menu
        if option == NONE:
            return NONE
        if not text:
            # A letter of a matrix is its own text.
            text = self._options.get(option, "") if menu == self._menu else option
        self._draft.add(text)
        return "choice"
