"""Prompts of a given length: everyday lines before the frame, cut at whole lines from the front."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from volition.core import LoadError
from volition.nodes.text.prompt import EVERYDAY, plain

ROOT = Path(__file__).resolve().parents[2]
FILES = (ROOT / "models" / "text" / "en_sent_everyday.txt", ROOT / "benchmarks" / "frames" / "pool_en.txt")
"""Lines that may stand before the frame; those of the last file are the nearest to it."""


def everyday_lines(phrases: Iterable[str] = (), files: Sequence[Path] = FILES) -> list[str]:
    """Plain lines in their fixed order, those of the everyday frame last; each once, and none of ``phrases``.

    Raises
    ------
    LoadError
        When a file cannot be read.
    """
    frame = EVERYDAY.lower.splitlines()
    lines: list[str] = []
    for path in files:
        try:
            lines += map(plain, path.read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise LoadError(f"everyday lines {str(path)!r}: {error.strerror or error}") from None
    unwanted = {"", *frame, *map(plain, phrases)}
    return [*(line for line in dict.fromkeys(lines) if line not in unwanted), *frame]


def prompt_of(lines: Sequence[str], limit: int, tokenise: Callable[[str], list[int]]) -> tuple[list[int], int]:
    """Tokens of as many of the last lines as ``limit`` tokens hold, and how many lines those are.

    The nearest line alone is cut when it is too long: its end stays.

    >>> prompt_of(["aa", "bb", "c"], 6, lambda text: list(text.encode()))
    ([98, 98, 10, 99, 10], 2)
    """
    tokens: list[int] = []
    for n, line in enumerate(reversed(lines)):
        longer = tokenise(f"{line}\n") + tokens
        if len(longer) > limit:
            return (tokens, n) if tokens else (longer[-limit:], 1)
        tokens = longer
    return tokens, len(lines)
