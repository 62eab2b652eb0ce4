import subprocess
import sys
import time

import pytest

from volition.core import EventFrame
from volition.core.events import Choice, Command, Key, Menu, Option, State, Text, Undo
from volition.core.node import drive
from volition.nodes.text.draftfile import DraftFile
from volition.nodes.text.writer import Draft, Writer, agreed


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


def command(time, name):
    return Command(command=name).at(time)


def said(outputs):
    return [(data["text"], data["reason"], data.get("offer"), data.get("group")) for _, _, data in outputs.get("o", ())]


def letters(time, number, *texts, context="", kind="letters"):
    time, label, data = menu(time, number, *texts, context=context)
    return time, label, {**data, "kind": kind}


def do(writer, *events):
    """Give events at their ports, in one tick."""
    ports = {f"i_{label}" for _, label, _ in events}
    inputs = {port: EventFrame.of(*[e for e in events if f"i_{e[1]}" == port]) for port in ports}
    return drive(writer, now=99, **inputs)


def test_as_many_words_are_inserted_as_the_choice_names(writer):
    do(writer, menu(1, 1, "i would like to"))
    assert said(do(writer, choice(2, 1, "1", "i would"))) == [("i would", "choice", None, None)]
    do(writer, menu(3, 2, " like to go", context="i would"))
    assert said(do(writer, choice(4, 2, "1", " lik")))[0][0] == "i would like to go"  # no whole words
    assert agreed(" a b c", " a b") == " a b" and agreed(" a b c", " x") == " a b c" and agreed(" a b", " ") == " a b"


def test_commands_change_the_text_and_can_be_taken_back(writer):
    do(writer, choice(1, 1, "1", "i"), choice(2, 2, "1", " would like to"))
    steps = ["word_back", "word_back", "clear", "speak", "redo"]
    found = said(do(writer, *(command(n, name) for n, name in enumerate(steps, 3))))
    assert [(text, reason) for text, reason, _, _ in found] == [
        ("i would like", "word_back"),
        ("i would", "word_back"),
        ("", "cleared"),
    ]
    found = said(do(writer, *(Undo().at(n) for n in range(10, 16))))
    assert [text for text, *_ in found] == ["i would", "i would like", "i would like to", "i", ""]
    found = said(do(writer, *(command(n, "redo") for n in range(20, 22)), Key(key="x").at(22), command(23, "redo")))
    assert [text for text, *_ in found] == ["i", "i would like to", "i would like tox"]  # nothing to redo after an edit


def test_letters_by_command_group_by_group(writer):
    do(writer, choice(1, 1, "1", "i"))
    assert said(do(writer, command(2, "letters"))) == [("i", "letters", "letters", None)]
    do(writer, letters(3, 2, "etao", "wild", "s", context="i", kind="groups"))
    assert said(do(writer, choice(4, 2, "2"))) == [("i", "group", "letters", "wild")]
    do(writer, letters(5, 3, "w", "i", "l", "d", context="i"))
    assert said(do(writer, choice(6, 3, "1"))) == [("i w", "typed", None, None)]
    assert said(do(writer, command(7, "letters"), command(8, "words"))) == [
        ("i w", "letters", "letters", None),
        ("i w", "words", None, None),
    ]


def test_none_goes_back_to_the_groups_and_round(writer):
    do(writer, command(1, "letters"), letters(2, 1, "etao", "wild", kind="groups"), choice(3, 1, "1"))
    do(writer, letters(4, 2, "e", "t", "a", "o"))
    assert said(do(writer, choice(5, 2, "none"))) == [("", "none", "letters", None)]
    do(writer, letters(6, 3, "etao", "wild", kind="groups"))
    assert said(do(writer, choice(7, 3, "none"))) == [("", "none", "letters", None)]


def test_none_often_enough_asks_for_letters(writer):
    do(writer, Key(key="w").at(1))
    events = [e for n in range(2) for e in (menu(2 + n, n, "ith", context="w"), choice(2 + n, n, "none"))]
    assert [offer for _, _, offer, _ in said(do(writer, *events))] == [None, "letters"]
    assert said(do(writer, Key(key=" ").at(9))) == [("w ", "typed", None, None)]
    events = [e for n in range(3, 6) for e in (menu(9 + n, n, "x", context="w "), choice(9 + n, n, "none"))]
    assert [offer for _, _, offer, _ in said(do(writer, *events))] == [None, None, "letters"]
    never = Writer(letters_after=0)
    drive(never, now=0)
    events = [choice(n, n, "none") for n in range(9)]
    assert {offer for _, _, offer, _ in said(do(never, *events))} == {None}


def test_an_undo_takes_the_way_into_the_letters_back(writer):
    do(writer, choice(1, 1, "1", "i"), command(2, "letters"))
    do(writer, letters(3, 2, "etao", "wild", context="i", kind="groups"), choice(4, 2, "1"))
    found = said(do(writer, *(Undo().at(n) for n in (5, 6, 7, 8))))
    assert found == [
        ("i", "undo", "letters", None),
        ("i", "undo", None, None),
        ("", "undo", None, None),
    ]


def test_an_undo_that_names_a_menu_is_about_the_choice_from_it(writer):
    do(writer, choice(1, 1, "1", "i"), choice(2, 2, "none"))
    assert do(writer, Undo(menu=1).at(3)) == {}
    assert said(do(writer, Undo(menu=2).at(4))) == [("i", "undo", None, None)]
    do(writer, choice(5, 3, "1", " am"), Key(key="x").at(6))
    assert do(writer, Undo(menu=3).at(7)) == {}  # the key came after it
    do(writer, choice(8, 4, "1", " so"))
    assert said(do(writer, Undo(menu=4).at(9))) == [("i amx", "undo", None, None)]


def test_a_pause_stops_everything_but_its_end(writer):
    do(writer, choice(1, 1, "1", "i"))
    outputs = do(writer, command(2, "pause"))
    assert [data["state"] for _, _, data in outputs["o_state"]] == ["paused"] and "o" not in outputs
    waits = [choice(3, 2, "1", " am"), Key(key="x").at(4), Undo().at(5), command(6, "clear"), command(7, "letters")]
    assert do(writer, *waits, command(8, "pause")) == {}
    outputs = do(writer, command(9, "resume"))
    assert said(outputs) == [("i", "resumed", None, None)]
    assert [(time, data["state"]) for time, _, data in outputs["o_state"]] == [(9, "writing")]
    assert do(writer, command(10, "resume")) == {}
    assert said(do(writer, choice(11, 2, "1", " am")))[0][0] == "i am"


def test_faults_change_nothing(writer):
    do(writer, menu(1, 1, "i", "you"), choice(2, 1, "1", "i"), menu(3, 2, " am", " will", context="i"))
    two = said(do(writer, choice(4, 2, "1", " am"), choice(4, 2, "2", " will")))
    assert [text for text, *_ in two] == ["i am"]
    do(writer, menu(5, 3, " so", context="i am"))
    assert do(writer, choice(6, 1, "2", "you"), choice(6, 2, "2", " will")) == {}  # menus that are gone
    do(writer, menu(7, 4, context="i am"))
    assert do(writer, choice(8, 4, "1")) == {}
    assert said(do(writer, choice(9, 4, "none"))) == [("i am", "none", None, None)]
    assert do(writer, *(Key(key=key).at(10) for key in ("f1", "", "\n", "\x00", "enter"))) == {}
    fresh = Writer()
    drive(fresh, now=0)
    assert do(fresh, Undo().at(1), Key(key="backspace").at(2), *(command(3, c) for c in ("redo", "word_back"))) == {}


def test_a_text_of_ten_thousand_characters(writer):
    events = [choice(n, n, "1", " seven77") for n in range(1250)]
    assert len(said(do(writer, *events))[-1][0]) == 10_000
    begin = time.process_time()
    for n in range(100):
        do(writer, menu(2000 + n, 2000 + n, " x", context="no"), Key(key="x").at(2000 + n), Undo().at(2000 + n))
    assert (time.process_time() - begin) / 100 < 0.02


def test_the_text_comes_back_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("VOLITION_PROFILE", str(tmp_path))
    first = Writer(file="own")
    assert said(drive(first, now=1)) == [("", "start", None, None)]
    do(first, choice(2, 1, "1", "i"), choice(3, 2, "1", " am"), Key(key="!").at(4), Undo().at(5))
    again = Writer(file="own")
    assert said(drive(again, now=9)) == [("i am", "restored", None, None)]
    do(again, State(state="phrase_done").at(10))
    assert (tmp_path / "draft.jsonl").read_bytes() == b""
    muted = Writer(file="own")
    muted.muted = True
    do(muted, choice(2, 1, "1", "i"))
    assert (tmp_path / "draft.jsonl").read_bytes() == b""


def test_what_comes_while_the_file_is_read_waits(tmp_path):
    DraftFile(tmp_path / "d.jsonl").keep("i")
    writer = Writer(file=str(tmp_path / "d.jsonl"))

    class Later:
        pending = 1

        def submit(self, function, args):
            self.work = function, args

        def take(self):
            ready, self.ready = getattr(self, "ready", []), []
            return ready

    writer._jobs = jobs = Later()
    assert do(writer, Key(key="x").at(1)) == {}
    jobs.ready = [list(jobs.work[0](*jobs.work[1]))]  # a journal gives a list
    assert [text for text, *_ in said(drive(writer, now=2))] == ["i", "ix"]


def test_a_file_that_fails_is_said_once_and_the_writing_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    writer = Writer(file=str(tmp_path / "file" / "draft.jsonl"))
    drive(writer, now=1)
    assert [text for text, *_ in said(do(writer, Key(key="a").at(2), Key(key="b").at(3)))] == ["a", "ab"]
    [(_, label, data)] = writer.take_reports()
    assert label == "error" and "the draft" in data["message"] and "not safe" in data["message"]


CHILD = """
import sys
from volition.core import EventFrame
from volition.core.events import Key
from volition.core.node import drive
from volition.nodes.text.writer import Writer
writer = Writer(file=sys.argv[1])
drive(writer, now=0)
for n in range(100_000):
    text = drive(writer, now=n, i_key=EventFrame.of(Key(key="abcdefgh"[n % 8]).at(n)))["o"].data[-1]["text"]
    print(len(text), flush=True)
"""


@pytest.mark.slow
def test_nothing_that_was_said_is_lost_when_the_program_is_killed(tmp_path):
    path = tmp_path / "draft.jsonl"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
    for _ in range(150):
        child.stdout.readline()
    child.kill()
    rest, _ = child.communicate()
    length = int((rest.split("\n")[-2:-1] or ["150"])[0])
    writer = Writer(file=str(path))
    [(text, reason, _, _)] = said(drive(writer, now=1))
    assert reason == "restored" and length <= len(text) <= length + 1
    assert text == ("abcdefgh" * len(text))[: len(text)]
