"""The prompt: a few everyday lines, what is remembered, the last turns of the conversation, the text so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from volition.core import LoadError

Tokeniser = Callable[[str], list[int]]

_TURNS = 448
"""Most tokens of the conversation."""

_TEXT = 384
"""Most tokens of the text."""

_MEMORY = 160
"""Most tokens of what is remembered."""

_FRAME = 256
"""Most tokens of the frame: one in a language that the model was not made for would take all the room."""

_BLOCK = 64

_PUNCTUATION = re.compile(r"[^\w\s'-]|_")


def plain(line: str) -> str:
    """A line as people type it who save every keystroke: lower case, no punctuation but within words.

    >>> plain("I don't think so, thanks!")
    "i don't think so thanks"
    """
    return " ".join(_PUNCTUATION.sub(" ", line.lower().replace("’", "'")).split())


@dataclass(frozen=True)
class Frame:
    """Lines that stand before everything else, in two styles.

    Lines of the kind and case that is to be written: they cost a small model far fewer bits a character than
    an instruction does.

    Attributes
    ----------
    name
        As it is chosen by.
    lower
        The lines without capitals and punctuation, each with its line end.
    cased
        The same lines with them.
    """

    name: str
    lower: str
    cased: str

    @classmethod
    def of(cls, name: str, lines: Iterable[str]) -> Frame:
        """A frame of lines with capitals and punctuation."""
        kept = [line for line in (" ".join(line.split()) for line in lines) if line]
        return cls(name, "".join(f"{plain(line)}\n" for line in kept), "".join(f"{line}\n" for line in kept))

    def text(self, cased: bool) -> str:
        """The lines in one style."""
        return self.cased if cased else self.lower


EVERYDAY = Frame.of(
    "everyday",
    (
        "I changed my mind, I don't want to go out.",
        "What happened to your hand? Does it hurt?",
        "Could you open the window a little bit?",
        "I am worried about the test they are doing tomorrow.",
        "Do you want me to come along with you to the store?",
        "I need some help to get out of this chair.",
        "I don't feel well, so I want to stay at home.",
    ),
)
"""Found by ``benchmarks/frames``: of 160 lines, those that SmolLM2 foresees other everyday phrases best after."""

EVERYDAY_RU = Frame.of(
    "everyday-ru",
    (
        "Привет, как хорошо, что ты сегодня зашла.",
        "Помоги мне, пожалуйста, подняться с этого кресла.",
        "Во сколько мы сегодня будем ужинать?",
        "Спасибо тебе большое, мне очень понравилось.",
        "Я плохо себя чувствую, поэтому лучше останусь дома.",
    ),
)

NONE = Frame("none", "\n", "\n")

FRAMES = {frame.name: frame for frame in (EVERYDAY, EVERYDAY_RU, NONE)}

_BY_SCRIPT = {False: EVERYDAY, True: EVERYDAY_RU}  # whether it is Cyrillic


def find_frame(name: str) -> Frame:
    """The frame of a name, or the lines of a text file.

    Lines of a file that hold capitals are taken as the cased style, and the other is made from them; without
    any, they are used as they are in both.

    Raises
    ------
    LoadError
        When there is neither, or the file is no text.
    """
    if name in FRAMES:
        return FRAMES[name]
    path = Path(name).expanduser()
    if not path.is_file():
        raise LoadError(f"frame {name!r}: no such file, and no frame has this name; there are {', '.join(FRAMES)}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise LoadError(f"frame {name!r}: the file is not UTF-8 text") from None
    frame = Frame.of(name, lines)
    if not frame.cased:
        raise LoadError(f"frame {name!r}: the file has no lines; for a prompt without any name the frame {NONE.name!r}")
    return frame if frame.cased != frame.cased.lower() else Frame(name, frame.cased, frame.cased)


def suited(frame: Frame, text: str, turns: Sequence[str] = ()) -> Frame:
    """The frame in the language of the text: each of the everyday frames stands in for the other.

    The last letter of the text, else of the last turn, tells the script; without any, the frame stays.

    >>> suited(EVERYDAY, "я хочу").name
    'everyday-ru'
    """
    if frame not in _BY_SCRIPT.values():
        return frame
    letters = (c for line in (text, *reversed(turns)) for c in reversed(line) if c.isalpha())
    last = next(letters, "")
    return _BY_SCRIPT["\u0400" <= last <= "\u04ff"] if last else frame


def is_cased(text: str, turns: Sequence[str] = ()) -> bool:
    """Whether the person writes with capitals: what begins the last line of the text, else the last turn.

    Lines whose first letter has no case say nothing.
    """
    for line in (*reversed(text.split("\n")), *reversed(turns)):
        first = next((c for c in line if c.isalpha()), "")
        if first.isupper() or first.islower():
            return first.isupper()
    return False


def segments(
    text: str,
    turns: Sequence[str],
    tokenise: Tokeniser,
    opening: Sequence[int] = (),
    limit: int = 1000,
    frame: Frame | str = EVERYDAY,
    memory: Sequence[str] = (),
    cased: bool | None = None,
) -> list[list[int]]:
    """The prompt of at most ``limit`` tokens, as segments for ``LanguageModel.prefill``.

    What no longer changes (frame, memory, turns, finished lines, full blocks of a long line) is evaluated in
    one go, the rest token by token. When room is short, the last of ``memory`` go first, then the oldest turns,
    then the beginning of the text; the end of the last turn is always there.

    Parameters
    ----------
    text
        The text so far.
    turns
        The conversation, oldest first.
    tokenise
        Tokens of a text.
    opening
        Tokens that the model wants first.
    frame
        Lines to begin with, in the language of the text (see ``suited``); a string stands as it is.
    memory
        Lines that were retrieved, the most useful first; at most 160 tokens of them are used.
    cased
        The style of frame, memory and turns; None for that of the text (see ``is_cased``).
    """
    if cased is None:
        cased = is_cased(text, turns)

    def line(words: str) -> list[int]:
        return tokenise((words if cased else words.lower()) + "\n")

    fixed = [*opening, *_fixed(frame if isinstance(frame, str) else suited(frame, text, turns).text(cased), tokenise)]
    room = limit - len(fixed)
    budget = min(_TEXT, room // 2)
    written = _window(_written(text, tokenise), budget)
    # In whole blocks: what is dropped before the text is not to change with each of its tokens.
    length = sum(map(len, written))
    room -= max(length, min(budget, -(-length // _BLOCK) * _BLOCK))
    spoken = _spoken([line(" ".join(turn.split())) for turn in turns], min(_TURNS, room))
    room = min(_MEMORY, room - sum(map(len, spoken)))
    remembered: list[list[int]] = []
    for tokens in (line(" ".join(words.split())) for words in memory):
        room -= len(tokens)
        if room < 0:
            break
        remembered.append(tokens)
    return [fixed, *remembered, *spoken, *written]


def _fixed(frame: str, tokenise: Tokeniser) -> list[int]:
    """Tokens of the frame; the first lines are left out when there are too many."""
    tokens = tokenise(frame)
    while len(tokens) > _FRAME:
        _, _, frame = frame.partition("\n")
        tokens = tokenise(frame)
    return tokens


def _spoken(turns: Sequence[list[int]], budget: int) -> list[list[int]]:
    """The last turns, of at most ``budget`` tokens; of the last one at least its end."""
    kept: list[list[int]] = []
    for tokens in reversed(turns):
        if len(tokens) > budget:
            if not kept and budget > 0:
                kept.append(tokens[-budget:])
            break
        budget -= len(tokens)
        kept.insert(0, tokens)
    return kept


def _written(text: str, tokenise: Tokeniser) -> list[list[int]]:
    *finished, current = text.split("\n")
    parts = []
    for line in finished:
        tokens = tokenise(line + "\n")
        parts += [tokens[n : n + _BLOCK] for n in range(0, len(tokens), _BLOCK)]
    tokens = tokenise(current)
    whole = len(tokens) // _BLOCK * _BLOCK
    parts += [tokens[n : n + _BLOCK] for n in range(0, whole, _BLOCK)]
    return [*parts, *([token] for token in tokens[whole:])]


def _window(parts: list[list[int]], budget: int) -> list[list[int]]:
    """The last parts, of at most ``budget`` tokens; the cut moves by half of it, as each costs time."""
    excess = sum(map(len, parts)) - budget
    step = max(1, budget // 2)
    cut = -(-max(0, excess) // step) * step
    kept = list(parts)
    while kept and cut > 0:
        cut -= len(kept.pop(0))
    return kept
