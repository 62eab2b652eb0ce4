"""What a menu depends on, and how one request follows from another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from volition.nodes.text.draft import spelt, taken, within_word
from volition.nodes.text.mask import Candidate
from volition.nodes.text.proposals import Proposal, split
from volition.nodes.text.steering import Steering

TYPED = ("typed", "key")
"""Reasons of a text that may end within a word."""

_UNCHANGED = ("undo", "redo", "letters", "words", "group", "none", "resumed")
"""Reasons of a text that was there before."""

_REMEMBERED = 100
_REFUSED = 40  # after so many the first ones may come again


@dataclass(frozen=True)
class Request:
    """Everything a menu depends on.

    Attributes
    ----------
    text
        The text so far.
    half_typed
        Whether the last word of the text is being typed.
    turns
        The conversation, oldest first.
    refused
        Options that were offered for this text, and not taken.
    candidates
        What evidence speaks about, in tokens.
    memory
        Remembered lines that may matter here.
    focus
        Words that the person attends to, and weights in 0..1.
    steering
        Adapters, control vector and biases.
    learned
        Which state of what was learned from the person is in force; 0 for none.
    recalled
        Remembered lines that fit this request: the ``memory`` of those that follow it. So a menu never waits for
        lines that the model has not read, and they are read while the person chooses.
    letters
        The characters to choose from; empty when words are wanted.
    group
        Those of them that are wanted; empty for all.
    """

    text: str = ""
    half_typed: bool = False
    turns: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    memory: tuple[str, ...] = ()
    focus: tuple[tuple[str, float], ...] = ()
    steering: Steering = field(default_factory=Steering)
    recalled: tuple[str, ...] = field(default=(), compare=False)
    letters: str = ""
    group: str = ""
    learned: int = 0

    def same_menu(self, other: Request) -> bool:
        """Whether another request asks for the same, whatever is remembered and learned."""
        return replace(self, memory=(), learned=0) == replace(other, memory=(), learned=0)


@dataclass(frozen=True)
class Proposals:
    """The answer to a request.

    Attributes
    ----------
    options
        Likeliest first.
    p_none
        The probability that none of them fits, within ``P_NONE_BOUNDS``.
    covered_mass
        The sum of their probabilities.
    model
        What made them.
    problem
        Why the model did not give all of them; empty when it did.
    complete
        Whether the search came to its end.
    milliseconds
        How long it took.
    kind
        What the options are when they are no words; see the event ``menu``.
    rest
        Words that are less likely than the options, likeliest first; with a profile only.
    """

    request: Request
    options: tuple[Proposal, ...]
    p_none: float
    covered_mass: float
    model: str
    problem: str = ""
    complete: bool = True
    milliseconds: float = field(default=0.0, compare=False)
    kind: Literal["letters", "groups"] | None = None
    rest: tuple[Proposal, ...] = ()


_REQUEST = TypeAdapter(Request)
_PROPOSALS = TypeAdapter(Proposals)


def pack(value: Request | Proposals) -> dict[str, Any]:
    """As plain dicts, lists, numbers and strings."""
    adapter: TypeAdapter[Any] = _REQUEST if isinstance(value, Request) else _PROPOSALS
    packed: dict[str, Any] = adapter.dump_python(value)
    return packed


def unpack_request(data: Mapping[str, Any]) -> Request:
    """What ``pack`` made of a request."""
    return _REQUEST.validate_python(data)


def unpack_proposals(data: Mapping[str, Any]) -> Proposals:
    """What ``pack`` made of proposals."""
    return _PROPOSALS.validate_python(data)


def accepted(request: Request, option: str) -> Request:
    """The request after an option was taken."""
    text = taken(request.text, option)
    return replace(request, text=text, half_typed=False, refused=(), candidates=(), memory=request.recalled)


def rejected(shown: Proposals) -> Request:
    """The request after none of the options was taken: hard evidence, until the text changes."""
    request = shown.request
    against = [variant for option in shown.options for variant in option.candidates(float("-inf"))]
    refused = (*request.refused, *(option.text for option in shown.options))
    candidates = (*request.candidates, *against)
    return replace(request, refused=refused[-_REFUSED:], candidates=candidates[-_REFUSED:])


def spelled(request: Request, option: str) -> Request:
    """The request after a letter was taken, or a group of them."""
    if len(option) > 1:
        return replace(request, group=option, refused=())
    text = spelt(request.text, option, request.half_typed)
    return replace(
        request,
        text=text,
        half_typed=within_word(text),
        refused=(),
        candidates=(),
        memory=request.recalled,
        letters="",
        group="",
    )


def turned(shown: Proposals) -> Request:
    """The request after none of the letters was taken: back to the groups, or on to others and round."""
    request = shown.request
    if request.group:
        return replace(request, group="", refused=())
    refused = (*request.refused, *(option.text for option in shown.options))
    return replace(request, refused=refused if set(request.letters) - set("".join(refused)) else ())


def following(shown: Proposals) -> Iterator[tuple[str, Request]]:
    """What may be asked next, by the option that is taken ("1", "2", ..., "none")."""
    if shown.request.letters:
        for number, option in enumerate(shown.options, 1):
            yield str(number), spelled(shown.request, option.text)
        yield "none", turned(shown)
        return
    for number, option in enumerate(shown.options, 1):
        yield str(number), accepted(shown.request, option.text)
    yield "none", rejected(shown)


class Offered:
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

    def after(self, request: Request, text: str, reason: str, letters: str = "", group: str = "") -> Request:
        """The request for ``text``, when ``request`` was the last one; ``letters`` and ``group`` as in a request."""
        half_typed = self._ends_within_a_word(text, reason)
        fresh = replace(
            request,
            text=text,
            half_typed=half_typed,
            refused=(),
            candidates=(),
            memory=request.recalled,
            letters=letters,
            group=group,
        )
        if self.shown is None:
            return fresh
        before = self.shown.request
        if reason in ("none", "group") and before.text == text:
            same = replace(request, text=text, half_typed=before.half_typed)
            return self._going_on(same, letters, group)
        if half_typed and split(text, True).base == split(before.text, before.half_typed).base:
            # A letter was typed instead: what the signals leaned towards still counts.
            options = {str(n): option for n, option in enumerate(self.shown.options, 1)}
            leaned = [v for n, option in options.items() if n in self.log_v for v in option.candidates(self.log_v[n])]
            return replace(fresh, candidates=tuple(leaned))
        return fresh

    def _going_on(self, same: Request, letters: str, group: str) -> Request:
        """The next request for the text of what was shown."""
        if self.shown is None or group:
            return replace(same, letters=letters, group=group, refused=())
        if same.letters and letters:
            return turned(replace(self.shown, request=same))
        if same.letters:
            return replace(same, letters="", group="", refused=(), candidates=())
        # Words that do not fit are no words to spell, either.
        against = rejected(replace(self.shown, request=same))
        return replace(against, letters=letters, refused=()) if letters else against

    def _ends_within_a_word(self, text: str, reason: str) -> bool:
        if reason in TYPED and within_word(text):
            self._half_typed[text] = None
            if len(self._half_typed) > _REMEMBERED:
                del self._half_typed[next(iter(self._half_typed))]
            return True
        if reason == "choice":
            self._half_typed.pop(text, None)
        return reason in _UNCHANGED and text in self._half_typed  # back to where it was typed, or still there
