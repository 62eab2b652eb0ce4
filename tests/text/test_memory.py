"""What is remembered: found by its words, kept through crashes, forgotten for good."""

import subprocess
import sys

import pytest

from volition.core import LoadError, NodeError
from volition.nodes.text.memory import NOTE, Memory, own_file, read_note
from volition.nodes.text.recall import OWN, Recall
from volition.nodes.text.requests import Request
from volition.nodes.text.retrieval import Okapi, passages, terms

GARDEN = "I planted the roses with my sister."
CAKE = "My sister bakes a lemon cake on Sundays."
BOAT = "We sailed the old boat to the island."


@pytest.fixture
def file(tmp_path):
    return tmp_path / "deep" / "memory.jsonl"


@pytest.fixture
def memory(file):
    memory = Memory(file)
    for line in (GARDEN, CAKE, BOAT):
        assert memory.add(line)
    return memory


def texts(passages):
    return [passage.text for passage in passages]


def test_lines_are_found_by_any_form_of_their_words(memory):
    assert texts(memory.search("planting a rose", 3)) == [GARDEN]
    assert set(texts(memory.search("sisters", 3))) == {GARDEN, CAKE}
    assert memory.search("giraffe", 3) == []
    assert texts(memory.search("sister", 1)) == [GARDEN]  # the shorter one


def test_weights_decide_between_words(memory):
    assert texts(memory.search({"cake": 1.0, "boat": 0.1}, 1)) == [CAKE]
    assert texts(memory.search({"cake": 0.1, "boat": 1.0}, 1)) == [BOAT]


def test_what_is_in_view_is_not_found_again(memory):
    assert texts(memory.search("sister", 3, exclude=["well, " + GARDEN.upper()])) == [CAKE]


def test_bm25_is_what_the_formula_gives():
    index = Okapi(k1=1.2, b=0.5)
    for text in ("red tea", "tea tea milk", "bread"):
        index.add(terms(text))
    idf = 0.4700036292457356  # ln(1 + (3 - 2 + 1/2) / (2 + 1/2))
    expected = [2 * idf * f / (f + 1.2 * (0.5 + 0.5 * n / 2)) for f, n in ((1, 2), (2, 3))]
    assert index.scores({"tea": 2.0}).tolist() == pytest.approx([*expected, 0.0])
    assert Okapi().scores({"tea": 1.0}).tolist() == []


def test_another_process_takes_it_up(memory, file):
    again = Memory(file)
    assert [entry.text for entry in again.entries] == [GARDEN, CAKE, BOAT]
    assert not again.refresh()
    memory.add("The cat sleeps all day.")
    assert again.refresh() and len(again) == 4
    assert not memory.add("the CAT sleeps all day")


def test_writers_at_once_lose_nothing(file):
    code = "import sys; from volition.nodes.text.memory import Memory; m = Memory(sys.argv[1]);"
    code += "[m.add(f'line {n} of writer {sys.argv[2]}') for n in range(40)]"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file), str(n)]) for n in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(Memory(file)) == 120


def test_a_torn_line_costs_only_itself(memory, file):
    data = file.read_bytes()
    file.write_bytes(data[:-9])  # a crash while the last line was written
    torn = Memory(file)
    assert torn.damaged == 1 and len(torn) == 2
    torn.add("It rained all night.")
    again = Memory(file)
    assert [entry.text for entry in again.entries] == [GARDEN, CAKE, "It rained all night."]
    again.forget("rained")
    assert Memory(file).damaged == 0


def test_forgotten_for_good(memory, file):
    assert memory.forget("sister bakes") == 1
    assert b"lemon" not in file.read_bytes()
    assert memory.search("cake", 3) == []
    assert memory.forget("...") == 0 and len(memory) == 2
    assert file.stat().st_mode & 0o077 == 0


def test_notes_replace_those_of_their_name(memory):
    assert memory.add_note("trip.txt", "We leave on Friday morning. The train goes at nine!\n\nTickets") == 2
    assert memory.add_note("trip.txt", "We leave on Saturday. The train goes at nine!") == 2
    assert memory.notes() == {"trip.txt": 2}
    assert texts(memory.search("leave", 3)) == ["We leave on Saturday."]
    assert memory.remove("trip.txt") == 2 and len(memory) == 3
    with pytest.raises(NodeError, match="kind 'dream'"):
        memory.add("A line.", "dream")
    assert [entry.kind for entry in memory.entries if entry.kind == NOTE] == []


def test_passages_are_sentences_and_long_ones_are_cut():
    assert (
        passages("Dr. Hay said so. Yes!\nHeading\n- milk and bread") == ["Dr.", "Hay said so.", "- milk and bread"][1:]
    )
    long = ", ".join(f"number {n} of many" for n in range(40))
    parts = passages(long)
    assert " ".join(parts) == long and all(len(part) <= 200 for part in parts)


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"\xff\xfe\x00", "no UTF-8"), (b"one\n", "no sentence"), (b"a b\0", "no sentence")],
)
def test_a_file_that_is_no_note(tmp_path, data, problem):
    path = tmp_path / "note.txt"
    path.write_bytes(data)
    with pytest.raises(LoadError, match=problem):
        read_note(path)
    with pytest.raises(LoadError, match="no such file"):
        read_note(tmp_path / "none.txt")
    with pytest.raises(LoadError, match="folder"):
        read_note(tmp_path)


@pytest.fixture
def recall(memory, file, monkeypatch):
    monkeypatch.setenv("VOLITION_PROFILE", str(file.parent))
    assert own_file() == file
    return Recall(OWN)


def test_text_turns_and_focus_bring_lines_up(recall):
    assert recall(Request()) == ()
    assert recall(Request("the boat")) == (BOAT,)
    assert recall(Request(turns=("do you like cake?",))) == (CAKE,)
    assert recall(Request("my sister", focus=(("lemon", 1.0),)))[0] == CAKE
    assert recall(Request("the boat", turns=("any cake?",)))[0] == BOAT


def test_lines_stay_while_the_best_is_among_them(recall):
    first = recall(Request("my sister"))
    assert first == (GARDEN, CAKE)
    assert recall(Request("my sister bakes", recalled=first)) == first
    assert recall(Request("the island", recalled=first)) == (BOAT,)
    assert recall(Request("the", recalled=first)) != first


def test_a_new_sentence_is_found_at_once(recall):
    recall.keep("The parrot speaks French.")
    assert recall(Request("a parrot")) == ("The parrot speaks French.",)
