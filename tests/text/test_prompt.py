"""The prompt: what it holds, in which style, and what goes first when there is no room."""

import pytest

from volition.core import LoadError
from volition.nodes.text.prompt import EVERYDAY, EVERYDAY_RU, NONE, find_frame, is_cased, segments, suited


def letters(text):
    return [ord(c) for c in text]


def prompt(text="", turns=(), limit=1000, frame=EVERYDAY, memory=()):
    parts = segments(text, turns, letters, (), limit, frame, memory)
    return "".join(chr(token) for part in parts for token in part)


def test_frame_memory_turns_and_text_in_their_order():
    assert prompt("i", ["Tea?"], frame="", memory=["The pot is blue."]) == "the pot is blue.\ntea?\ni"
    assert prompt("I", ["Tea?"], frame="", memory=["The pot is blue."]) == "The pot is blue.\nTea?\nI"


@pytest.mark.parametrize(
    ("text", "turns", "cased"),
    [("", (), False), ("I am", (), True), ("i am", ("Hello",), False), ("", ("Hello",), True), ("1", ("hi",), False)],
)
def test_the_case_of_what_is_written(text, turns, cased):
    assert is_cased(text, turns) == cased


def test_the_frame_speaks_the_language_of_the_text():
    assert suited(EVERYDAY, "", ("как дела?",)) is EVERYDAY_RU
    assert suited(EVERYDAY_RU, "yes", ("как дела?",)) is EVERYDAY
    assert suited(EVERYDAY_RU, "", ("...",)) is EVERYDAY_RU
    assert suited(NONE, "да") is NONE
    assert prompt("я", limit=2000).startswith(EVERYDAY_RU.lower[-100:-50]) or EVERYDAY_RU.lower[-40:] in prompt("я")


def test_when_room_is_short_memory_goes_first_and_the_last_turn_stays():
    memory = ["m" * 70, "n" * 70, "o" * 70]
    assert prompt("t", ["a" * 20], frame="", memory=memory) == "m" * 70 + "\n" + "n" * 70 + "\n" + "a" * 20 + "\nt"
    short = prompt("t", ["a" * 300, "b" * 300], 420, "", memory)
    assert short == "b" * 300 + "\nt" and len(prompt("t" * 900, ["b" * 900], 460, "")) <= 460
    assert "b" in prompt("t" * 900, ["b" * 900], 460, "")


def test_frames_from_files(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Good morning, love!\n\nIs it raining?\n", "utf-8")
    frame = find_frame(str(path))
    assert (frame.lower, frame.cased) == ("good morning love\nis it raining\n", "Good morning, love!\nIs it raining?\n")
    path.write_text("yes, please!\n", "utf-8")
    assert find_frame(str(path)).lower == "yes, please!\n"  # as it is
    for data in (b"", b"\xff\xfe"):
        path.write_bytes(data)
        with pytest.raises(LoadError):
            find_frame(str(path))
    with pytest.raises(LoadError, match="there are everyday, everyday-ru, none"):
        find_frame("unheard-of")
