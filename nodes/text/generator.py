"""Menus for the text so far."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Annotated

from volition.core import EventFrame, EventsIn, EventsOut, Ge, Gt, Le, Node, Unit
from volition.core.clock import nanoseconds
from volition.core.events import Error, Menu, Option
from volition.nodes.text.proposals import Limits, split
from volition.nodes.text.worker import FALLBACK, Proposals, Proposer, Request

TYPED = ("typed", "key")
"""Reasons of a text that may end within a word."""

_TURNS = 8
_REMEMBERED = 100
_REFUSED = 40  # after so many the first ones may come again


class Refusals:
    """What the person was offered, and what their signals said of it: the next request depends on both."""

    def __init__(self) -> None:
        self.shown: Proposals | None = None
        self.log_v: dict[str, float] = {}
        self._half_typed: dict[str, None] = {}  # texts that ended within a word, oldest first

    def show(self, proposals: Proposals) -> None:
        """A menu has been shown."""
        self.shown, self.log_v = proposals, {}

    def hear(self, sources: Mapping[str, Mapping[str, float]]) -> None:
        """Take log V of the shown options (ids "1", "2", ...) from each source."""
        self.log_v = {}
        for values in sources.values():
            for option, value in values.items():
                self.log_v[option] = self.log_v.get(option, 0.0) + value

    def after(self, request: Request, text: str, reason: str) -> Request:
        """The request for ``text``, when ``request`` was the last one."""
        half_typed = self._ends_within_a_word(text, reason)
        if self.shown is None:
            return Request(text, half_typed, request.turns)
        before = self.shown.request
        options = [option for option in self.shown.options if option.tokens]
        if reason == "none" and before.text == text:
            # None of them: hard evidence, until the text changes.
            refused = (*request.refused, *(option.text for option in self.shown.options))
            candidates = (*request.candidates, *(option.candidate(float("-inf")) for option in options))
            return Request(text, before.half_typed, request.turns, refused[-_REFUSED:], candidates[-_REFUSED:])
        if half_typed and split(text, True).base == split(before.text, before.half_typed).base:
            # A letter was typed instead: what the signals leaned towards still counts.
            leaned = {str(n): option for n, option in enumerate(self.shown.options, 1) if option.tokens}
            candidates = tuple(option.candidate(self.log_v[n]) for n, option in leaned.items() if n in self.log_v)
            return Request(text, True, request.turns, (), candidates)
        return Request(text, half_typed, request.turns)

    def _ends_within_a_word(self, text: str, reason: str) -> bool:
        if reason in TYPED:
            self._half_typed[text] = None
            if len(self._half_typed) > _REMEMBERED:
                del self._half_typed[next(iter(self._half_typed))]
            return True
        return reason == "undo" and text in self._half_typed  # back to where it was typed


class Generator(Node):
    """Menus of 3 to 5 continuations of the text, from a small local language model.

    Each text asks for a menu; the model works off the tick, and the menu carries the time at which it came
    back. While it works, the newest text wins. A text with the reason ``none`` (nothing fits) refuses what
    was offered: other options follow until the text changes. The model is loaded and warmed up from the
    start.

    Without a working model, or past the deadline, the options come from a small table of words; the menu's
    ``model`` is then ``fallback``, an ``error`` is reported, and ``fallbacks`` counts them.
    """

    i_text = EventsIn("text")
    i_turn = EventsIn("turn", optional=True)
    i_posterior = EventsIn("posterior", optional=True)
    o = EventsOut("menu")

    chunk_dependent = "texts that come in one tick are answered once, for the newest"

    def __init__(
        self,
        model: str = "smollm2-135m",
        options: Annotated[int, Ge(1), Le(8)] = 5,
        words: Annotated[int, Ge(1), Le(8)] = 3,
        grow: Annotated[float, Gt(0), Le(1)] = 0.5,
        threads: Annotated[int, Ge(0)] = 0,
        deadline: Annotated[float, Unit("s"), Gt(0)] = 5.0,
        banned: list[str] | None = None,
    ):
        """model: a .gguf file, or smollm2-135m.
        options: how many to offer.
        words: most words of an option.
        grow: an option takes its next word along while that is likelier than this; 1 for single words.
        threads: of the language model; 0 for a number that suits the machine.
        deadline: after this time the options come from the small table of words.
        banned: words that are never offered.
        """
        self._model = model
        self._limits = Limits(options, words, grow, banned=tuple(banned or ()))
        self._threads = threads
        self._deadline = nanoseconds(deadline)
        self._proposer: Proposer | None = None
        self._offered = Refusals()
        self._request = Request()
        self._ready: Proposals | None = None
        self._due: int | None = None  # a menu is owed, at the latest then
        self._menu = 0
        self._problem = ""
        self.fallbacks = 0

    def start(self) -> None:
        self._proposer = Proposer(self._model, self._limits, self._threads)
        self._ask(Request())

    def update(self) -> None:
        self._listen()
        self._collect()
        if self._due is not None and not self.busy:
            self._ask(self._request)
            self._collect()
        if self._due is not None and self.now >= self._due and self._proposer is not None:
            late = self._proposer.without_model(self._request, f"no answer within {self._deadline / 1e9:g} s")
            self._emit(late, late=True)
        if self._due is not None:
            self.wake = self._due

    def terminate(self) -> None:
        if self._proposer is not None:
            self._proposer.close()

    def _listen(self) -> None:
        events = sorted([*self.i_posterior, *self.i_turn, *self.i_text], key=itemgetter(0))
        for _, label, data in events:
            if label == "posterior" and data["menu"] == self._menu:
                self._offered.hear(data.get("sources", {}))
            elif label == "turn":
                turns = (*self._request.turns, data["text"])[-_TURNS:]
                self._request = Request(self._request.text, self._request.half_typed, turns)
                if self._menu:
                    self._want()
            elif label == "text":
                self._request = self._offered.after(self._request, data["text"], data.get("reason", ""))
                self._want()

    def _want(self) -> None:
        self._due = self.now + self._deadline

    def _ask(self, request: Request) -> None:
        if self._proposer is not None:
            self.submit(self._proposer, request)

    def _collect(self) -> None:
        for result in self.results():
            self._ready = result
        if self._due is not None and self._ready is not None and self._ready.request == self._request:
            self._emit(self._ready)

    def _emit(self, proposals: Proposals, late: bool = False) -> None:
        self._due = None
        self._ready = None
        self._menu += 1
        self._offered.show(proposals)
        if proposals.model == FALLBACK:
            self.fallbacks += 1
            if proposals.problem != self._problem:
                self.report(Error(source=self.id, message=f"{proposals.problem}; options come from a small table"))
        self._problem = proposals.problem
        options = [
            Option(id=str(n), text=o.text, log_probability=o.log_probability, tokens=list(o.tokens))
            for n, o in enumerate(proposals.options, 1)
        ]
        menu = Menu(
            menu=self._menu,
            context=proposals.request.text,
            options=options,
            p_none=proposals.p_none,
            model=proposals.model,
            late=late,
        )
        self.o = EventFrame.of(menu.at(self.now))
