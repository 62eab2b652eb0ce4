"""Where things stand in the text of an app, and its templates.

Templates are filled in from the environment as Timeflux does it, except that nothing in them is executed, and
that a variable that is not set is a problem.
"""

from __future__ import annotations

import difflib
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

_TEMPLATE = re.compile(r"\{\{(.{0,1000}?)\}\}|\{%.{0,1000}?%\}|\{#.{0,9000}?#\}|\{\{|\{%|\{#", re.DOTALL)
_COMMENT = re.compile(r"(?:[^'\"\n]*?\s)?#(?!\})")
_LITERAL = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+(?:\.\d+)?|[Tt]rue|[Ff]alse)"""
MAX_PROBLEMS = 200
"""Most problems that are shown; further ones get no hints, which take time to find."""
UNSET = "\ue000"
"""A private-use character that stands for a variable that is not set."""

_HEAD = re.compile(rf"\s*(?:(?P<literal>{_LITERAL})|(?P<name>[A-Za-z_]\w*))\s*")
_FILTER = re.compile(
    rf"\|\s*(?P<verb>[a-z]+)\s*(?:\(\s*(?P<first>{_LITERAL})?\s*(?:,\s*(?P<second>{_LITERAL})\s*)?\))?\s*"
)


@dataclass(frozen=True)
class Position:
    """Where something stands: line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One mistake in an app: where, what, and what to do about it."""

    file: str
    line: int
    column: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    @classmethod
    def at(cls, position: Position, message: str, hint: str | None = None) -> Problem:
        """A problem at a position."""
        return cls(position.file, position.line, position.column, message, hint)


class Text:
    """A text after substitution that knows where each character was before."""

    def __init__(self, file: str, text: str):
        self.file = file
        self.source = text
        self.rendered = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        # Where a piece begins in the rendered text, where in the source, and whether it was substituted:
        self._pieces: list[tuple[int, int, bool]] = [(0, 0, False)]
        self._starts = [0]

    def at_source(self, index: int) -> Position:
        """The position of a character of the file."""
        line = bisect_right(self._lines, index)
        return Position(self.file, line, index - self._lines[line - 1] + 1)

    def at(self, index: int) -> Position:
        """The position in the file of a character of the rendered text."""
        start, source, substituted = self._pieces[bisect_right(self._starts, index) - 1]
        return self.at_source(source if substituted else source + index - start)

    def render(self, environment: Mapping[str, str]) -> list[Problem]:
        """Fill in the templates; what cannot be filled in is a problem."""
        problems: list[Problem] = []
        parts: list[str] = []
        length = last = 0
        self._pieces = []
        line, comment = -1, None
        for match in _TEMPLATE.finditer(self.source):
            if len(problems) > MAX_PROBLEMS:
                break
            if line != self._line_start(match.start()):
                line = self._line_start(match.start())
                comment = _COMMENT.match(self.source, line)
            if comment and comment.end() <= match.start():
                continue
            try:
                text = _fill(match, environment)
            except _TemplateError as error:
                problems.append(Problem.at(self.at_source(match.start()), str(error), error.hint))
                text = UNSET if error.value else ""
            self._pieces.append((length, last, False))
            length += match.start() - last
            self._pieces.append((length, match.start(), True))
            parts += [self.source[last : match.start()], text]
            length += len(text)
            last = match.end()
        self._pieces.append((length, last, False))
        self.rendered = "".join([*parts, self.source[last:]])
        self._starts = [start for start, _, _ in self._pieces]
        return problems

    def _line_start(self, index: int) -> int:
        return self._lines[bisect_right(self._lines, index) - 1]


class _TemplateError(Exception):
    def __init__(self, message: str, hint: str | None = None, value: bool = True):
        super().__init__(message)
        self.hint = hint
        self.value = value


def _fill(match: re.Match[str], environment: Mapping[str, str]) -> str:
    text = match.group()
    if text.startswith("{#") and len(text) > 2:
        return "\n" * text.count("\n")
    if text.startswith("{%"):
        raise _TemplateError(
            "a template only fills in variables, as in {{ NAME }}: {% ... %} would be code, which is not run",
            "write the app out, or use several files and import:",
            value=False,
        )
    if match.group(1) is None:
        raise _TemplateError(f"{text!r} is not closed", f"write {'{{ NAME }}' if text == '{{' else '{# ... #}'}")
    return _evaluate(match.group(1), environment)


def _evaluate(expression: str, environment: Mapping[str, str]) -> str:
    """A variable or a literal, followed by any of the filters default, int, float, lower, upper and trim."""
    short = " ".join(expression.split())[:60]
    refusal = _TemplateError(
        f"{{{{ {short} }}}} is more than a variable, and code in templates is not run",
        'write {{ NAME }} or {{ NAME | default("x") }}; int, float, lower, upper, trim may follow',
    )
    head = _HEAD.match(expression)
    if head is None or len(expression) > 500:
        raise refusal
    name = head["name"]
    value = environment.get(name) if name else _literal(head["literal"])
    end = head.end()
    while end < len(expression):
        step = _FILTER.match(expression, end)
        if step is None:
            raise refusal
        end = step.end()
        if step["verb"] in ("default", "d"):
            empty_counts = (step["second"] or "").lower() == "true"
            if value is None or (empty_counts and not value):
                value = _literal(step["first"] or '""')
        elif value is not None:
            value = _filtered(step["verb"], value, refusal)
    if value is None:
        near = did_you_mean(name, environment)
        raise _TemplateError(f"the environment variable {name} is not set", near or f"set {name} in the environment")
    return value


def _literal(text: str) -> str:
    if text[0] not in "\"'":
        return text
    return re.sub(r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), text[1:-1])


def _filtered(verb: str, value: str, refusal: _TemplateError) -> str:
    if verb in ("lower", "upper"):
        return value.lower() if verb == "lower" else value.upper()
    if verb == "trim":
        return value.strip()
    if verb not in ("int", "float"):
        raise refusal
    try:
        number = float(value)
        return str(int(number) if verb == "int" else number)
    except (ValueError, OverflowError):
        raise _TemplateError(f"{value[:60]!r} is not a number, which the filter {verb!r} needs") from None


def did_you_mean(word: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The question "did you mean ...?" when one of ``known`` is near ``word``, else None."""
    text = str(word)
    if len(text) > 200:
        return None
    known = list(islice((name for name in known if abs(len(name) - len(text)) <= 2 + len(text) // 2), 500))
    if len(text) <= 3:
        cutoff = min(cutoff, 0.5)  # one letter of two
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(text.casefold(), folded, 1, cutoff)
    return f"did you mean {folded[near[0]]!r}?" if near else None


def describe(value: Any) -> str:
    """A value of a YAML file, short, as a message shows it."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a mapping"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def as_number(value: Any) -> str | None:
    """A hint when text would be a number if it were written in another way."""
    if not isinstance(value, str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return f"write {number!r}, without quotes" if math.isfinite(number) else None
