"""Editing loses nothing: undo and redo are exact inverses, whatever was done."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.nodes.text.draft import Draft, shared, shortened, spelt, taken
from volition.nodes.text.draftfile import DraftFile

PIECES = st.sampled_from(["i", " would like", " the", ".", ",", " ", "\n", "s", "'", "Я", " хочу", "!", "  x", "é"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["choose", "add", "spell"]), PIECES),
        st.tuples(st.sampled_from(["word_back", "empty", "undo", "redo"]), st.none()),
    ),
    max_size=40,
)


def apply(draft, name, piece):
    if name == "spell":
        piece = piece.strip()[:1] or " "
    return getattr(draft, name)(*([] if piece is None else [piece]))


@given(STEPS)
def test_undo_and_redo_are_exact_inverses(steps):
    """Against the plainest way there is: a list of all texts."""
    draft, texts, at = Draft(), [""], 0
    for name, piece in steps:
        before = draft.text
        done = apply(draft, name, piece)
        if name == "undo":
            assert done == (at > 0)
            at = max(0, at - 1)
        elif name == "redo":
            assert done == (at < len(texts) - 1)
            at = min(len(texts) - 1, at + 1)
        elif draft.text != before:
            texts, at = [*texts[: at + 1], draft.text], at + 1
        assert draft.text == texts[at]
    while draft.undo():
        at -= 1
        assert draft.text == texts[at]
    assert at == 0
    while draft.redo():
        at += 1
        assert draft.text == texts[at]
    assert at == len(texts) - 1


@settings(max_examples=15)
@given(STEPS)
def test_what_is_on_disk_is_what_was_written(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("draft") / "draft.jsonl"
    draft, file = Draft(), DraftFile(path)
    for name, piece in steps[:12]:
        apply(draft, name, piece)
        file.keep(draft.text)
    assert DraftFile(path).read() == draft.text
    assert DraftFile(path).read() == draft.text


def test_half_typed_follows_the_way_back_and_forth():
    draft = Draft()
    draft.choose("i")
    assert not draft.half_typed
    draft.spell("w")
    assert (draft.text, draft.half_typed) == ("i w", True)
    draft.choose("ould")
    assert not draft.half_typed
    assert draft.undo() and draft.half_typed
    assert draft.redo() and not draft.half_typed
    draft.spell(",")
    assert (draft.text, draft.half_typed) == ("i would, ", False)


def test_a_word_back_leaves_two_of_three():
    draft = Draft()
    draft.choose("i")
    draft.choose(" would like to")
    assert draft.word_back() and draft.text == "i would like"
    assert draft.undo() and draft.text == "i would like to"
    assert not Draft().word_back()


@pytest.mark.parametrize(
    ("text", "option", "after"),
    [
        ("hello, ", " world", "hello, world"),
        ("hello", " world", "hello world"),
        ("hello ", ".", "hello."),
        ("hello\n", " world", "hello\nworld"),
        ("I am. ", "you", "I am. You"),
        ("i am. ", "you", "i am. you"),
        ("I am.", " привет", "I am. Привет"),
        ("I a", "m", "I am"),
        ("I am", " the", "I am the"),
        ("One.\n", "two", "One.\nTwo"),
        ("", "i", "i"),
        ("", " w", " w"),
        ("a ", " ", "a  "),
    ],
)
def test_how_an_option_joins_the_text(text, option, after):
    assert taken(text, option) == after


@pytest.mark.parametrize(
    ("text", "letter", "half_typed", "after"),
    [
        ("hello", ",", True, "hello, "),
        ("hello, ", "w", False, "hello, w"),
        ("hello. ", ".", False, "hello.. "),
        ("would", "l", False, "would l"),
        ("would", "l", True, "wouldl"),
        ("would", "'", False, "would'"),
        ("would", " ", False, "would "),
        ("Yes. ", "n", False, "Yes. N"),
        ("yes. ", "n", False, "yes. n"),
        ("", ".", False, ". "),
    ],
)
def test_how_a_letter_joins_the_text(text, letter, half_typed, after):
    assert spelt(text, letter, half_typed) == after


@given(st.text("ab ,\n\té", max_size=30))
def test_words_back_come_to_an_end(text):
    seen = [text]
    while (after := shortened(seen[-1])) != seen[-1]:
        assert seen[-1].startswith(after)
        seen.append(after)
    assert seen[-1].strip() == "" and len(seen) <= len(text.split()) + 2


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_shared(one, other):
    n = shared(one, other)
    assert one[:n] == other[:n]
    assert n == min(len(one), len(other)) or one[n] != other[n]


def test_ten_thousand_characters_stay_quick():
    draft = Draft()
    begin = time.process_time()
    for _ in range(1250):
        draft.choose(" seven77")
    assert len(draft.text) == 10_000
    for _ in range(300):
        draft.spell("a")
        draft.word_back()
        draft.undo()
        draft.redo()
    taken_ms = 1e3 * (time.process_time() - begin) / 2450
    assert taken_ms < 2.0, f"a step takes {taken_ms:.2f} ms"  # it is some 0.1 ms
    back = 0
    while draft.undo():
        back += 1
    assert back == 1000  # and not one more: the way back is bounded


def test_a_draft_on_disk_outlives_a_torn_line_and_forgets(tmp_path):
    path = tmp_path / "draft.jsonl"
    file = DraftFile(path)
    for text in ("i", "i would", "i would like", "i want"):
        file.keep(text)
    path.write_bytes(path.read_bytes()[:-7])
    again = DraftFile(path)
    assert again.read() == "i would like"
    again.keep("i would like tea")
    assert DraftFile(path).read() == "i would like tea"
    again.keep("")
    assert path.read_bytes() == b""
    assert DraftFile(tmp_path / "none.jsonl").read() == ""
