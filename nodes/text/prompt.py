"""The prompt: a few everyday lines, the last turns of the conversation, the text so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Lines of the kind and case that is to be written: they cost a small model far fewer bits a character than an
# instruction does.
FRAME = (
    "i am so glad you came to see me today\n"
    "can you help me with this please\n"
    "what time are we going to have dinner\n"
    "thank you i would like that very much\n"
    "i don't feel well so i want to stay at home\n"
)

_TURNS = 448
"""Most tokens of the conversation."""

_TEXT = 384
"""Most tokens of the text."""

_BLOCK = 64

Tokeniser = Callable[[str], list[int]]


def segments(
    text: str,
    turns: Sequence[str],
    tokenise: Tokeniser,
    opening: Sequence[int] = (),
    limit: int = 1000,
    frame: str = FRAME,
) -> list[list[int]]:
    """The prompt of at most ``limit`` tokens, as segments for ``LanguageModel.prefill``.

    What no longer changes (frame, turns, finished lines, full blocks of a long line) is evaluated in one go,
    the rest token by token. When room is short, the oldest turns go first, then the beginning of the text.
    """
    fixed = [*opening, *tokenise(frame)]
    written = _window(_written(text, tokenise), min(_TEXT, (limit - len(fixed)) // 2))
    room = min(_TURNS, limit - len(fixed) - sum(map(len, written)))
    spoken: list[list[int]] = []
    for turn in reversed(turns):
        tokens = tokenise(" ".join(turn.lower().split()) + "\n")
        room -= len(tokens)
        if room < 0:
            break
        spoken.insert(0, tokens)
    return [fixed, *spoken, *written]


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
