"""The simulated user: what they attend to, type, undo and say, with a writer and menus by hand."""

import pytest

from volition.core import EventFrame, LoadError
from volition.core.events import Choice, Menu, Option, Text
from volition.core.node import drive
from volition.nodes.simulate.user import SimulatedUser, attended, fits, next_letter

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def menu(seconds: float, number: int, *texts: str) -> EventFrame:
    options = [Option(id=str(n), text=t, log_probability=-1.0) for n, t in enumerate(texts, 1)]
    return EventFrame.of(Menu(menu=number, context="", options=options, p_none=0.1).at(at(seconds)))


def text(seconds: float, words: str, reason: str = "choice") -> EventFrame:
    return EventFrame.of(Text(text=words, reason=reason).at(at(seconds)))


def choice(seconds: float, number: int, option: str) -> EventFrame:
    return EventFrame.of(Choice(menu=number, option=option, p=0.95).at(at(seconds)))


def targets(out: dict) -> list[tuple]:
    return [(t, d["target"], d["menu"]) for t, _, d in out["o"]]


@pytest.mark.parametrize(
    ("before", "options", "expected"),
    [
        ("", ["i", "i would", "would"], "2"),
        ("i", [" would", " would like", " would lik"], "2"),
        ("i would", [" love", " to"], "none"),
        ("I would ", ["like", "li"], "1"),
        ("i wo", ["uld", "rk"], "1"),
        ("i would like", [" tea now", " tea"], "2"),
        ("i would like tea", [" "], "none"),
        ("old line\ni", [" would"], "1"),
    ],
)
def test_attends_to_the_longest_option_that_fits(before, options, expected):
    named = [{"id": str(n), "text": t} for n, t in enumerate(options, 1)]
    assert attended(before, named, "i would like tea") == expected


def test_fits_only_at_the_ends_of_words():
    assert fits("", "i", "i am") and not fits("", "i", "is it")


def test_letters_lead_to_the_phrase():
    written = "i"
    while letter := next_letter(written, "i would like tea"):
        written += letter
    assert written == "i would like tea"


def test_attend_has_the_time_of_the_menu():
    out = drive(SimulatedUser(("i am here",)), now=at(5), i_menu=menu(1.25, 3, "you", "i am"))
    assert targets(out) == [(at(1.25), "2", 3)]


def test_the_text_of_a_tick_comes_before_the_menu_it_led_to():
    user = SimulatedUser(("i am here",))
    out = drive(user, now=at(1), i_text=text(1.0, "i am"), i_menu=menu(1.0, 2, " here"))
    assert targets(out) == [(at(1), "1", 2)]


def test_undoes_what_was_not_meant_and_attends_to_nothing_until_then():
    user = SimulatedUser(("i am here",))
    out = drive(user, now=at(1), i_text=text(1.0, "you"))
    assert [(t, label) for t, label, _ in out["o_undo"]] == [(at(1), "undo")]
    assert targets(drive(user, now=at(2), i_menu=menu(2.0, 1, "i am")))[0][1] == "none"
    assert drive(user, now=at(3), i_text=text(3.0, "", "undo")) == {}
    assert targets(drive(user, now=at(4), i_menu=menu(4.0, 2, "i am")))[0][1] == "1"


def test_types_the_next_word_after_two_nones():
    user = SimulatedUser(("i am here",), patience=2, key_every=0.5)
    drive(user, now=at(0), i_text=text(0.0, "i"))
    assert drive(user, now=at(1), i_choice=choice(1.0, 1, "none")) == {} and user.wake is None
    drive(user, now=at(2), i_choice=choice(2.0, 2, "none"))
    assert user.wake == at(2.5)
    written, now, keys = "i", 2.5, []
    while user.wake is not None or not keys:
        out = drive(user, now=at(now))
        if "o_key" in out:
            [(time, _, data)] = list(out["o_key"])
            assert time == at(now)
            keys.append(data["key"])
            written += data["key"]
            drive(user, now=at(now + 0.01), i_text=text(now + 0.01, written, "typed"))
        now += 0.5
        assert now < 10
    assert "".join(keys) == " am "


def test_a_key_that_was_not_taken_is_not_repeated():
    user = SimulatedUser(("i am",), patience=1, key_every=0.5)
    drive(user, now=at(0), i_text=text(0.0, "i"), i_choice=choice(0.1, 1, "none"))
    assert "o_key" in drive(user, now=at(0.6))
    for tick in (1.1, 1.6, 2.1):
        assert drive(user, now=at(tick)) == {}


def test_says_when_a_phrase_and_when_all_are_done():
    user = SimulatedUser(("good day", "bye"))
    drive(user, now=at(1), i_menu=menu(1.0, 1, "good day"))
    drive(user, now=at(2), i_choice=choice(2.0, 1, "1"))
    out = drive(user, now=at(2), i_text=text(2.0, "good day"))
    [(time, _, state)] = list(out["o_state"])
    assert (time, state["state"]) == (at(2), "phrase_done")
    expected = {"phrase": "good day", "text": "good day", "seconds": 1.0}
    assert state["detail"] == {**expected, "selections": 1, "undos": 0, "keys": 0}
    drive(user, now=at(3), i_text=text(3.0, "", "cleared"))
    assert targets(drive(user, now=at(4), i_menu=menu(4.0, 2, "bye"))) == [(at(4), "1", 2)]
    out = drive(user, now=at(5), i_text=text(5.0, "bye"))
    assert [d["state"] for _, _, d in out["o_state"]] == ["phrase_done", "finished"]
    assert [d["detail"]["seconds"] for _, _, d in out["o_state"]] == [3.0, 4.0]
    assert drive(user, now=at(6), i_menu=menu(6.0, 3, "bye")) == {}


def test_phrases_must_say_something():
    with pytest.raises(LoadError, match="at least one phrase"):
        SimulatedUser((" ",))
