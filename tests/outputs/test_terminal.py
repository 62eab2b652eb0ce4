"""The terminal's screen: places, flashes, and what is drawn."""

import io
import sys
from itertools import pairwise

import numpy as np
import pytest

from volition.core import EventFrame
from volition.core.events import Choice, Menu, Option, Posterior, Text, parse
from volition.core.node import drive
from volition.nodes.outputs.terminal import (
    FlashOrder,
    Painter,
    TerminalScreen,
    bar,
    boxes,
    page,
    summary,
    tail,
)

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def menu(number: int = 1, n: int = 3) -> EventFrame:
    options = [Option(id=str(k + 1), text=f" word{k + 1}", log_probability=np.log(0.2)) for k in range(n)]
    return EventFrame.of(Menu(menu=number, context="", options=options, p_none=0.4).at(T0))


def chosen(number: int = 1, option: str = "2") -> EventFrame:
    return EventFrame.of(Choice(menu=number, option=option, text=" word2", p=0.97).at(T0))


def believed(p: dict[str, float], number: int = 1) -> EventFrame:
    return EventFrame.of(Posterior(menu=number, p=p).at(T0))


@pytest.mark.parametrize("n", range(1, 10))
def test_boxes_are_apart_and_on_the_screen(n):
    places = boxes([(str(k), "") for k in range(n)])
    for a in places:
        assert a.x >= 0 and a.y >= 200 and a.x + a.width <= 1920 and a.y + a.height <= 1080
        for b in places:
            if a is not b:
                apart_x = a.x + a.width <= b.x or b.x + b.width <= a.x
                assert apart_x or a.y + a.height <= b.y or b.y + b.height <= a.y


def test_flashes_are_balanced_and_never_twice_in_a_row():
    order = FlashOrder(np.random.default_rng(0))
    ids = ["1", "2", "3", "none"]
    order.reset(ids)
    given = [order() for _ in range(400)]
    assert all(sorted(given[k : k + 4]) == ids for k in range(0, 400, 4))
    assert all(a != b for a, b in pairwise(given))
    assert len({tuple(given[k : k + 4]) for k in range(0, 400, 4)}) > 10


def test_a_menu_gives_a_layout_and_flashes_until_the_choice():
    screen = TerminalScreen(flash_every=0.1, lead=0.3, draw=False)
    out = drive(screen, now=at(0), i_menu=menu())
    [(time, label, layout)] = list(out["o_layout"])
    assert (time, layout["menu"]) == (T0, 1)
    assert [b["id"] for b in layout["boxes"]] == ["1", "2", "3", "none"]
    assert parse(label, layout).screen == (1920.0, 1080.0)
    flashes = []
    while screen.wake is not None and screen.wake < at(1.35):
        [(time, label, flash)] = list(drive(screen, now=screen.wake)["o_flash"])
        parse(label, flash)
        flashes.append((time, flash["ids"][0], flash["menu"]))
    assert [f[0] for f in flashes] == [at(0.3 + 0.1 * k) for k in range(11)]
    assert sorted(f[1] for f in flashes[:4]) == ["1", "2", "3", "none"]
    drive(screen, now=at(1.36), i_choice=chosen(number=7))
    assert screen.wake is not None
    assert drive(screen, now=at(1.4), i_choice=chosen()) == {}
    assert screen.wake is None
    assert drive(screen, now=at(2.0)) == {}
    assert "o_layout" in drive(screen, now=at(2.1), i_menu=menu(2))
    assert screen.wake == at(2.4)


def test_late_ticks_leave_flashes_out():
    screen = TerminalScreen(flash_every=0.1, lead=0.0, draw=False)
    drive(screen, now=at(0), i_menu=menu())
    drive(screen, now=at(0.75))
    assert at(0.75) < screen.wake <= at(0.85)


def test_the_same_menu_again_and_no_flashing():
    screen = TerminalScreen(flashing=False, draw=False)
    assert "o_layout" in drive(screen, now=at(0), i_menu=menu())
    assert screen.wake is None
    assert drive(screen, now=at(1), i_menu=menu()) == {}


def test_bars():
    assert bar(0.0, 4) == "    " and bar(1.0, 4) == "████" and bar(2.0, 4) == "████"
    for p in np.linspace(0, 1, 99):
        assert len(bar(p, 7)) == 7


def test_page_and_summary():
    rows = [("1", "tea", 0.9), ("none", "none of these", 0.1)]
    lines = page("i would like", rows, "1", 80)
    assert "i would like" in lines[1] and "▸ 1 tea" in lines[3] and "90%" in lines[3]
    assert "▸" not in lines[4] and lines[4].count("█") == 4
    assert summary(rows, "none", 2.0) == " 2.0 s  tea 90%  [none 10%]"
    assert tail("x" * 50, 10) == "…" + "x" * 9


def test_lines_where_there_is_no_terminal(capsys):
    screen = TerminalScreen()
    drive(screen, now=at(0), i_menu=menu())
    drive(screen, now=at(1.5), i_posterior=believed({"1": 0.01, "2": 0.97, "3": 0.01, "none": 0.01}))
    text = EventFrame.of(Text(text="i word2", reason="choice").at(T0))
    # The choice, its text and the next menu may come in one tick.
    drive(screen, now=at(1.5), i_choice=chosen(), i_text=text, i_menu=menu(2))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == " 1.5 s  word1 1%  [word2 97%]  word3 1%  none 1%\n        > i word2\n"


def test_a_live_page_on_a_terminal(monkeypatch):
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Tty()
    monkeypatch.setattr(sys, "stderr", stream)
    screen = TerminalScreen(draw_every=1.0)
    drive(screen, now=at(0), i_menu=menu())
    first = stream.getvalue()
    assert "word1" in first and "none of these" in first and "40%" in first
    drive(screen, now=at(0.5), i_posterior=believed({"1": 1.0, "2": 0.0, "3": 0.0, "none": 0.0}))
    assert stream.getvalue() == first  # too soon for another drawing
    drive(screen, now=at(0.6), i_choice=chosen(option="1"))
    again = stream.getvalue()[len(first) :]
    assert again.startswith(f"\x1b[{first.count(chr(10))}F") and "▸ 1 word1" in again and "100%" in again
    drive(screen, now=at(0.7), i_text=EventFrame.of(Text(text="hello", reason="choice").at(T0)))
    drive(screen, now=at(0.8), i_text=EventFrame.of(Text(text="", reason="cleared").at(T0)))
    assert "  ✓ hello\n" in stream.getvalue()


def test_draws_nothing_in_a_replay_or_when_told_not_to(capsys):
    muted = TerminalScreen()
    muted.muted = True
    for screen in (muted, TerminalScreen(draw=False)):
        drive(screen, now=at(0), i_menu=menu())
        drive(screen, now=at(1), i_choice=chosen())
    assert capsys.readouterr().err == ""


def test_the_painter_replaces_what_it_painted():
    stream = io.StringIO()
    painter = Painter(stream)
    painter.paint(["a", "b"])
    painter.paint(["c"])
    painter.leave("done")
    assert stream.getvalue() == "a\x1b[K\nb\x1b[K\n\x1b[J\x1b[2Fc\x1b[K\n\x1b[J\x1b[1F\x1b[Jdone\n"
