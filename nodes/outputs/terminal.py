"""A screen in the terminal: the menu with what is believed of it, and the text.

It also decides where options lie and when they flash, for whoever looks: here a simulated person.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TextIO

import numpy as np

from volition.core import EventFrame, EventsIn, EventsOut, Ge, Node, Unit
from volition.core.clock import nanoseconds, seconds
from volition.core.events import Box, Flash, Layout

SCREEN = (1920.0, 1080.0)
NONE = "none"
NONE_TEXT = "none of these"

Row = tuple[str, str, float]
"""Option id, its text, what is believed of it."""


def boxes(options: Sequence[tuple[str, str]]) -> list[Box]:
    """Places for options, (id, text) each, in two rows below the text, far from each other."""
    columns = max(1, -(-len(options) // 2))
    cell_width, cell_height = SCREEN[0] / columns, 0.4 * SCREEN[1]
    width, height = round(0.6 * cell_width), round(0.5 * cell_height)
    return [
        Box(
            id=option,
            x=round((k % columns + 0.5) * cell_width - width / 2),
            y=round(0.2 * SCREEN[1] + (k // columns + 0.5) * cell_height - height / 2),
            width=width,
            height=height,
            text=text,
        )
        for k, (option, text) in enumerate(options)
    ]


class FlashOrder:
    """Ids in balanced random order: each once a round, never one twice in a row."""

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self._ids: list[str] = []
        self._round: list[str] = []
        self._last = ""

    def reset(self, ids: Sequence[str]) -> None:
        """Begin anew with ``ids``."""
        self._ids, self._round, self._last = list(ids), [], ""

    def __call__(self) -> str:
        """The next id."""
        if not self._round:
            self._round = [self._ids[k] for k in self._rng.permutation(len(self._ids))]
            if len(self._ids) > 1 and self._round[0] == self._last:
                self._round.append(self._round.pop(0))
        self._last = self._round.pop(0)
        return self._last


def bar(p: float, width: int) -> str:
    """A probability as a bar, to an eighth of a character.

    >>> bar(0.5, 4), bar(0.03, 4)
    ('██  ', '▏   ')
    """
    eighths = max(round(p * width * 8), 1 if p >= 0.01 else 0)
    full, part = divmod(min(eighths, width * 8), 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")).ljust(width)


def tail(text: str, width: int) -> str:
    """The end of a text that fits into ``width`` characters, on one line."""
    line = text.replace("\n", " ⏎ ")
    return line if len(line) <= width else "…" + line[-(width - 1) :]


def page(text: str, rows: Sequence[Row], chosen: str, width: int) -> list[str]:
    """The screen as lines with ANSI colours: the text, then the options with bars.

    Parameters
    ----------
    chosen
        Id of the option that was taken; empty while none is.
    width
        Characters a line.
    """
    bold, dim, green, plain = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[0m"
    bar_width = max(8, min(40, width - 40))
    lines = ["", f"  {bold}{tail(text, width - 4)}{plain}▏", ""]
    for option, words, p in rows:
        mark = "▸" if option == chosen else " "
        number = " " if option == NONE else option
        style = green if option == chosen else (dim if option == NONE or chosen else "")
        label = tail(words, 24).ljust(24)
        end = plain if style else ""
        lines.append(f"{style}{mark} {number} {label} {bar(p, bar_width)} {p:4.0%}{end}")
    return lines


def summary(rows: Sequence[Row], chosen: str, took_s: float) -> str:
    """One line about one menu, for output that is no terminal.

    >>> summary([("1", " tea", 0.96), ("2", " coffee", 0.03), ("none", "none of these", 0.01)], "1", 1.52)
    ' 1.5 s  [tea 96%]  coffee 3%  none 1%'
    """
    parts = []
    for option, words, p in rows:
        said = f"{NONE if option == NONE else words.strip()} {p:.0%}"
        parts.append(f"[{said}]" if option == chosen else said)
    return f"{took_s:4.1f} s  " + "  ".join(parts)


class Painter:
    """Writes pages over one another on a terminal."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._height = 0

    def paint(self, lines: Sequence[str]) -> None:
        """Replace the page before."""
        up = f"\x1b[{self._height}F" if self._height else ""
        # Each line is cleared behind its text, then all below the page: nothing flickers.
        self._stream.write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._stream.flush()
        self._height = len(lines)

    def leave(self, line: str) -> None:
        """Let ``line`` stand for good in place of the page."""
        up = f"\x1b[{self._height}F\x1b[J" if self._height else ""
        self._stream.write(f"{up}{line}\n")
        self._stream.flush()
        self._height = 0


class TerminalScreen(Node):
    """Shows the menu, the evidence and the growing text in the terminal, and flashes the options.

    A timer: ``layout`` (1920 x 1080 px, *none of these* last) and ``flash`` have the tick's time. Every
    option and *none of these* flash once a round in random order until one is chosen. A terminal does not
    really flash; who answers is a simulated person. Draws on standard error: a live page on a terminal,
    else a line for each choice and text. Draws nothing in a replay.
    """

    i_menu = EventsIn("menu")
    i_posterior = EventsIn("posterior", optional=True)
    i_choice = EventsIn("choice", optional=True)
    i_text = EventsIn("text", optional=True)
    o_layout = EventsOut("layout")
    o_flash = EventsOut("flash")

    def __init__(
        self,
        flashing: bool = True,
        flash_every: Annotated[float, Unit("s"), Ge(0.05)] = 0.125,
        lead: Annotated[float, Unit("s"), Ge(0)] = 0.25,
        draw: bool = True,
        draw_every: Annotated[float, Unit("s"), Ge(0)] = 0.08,
    ):
        """flashing: whether options flash.

        flash_every: time from one flash to the next.
        lead: time from a new menu to its first flash, in which the person finds their option.
        draw: whether to draw.
        draw_every: shortest time between two drawings of a changing posterior.
        """
        self._flashing, self._draws = flashing, draw
        self._flash_every, self._lead, self._draw_every = map(nanoseconds, (flash_every, lead, draw_every))
        self._order: FlashOrder | None = None
        self._menu: Mapping[str, Any] | None = None
        self._shown_at = 0
        self._p: Mapping[str, float] = {}
        self._chosen = ""
        self._text = ""
        self._next_flash: int | None = None
        self._drawn_at: int | None = None
        self._painter: Painter | None = None
        self._stream: TextIO | None = None

    def start(self) -> None:
        if self._draws and not self.muted:
            self._stream = sys.stderr
            if self._stream.isatty():
                self._painter = Painter(self._stream)

    def update(self) -> None:
        choices = self._believe()
        if choices:
            self._choose(choices)
        texts = self.i_text.select("text")
        if texts:
            self._write(texts[-1][2])
        menus = self.i_menu.select("menu")
        if menus and (self._menu is None or menus[-1][2]["menu"] != self._menu["menu"]):
            self._show(menus[-1][2])
        self._flash()
        self.wake = self._next_flash
        due = self._drawn_at is None or self.now - self._drawn_at >= self._draw_every
        if self._painter is not None and (menus or choices or texts or (due and self.i_posterior)):
            self._drawn_at = self.now
            width = shutil.get_terminal_size((80, 24)).columns
            self._painter.paint(page(self._text, self._rows(), self._chosen, width))

    def _believe(self) -> list[Mapping[str, Any]]:
        """Take the posterior of the menu on the screen; give the choices from it."""
        if self._menu is None:
            return []
        number = self._menu["menu"]
        if not self._chosen:
            for _, _, posterior in self.i_posterior.select("posterior"):
                if posterior["menu"] == number:
                    self._p = posterior["p"]
        return [choice for _, _, choice in self.i_choice.select("choice") if choice["menu"] == number]

    def _choose(self, choices: Sequence[Mapping[str, Any]]) -> None:
        self._chosen, self._next_flash = choices[-1]["option"], None
        if self._stream is not None and self._painter is None:
            took = seconds(self.now - self._shown_at)
            print(summary(self._rows(), self._chosen, took), file=self._stream, flush=True)

    def _write(self, text: Mapping[str, Any]) -> None:
        before, self._text = self._text, text["text"]
        if self._stream is None or self._text == before:
            return
        if self._painter is None:
            if self._text:
                print(f"        > {tail(self._text, 96)}", file=self._stream, flush=True)
        elif text.get("reason") == "cleared":
            self._painter.leave(f"  ✓ {before}")

    def _show(self, menu: Mapping[str, Any]) -> None:
        self._menu, self._chosen, self._shown_at = menu, "", self.now
        self._p = {o["id"]: float(np.exp(o["log_probability"])) for o in menu["options"]}
        self._p = {**self._p, NONE: menu["p_none"]}
        places = boxes([*((o["id"], o["text"]) for o in menu["options"]), (NONE, NONE_TEXT)])
        self.o_layout = EventFrame.of(Layout(boxes=places, unit="px", screen=SCREEN, menu=menu["menu"]).at(self.now))
        if self._flashing:
            if self._order is None:
                self._order = FlashOrder(self.rng)
            self._order.reset([place.id for place in places])
            self._next_flash = self.now + self._lead

    def _flash(self) -> None:
        if self._next_flash is None or self.now < self._next_flash or self._order is None or self._menu is None:
            return
        self.o_flash = EventFrame.of(Flash(ids=[self._order()], menu=self._menu["menu"]).at(self.now))
        # After a late tick, flashes are left out rather than made up for.
        self._next_flash = max(self._next_flash + self._flash_every, self.now + self._flash_every // 2)

    def _rows(self) -> list[Row]:
        options = [] if self._menu is None else self._menu["options"]
        rows = [(o["id"], o["text"].strip() or "␣", float(self._p.get(o["id"], 0.0))) for o in options]
        return [*rows, (NONE, NONE_TEXT, float(self._p.get(NONE, 0.0)))] if rows else []
