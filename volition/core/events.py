"""The event vocabulary: every label, its fields, and the version of the whole.

A frame carries the plain dict of an event; ``Event.parse`` gives the model back. Times stand beside the data, in ns
UTC. Fields that a label does not know are refused, so that a misspelt one is found where it is made.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from volition.core.errors import FrameError

VERSION = 1

Probability = Annotated[float, Field(ge=0, le=1)]


class Event(BaseModel):
    """Base of all events."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())
    label: ClassVar[str]

    def at(self, time: int) -> tuple[int, str, dict[str, Any]]:
        """The event as ``EventFrame.of`` takes it, at ``time`` in ns UTC."""
        return (time, self.label, self.model_dump(exclude_none=True))

    @classmethod
    def parse(cls, data: Any) -> Any:
        """The model of an event's data; a FrameError that names what is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise FrameError(f"event {cls.label}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


class Stream(Event):
    """A stream was opened, lost, found again or closed."""

    label = "stream"
    source: str
    state: Literal["opened", "lost", "back", "closed"]
    name: str = ""
    type: str = ""
    channels: list[str] = []
    rate: float = 0.0
    unit: str | list[str] = ""


class Gap(Event):
    """A hole in a stream: nothing is known between ``start_ns`` and the time of the event."""

    label = "gap"
    source: str
    start_ns: int
    seconds: float
    reason: str = ""


class Dropped(Event):
    """Something was thrown away, and counted."""

    label = "dropped"
    source: str
    what: str
    count: int
    reason: str


class Quality(Event):
    """Signal quality per channel, 0 (useless) to 1."""

    label = "quality"
    source: str = ""
    channels: dict[str, Probability]


class Box(BaseModel):
    """A place on the screen; x and y of the top left corner, y down."""

    model_config = ConfigDict(extra="forbid")
    id: str
    x: float
    y: float
    width: float
    height: float
    text: str = ""


class Layout(Event):
    """Where things are on the screen, in ``unit``; ``menu`` is the menu they show, if any."""

    label = "layout"
    boxes: list[Box]
    unit: Literal["px", "norm"] = "px"
    screen: tuple[float, float] | None = None
    menu: int | None = None


class Flash(Event):
    """The boxes ``ids`` lit up; ``target`` is the truth where it is known (calibration)."""

    label = "flash"
    ids: list[str]
    menu: int
    target: bool | None = None


class Fixation(Event):
    """The gaze rested at x, y (``unit``) for ``seconds``."""

    label = "fixation"
    x: float
    y: float
    unit: Literal["px", "norm"] = "px"
    seconds: float


class Evidence(Event):
    """Log-likelihood ratio per option of one menu that the person attends to it, from one source."""

    label = "evidence"
    source: str
    menu: int
    llr: dict[str, float]


class Engagement(Event):
    """Engagement index, and where it lies against the person's baseline (z)."""

    label = "engagement"
    index: float
    z: float | None = None


class Option(BaseModel):
    """One offered continuation."""

    model_config = ConfigDict(extra="forbid")
    id: str
    text: str
    log_probability: float
    tokens: list[int] = []
    why: dict[str, float] = {}
    """What the log-probability is the sum of, in nats: the model's share, focus, bias, mask."""


class Menu(Event):
    """The options shown together, and the probability that none of them fits.

    ``covered_mass`` is the sum of the options' probabilities; ``late`` says that the search was cut short. ``kind``
    says what an option stands for when it is no words: a letter to type, or a group of letters to choose from.
    """

    label = "menu"
    kind: Literal["letters", "groups"] | None = None
    menu: int
    context: str
    options: list[Option]
    p_none: Probability
    covered_mass: Probability | None = None
    model: str = ""
    late: bool = False


class Posterior(Event):
    """What is believed about the options of a menu; ``p`` includes ``none``.

    ``sources`` is log V of each source and option; ``reliability`` and ``threshold`` are those in force just now, and
    ``engagement`` is the z that moved them, when one did.
    """

    label = "posterior"
    menu: int
    p: dict[str, float]
    sources: dict[str, dict[str, float]] = {}
    reliability: dict[str, Probability] | None = None
    threshold: Probability | None = None
    engagement: float | None = None


class Choice(Event):
    """An option was taken."""

    label = "choice"
    menu: int
    option: str
    text: str = ""
    p: Probability


class Undo(Event):
    """The last step is taken back; of a choice that was a mistake, ``menu`` says which."""

    label = "undo"
    reason: str = ""
    menu: int | None = None


class Text(Event):
    """The text as it is now; ``offer`` says that letters are wanted next, not words, and ``group`` from which ones."""

    label = "text"
    text: str
    reason: str = ""
    offer: Literal["letters"] | None = None
    group: str | None = None


class Turn(Event):
    """What the conversation partner said."""

    label = "turn"
    text: str
    speaker: str = ""


class Focus(Event):
    """Words that the person attends to, with weights."""

    label = "focus"
    words: dict[str, float]


class Steer(Event):
    """What shifts the language model from now on; what is left out stays, what is empty is taken away.

    ``adapters`` and ``control`` are {file: scale}, ``bias`` is {word: nats}.
    """

    label = "steer"
    adapters: dict[str, float] | None = None
    control: dict[str, float] | None = None
    bias: dict[str, float] | None = None


class Command(Event):
    """What the person wants done with the text.

    ``redo`` takes an undo back; ``word_back`` takes the last word away; ``letters`` and ``words`` say what the next
    menu offers; ``speak``, ``copy``, ``save`` and ``type`` hand the text on; ``pause`` and ``resume`` stop and go on.
    """

    label = "command"
    command: Literal[
        "redo", "word_back", "letters", "words", "speak", "copy", "save", "type", "pause", "resume", "clear"
    ]


class Key(Event):
    """A key or switch."""

    label = "key"
    key: str


class Calibration(Event):
    """A step of a calibration or of a cued run: ``target`` is what the person was asked to attend to."""

    label = "calibration"
    step: str
    target: str = ""
    menu: int | None = None


class State(Event):
    """A program or a part of it changed state."""

    label = "state"
    state: str
    source: str = ""
    detail: dict[str, Any] = {}


class Error(Event):
    """Something failed; ``source`` says where."""

    label = "error"
    source: str
    message: str


VOCABULARY: dict[str, type[Event]] = {cls.label: cls for cls in Event.__subclasses__()}


def parse(label: str, data: Any) -> Event:
    """The checked model of an event; a FrameError when the label is not in the vocabulary."""
    cls = VOCABULARY.get(label)
    if cls is None:
        raise FrameError(f"{label!r} is no event; the vocabulary is {', '.join(sorted(VOCABULARY))}")
    model: Event = cls.parse(data)
    return model
