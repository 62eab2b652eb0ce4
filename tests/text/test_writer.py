import pytest

from volition.core import EventFrame
from volition.core.events import Choice, Key, Menu, Option, State, Text, Undo
from volition.core.node import drive
from volition.nodes.text.writer import Draft, Writer


def choice(time, menu, option, text=""):
    return Choice(menu=menu, option=option, text=text, p=0.95).at(time)


def menu(time, number, *texts, context=""):
    options = [Option(id=str(n), text=text, log_probability=-1.0) for n, text in enumerate(texts, 1)]
    return Menu(menu=number, context=context, options=options, p_none=0.1).at(time)


def texts(outputs):
    return [(time, data["text"], data.get("reason")) for time, _, data in outputs.get("o", ())]


@pytest.fixture
def writer():
    writer = Writer()
    assert texts(drive(writer, now=5)) == [(5, "", "start")]
    return writer


def test_it_begins_once(writer):
    assert drive(writer, now=6) == {}


def test_choices_are_inserted_as_they_are(writer):
    events = EventFrame.of(choice(10, 1, "2", "i"), choice(20, 2, "1", " would like"))
    assert texts(drive(writer, i_choice=events)) == [(10, "i", "choice"), (20, "i would like", "choice")]


def test_the_text_may_come_from_the_menu_and_letters_are_themselves(writer):
    menus = EventFrame.of(menu(9, 1, "a", "b"))
    assert texts(drive(writer, i_menu=menus, i_choice=EventFrame.of(choice(9, 1, "2")))) == [(9, "b", "choice")]
    assert texts(drive(writer, i_choice=EventFrame.of(choice(30, 7, "Q")))) == [(30, "bQ", "choice")]


def test_none_leaves_the_text(writer):
    events = EventFrame.of(choice(10, 1, "1", "i"), choice(20, 2, "none"))
    assert texts(drive(writer, i_choice=events))[-1] == (20, "i", "none")


def test_a_menu_is_taken_once(writer):
    drive(writer, i_choice=EventFrame.of(choice(10, 1, "1", "i")))
    assert drive(writer, i_choice=EventFrame.of(choice(11, 1, "2", "you"))) == {}
    # A generator that was started again counts from 1.
    drive(writer, i_menu=EventFrame.of(menu(12, 1, " am", context="i")))
    assert texts(drive(writer, i_choice=EventFrame.of(choice(13, 1, "1", " am")))) == [(13, "i am", "choice")]


def test_a_choice_from_a_menu_for_another_text_is_ignored(writer):
    drive(writer, i_menu=EventFrame.of(menu(9, 1, "i", "you")))
    keys = EventFrame.of(Key(key="w").at(10))
    found = texts(drive(writer, i_key=keys, i_choice=EventFrame.of(choice(11, 1, "1", "i"))))
    assert found == [(10, "w", "typed")]


def test_undo_goes_one_choice_back(writer):
    drive(writer, i_choice=EventFrame.of(choice(10, 1, "1", "i"), choice(20, 2, "1", " am")))
    undo = EventFrame.of(Undo().at(30))
    assert texts(drive(writer, i_undo=undo)) == [(30, "i", "undo")]
    assert texts(drive(writer, i_undo=undo)) == [(30, "", "undo")]
    assert drive(writer, i_undo=undo) == {}


def test_keys_are_typed(writer):
    keys = [Key(key=k).at(n) for n, k in enumerate(["i", " ", "w", "backspace", "escape", "x"])]
    found = texts(drive(writer, i_key=EventFrame.of(*keys)))
    assert found == [
        (0, "i", "typed"),
        (1, "i ", "typed"),
        (2, "i w", "typed"),
        (3, "i ", "undo"),
        (5, "i x", "typed"),
    ]


def test_a_finished_phrase_clears_the_text(writer):
    drive(writer, i_choice=EventFrame.of(choice(10, 1, "1", "i")))
    assert drive(writer, i_state=EventFrame.of(State(state="finished").at(15))) == {}
    done = EventFrame.of(State(state="phrase_done", detail={"phrase": "i"}).at(20))
    assert texts(drive(writer, i_state=done)) == [(20, "", "cleared")]
    assert drive(writer, i_undo=EventFrame.of(Undo().at(30))) == {}


@pytest.mark.parametrize("size", [1, 2, 7])
def test_chunks_do_not_matter(size):
    events = [choice(10 * n, n, "1", f" w{n}") for n in range(1, 8)]
    undos = [Undo().at(35), Undo().at(62)]
    whole, cut = Writer(), Writer()
    expected = texts(drive(whole, now=0, i_choice=EventFrame.of(*events), i_undo=EventFrame.of(*undos)))
    merged = sorted(events + undos)
    found = []
    for begin in range(0, len(merged), size):
        part = merged[begin : begin + size]
        inputs = {
            port: EventFrame.of(*[e for e in part if e[1] == label])
            for port, label in (("i_choice", "choice"), ("i_undo", "undo"))
            if any(e[1] == label for e in part)
        }
        found += texts(drive(cut, now=0, **inputs))
    assert found == expected


def test_outputs_are_events_of_the_vocabulary(writer):
    frame = drive(writer, i_choice=EventFrame.of(choice(10, 1, "1", "i")))["o"]
    assert frame.labels == ("text",)
    assert Text.parse(frame.data[0]) == Text(text="i", reason="choice")


def test_draft():
    draft = Draft()
    assert not draft.undo()
    draft.add("a")
    draft.add("b")
    assert draft.undo() and draft.text == "a"
    draft.clear()
    assert draft.text == "" and not draft.undo()
