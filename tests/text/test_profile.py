"""Profiles: the log is the truth, nothing is lost in a crash, and what is forgotten is gone to the last byte."""

import json
import math
import time
import zipfile

import numpy as np
import pytest

from volition.core import LoadError
from volition.nodes.text import choicelog
from volition.nodes.text.learner import Learner, explore
from volition.nodes.text.memory import Memory
from volition.nodes.text.profile import Profile, find_profile
from volition.nodes.text.proposals import Proposal
from volition.nodes.text.requests import Proposals, Request
from volition.nodes.text.rerank import FEATURES

X = tuple(0.1 * n for n in range(len(FEATURES)))


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VOLITION_PROFILE", str(tmp_path / "profile"))
    return tmp_path / "profile"


def menu(text, *words, rest=(), half_typed=False):
    def option(word, n):
        return Proposal(word, math.log(0.4 / (n + 1)), (n,), (-1.0,), (), {"model": -1.0}, (*X[:-2], 0.1 * n, 0.0))

    options = tuple(option(word, n) for n, word in enumerate(words))
    below = tuple(option(word, n + 5) for n, word in enumerate(rest))
    return Proposals(Request(text, half_typed), options, 0.2, 0.8, "scripted", rest=below)


def write(learner, *steps):
    """Steps are (words on the menu, next text, reason); the menu is for the text before."""
    for words, text, reason in steps:
        if words:
            learner.show(menu(learner._text, *words), (1.0,) * len(words))
        learner.hear(text, reason, 1_000, {"1": 0.5})
        learner.flush()


SENTENCE = (
    ((), "", "start"),
    ((" call", " i"), " call", "choice"),
    ((" my", " the"), " call my", "choice"),
    ((" uncle", " mother"), " call my", "none"),
    ((" sister", " father"), " call my sister", "choice"),
    ((), "", "cleared"),
)


def test_a_sentence_is_learned_when_it_is_finished(folder):
    learner = Learner("own")
    before = learner.version
    write(learner, *SENTENCE[:-1])
    assert (learner.version, learner.profile.learned.sentences) == (before, 0)
    write(learner, SENTENCE[-1])
    assert (learner.version, learner.profile.learned.sentences, learner.profile.learned.choices) == (before + 1, 1, 4)
    known = learner.profile.learned.cache.after(("call", "my"))
    assert known.best(1)[0][0] == "sister"
    assert learner.profile.learned.weights.any() and "call" in learner.profile.learned.bias.values
    rows = learner.profile.rows()
    assert [row.get("outcome", "sentence") for row in rows] == ["choice", "choice", "none", "choice", "sentence"]
    assert rows[0]["options"][0]["log_v"] == 0.5 and rows[3]["taken"] == 0


def test_an_undo_takes_back_exactly(folder):
    plain, mistaken = Learner("plain"), Learner("mistaken")
    write(plain, *SENTENCE)
    wrong = (((" you", " me"), " call you", "choice"), ((), " call", "undo"))
    write(mistaken, *SENTENCE[:2], *wrong, *SENTENCE[2:])
    one, other = (each.profile.learned.pack() for each in (plain, mistaken))
    assert one == other
    table = choicelog.table(mistaken.profile.rows())
    assert [o for o, taken in zip(table["outcome"], table["taken"], strict=True) if taken] == [
        "choice",
        "undone",
        "choice",
        "choice",
    ]


def test_a_redo_makes_it_right_again_and_letters_are_none_of_the_options():
    learner = Learner("own")
    steps = (
        ((" am", " was"), " am", "choice"),
        ((), "", "undo"),
        ((), " am", "redo"),
        ((" here", " fine"), " am o", "typed"),
        (("ut", "k"), " am ok", "choice"),
        ((), "", "cleared"),
    )
    write(learner, *steps)
    assert learner.profile.learned.choices == 3
    assert [row.get("outcome") for row in learner.profile.rows()] == ["choice", "typed", "choice", None]


def test_a_second_start_knows_the_same_with_and_without_its_snapshot(folder):
    learner = Learner("own")
    for _ in range(3):
        write(learner, *SENTENCE)
    learner.close()
    learner.close()
    expected = learner.profile.learned.pack()
    assert (folder / "learned.json").exists()
    assert Profile(folder).learned.pack() == expected
    write(Learner("own"), *SENTENCE)  # after the snapshot, and no close: as in a crash
    more = Profile(folder).learned.pack()
    (folder / "learned.json").unlink()
    assert Profile(folder).learned.pack() == more != expected
    assert (folder / "choices.jsonl").stat().st_mode & 0o077 == 0


def test_a_torn_run_is_finished_at_the_next_start(folder):
    write(Learner("own"), *SENTENCE[:-1])
    again = Learner("own")
    assert again.profile.learned.sentences == 1
    assert again.profile.rows()[-1] == {"kind": "sentence", "time": 1_000, "text": " call my sister", "style": ""}


@pytest.mark.parametrize("name", ["choices.jsonl", "learned.json", "profile.json", "memory.jsonl"])
def test_a_file_cut_in_half_loads_what_is_whole_and_says_so(folder, name):
    learner = Learner("own")
    for _ in range(4):
        write(learner, *SENTENCE)
    learner.close()
    Memory(folder / "memory.jsonl").add("call my sister")
    (folder / "profile.json").write_text('{"lambda_max": 0.4}')
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    profile = Profile(folder)
    if name == "choices.jsonl":
        assert profile.learned.sentences == 2 and "choices.jsonl is not as" in profile.problems[0]
    elif name == "learned.json":
        assert profile.learned.sentences == 4 and "damaged" in profile.problems[0]
    elif name == "profile.json":
        assert profile.taste.lambda_max == 0.5 and "profile.json" in profile.problems[0]
    else:
        assert profile.taste.lambda_max == 0.4 and Memory(profile.memory_file).damaged == 1
    Learner("own").close()  # and it can be gone on with


@pytest.mark.parametrize("text", ["uncle's number", "1234", "Pike"])
def test_forgetting_leaves_no_trace(folder, text):
    def said(*words):
        steps, so_far = [((), "", "start")], ""
        for word in words:
            steps.append(((f" {word}", " other"), f"{so_far} {word}", "choice"))
            so_far = f"{so_far} {word}"
        return (*steps, ((), "", "cleared"))

    learner, clean = Learner("own"), Learner("clean")
    secret = said("my", "uncle's", "number", "is", "1234", "pike")
    write(learner, *SENTENCE, *secret, *said("good", "morning"))
    # offered, and not taken; typed letter by letter, and deleted again
    write(learner, ((" pike", " my uncle's number", " 1234"), "", "none"), ((" yes",), " yes", "choice"))
    write(learner, ((), "", "cleared"))
    so_far = ""
    for letter in " uncle's number 1234 pike":
        so_far += letter
        write(learner, (("a", "b"), so_far, "typed"))
    write(learner, ((), "", "cleared"), *SENTENCE)
    learner.close()
    memory = Memory(folder / "memory.jsonl")
    memory.add("My uncle's number is 1234, Pike.")
    memory.add_note("fish.txt", "Pike and uncle's number 1234 are in this note.")
    (folder / "learned.json.new").write_text("pike uncle's number 1234")
    (folder / "profile.json").write_text(json.dumps({"style": f"like {text}"}))
    Profile(folder).forget(text)
    write(clean, *SENTENCE, *said("good", "morning"), ((" yes",), " yes", "choice"), ((), "", "cleared"), *SENTENCE)
    everything = b"".join(p.read_bytes() for p in folder.glob("*") if p.is_file()).lower()
    assert b"sister" in everything
    assert text.lower().encode() not in everything
    assert Profile(folder).learned.pack() == clean.profile.learned.pack()
    with pytest.raises(LoadError, match="no words"):
        Profile(folder).forget("...")


def test_a_running_writer_takes_in_what_was_forgotten_and_does_not_bring_it_back(folder):
    learner = Learner("own")
    write(learner, *SENTENCE)
    version = learner.version
    write(learner, *SENTENCE[:3])
    assert Profile(folder).forget("sister") == {"lines": 5, "remembered": 0}
    write(learner, ((" name", " dog"), " call my name", "choice"), ((), "", "cleared"))
    learner.close()
    assert learner.version > version
    assert b"sister" not in b"".join(path.read_bytes() for path in folder.glob("*") if path.is_file())
    assert Profile(folder).learned.cache.after(("call", "my")).best(3)[0][0] == "name"


def test_what_is_exported_comes_back_and_a_wrong_file_changes_nothing(folder, tmp_path):
    learner = Learner("own")
    write(learner, *SENTENCE)
    learner.close()
    (folder / "profile.json").write_text('{"reading": "mask"}')
    Memory(folder / "memory.jsonl").add("call my sister")
    own = Profile(folder)
    file = tmp_path / "own.zip"
    assert own.export(file) == 6
    other = Profile(find_profile("anna"))
    assert other.empty and not own.empty
    assert other.take_over(file) == 6
    assert other.learned.pack() == own.learned.pack() and other.taste.reading == "mask"
    assert [entry.text for entry in Memory(other.memory_file).entries] == ["call my sister"]
    before = other.learned.pack()
    (tmp_path / "text.zip").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("../profile.json", "{}")
    for name in ("text.zip", "other.zip", "missing.zip"):
        with pytest.raises(LoadError):
            other.take_over(tmp_path / name)
    assert other.learned.pack() == before
    with pytest.raises(LoadError, match=r"\.zip"):
        own.export(tmp_path / "own.txt")
    other.reset()
    assert Profile(find_profile("anna")).empty and not Profile(folder).empty


def test_choices_as_parquet(folder, tmp_path):
    pyarrow = pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    learner = Learner("own")
    write(learner, *SENTENCE)
    assert Profile(folder).export(tmp_path / "choices.parquet") == 8
    table = pyarrow.read_table(tmp_path / "choices.parquet")
    assert table.num_rows == 8 and set(FEATURES) <= set(table.column_names)
    assert table["outcome"].to_pylist() == ["choice"] * 4 + ["none"] * 2 + ["choice"] * 2
    assert table["finished"].to_pylist() == [" call my sister"] * 8
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"


def test_lines_of_others_are_passed_over(folder):
    write(Learner("own"), *SENTENCE)
    with (folder / "choices.jsonl").open("a") as file:
        file.write('{"text": "x", "kind": "choice", "options": [{"text": 3}]}\n{"text": "y", "kind": 5}\n7\n')
        file.write('{"text": "x", "kind": "choice", "options": [], "p_none": 0.1, "taken": 4}\n')
    profile = Profile(folder)
    assert profile.learned.sentences == 1 and profile.problems == [
        "4 lines of choices.jsonl are damaged and passed over"
    ]


def test_names_are_no_paths():
    for name in ("../x", "", "a/b", ".hidden", "x" * 80):
        with pytest.raises(LoadError, match="a name is"):
            find_profile(name)


def test_exploring_shows_less_likely_words_as_often_as_it_says():
    shown = menu("", " a", " b", " c", rest=(" d", " e"))
    rng = np.random.default_rng(1)
    assert explore(shown, 0.0, rng) == (shown, (1.0, 1.0, 1.0))
    last, propensity = [], {}
    for _ in range(4000):
        moved, p = explore(shown, 0.3, rng)
        assert [o.text for o in moved.options[:2]] == [" a", " b"] and p[:2] == (1.0, 1.0)
        assert moved.covered_mass <= 1
        last.append(moved.options[2].text)
        propensity[last[-1]] = p[2]
    assert sum(propensity.values()) == pytest.approx(1.0)
    for text, p in propensity.items():
        assert last.count(text) / 4000 == pytest.approx(p, abs=0.03)
    assert explore(menu("", " a", " b"), 0.9, rng)[1] == (1.0, 1.0)


def test_an_acceptance_takes_milliseconds(folder, record_property):
    """Reported, not held to a limit: the disk of the machine decides."""
    learner = Learner("own")
    took, finished = [], []
    for _ in range(30):
        for words, text, reason in SENTENCE:
            if words:
                learner.show(menu(learner._text, *words), (1.0,) * len(words))
            begin = time.perf_counter()
            learner.hear(text, reason, 1_000, {})
            learner.flush()
            (finished if reason == "cleared" else took).append(1e3 * (time.perf_counter() - begin))
    record_property("acceptance_ms_p50", float(np.median(took)))
    record_property("sentence_ms_p50", float(np.median(finished)))
    print(
        f"acceptance {np.median(took):.2f} ms, sentence {np.median(finished):.2f} ms, worst {max(took + finished):.1f}"
    )
    assert learner.profile.learned.sentences == 30
