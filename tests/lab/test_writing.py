"""Phrases written by simulated people: what is counted, and that nothing but the seed decides."""

import json
import math
import subprocess
import sys
from collections import Counter

import pytest

from volition.core import EventFrame, LoadError
from volition.engine.virtual import VirtualApp
from volition.lab import writing
from volition.lab.lm import spread
from volition.lab.people import PEOPLE, Person, find_person
from volition.lab.scribe import GIVE_UP, START, Selection, Written
from volition.lab.writing import Plan, letters_only, write, write_all
from volition.lab.writing_figures import LETTER_BITS, bits_of_the_person, calibration_error, figures, wolpaw
from volition.lab.writing_report import page


def volition(*arguments):
    """Exit code, answer and errors of a command."""
    command = [sys.executable, "-m", "volition", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


PHRASES = ["i want to go home", "thank you", "can you help me please"]


def plan(person: str, **more) -> Plan:
    return Plan(PEOPLE[person], "table", **more)


def test_the_oracle_writes_what_it_means_and_every_selection_is_counted():
    written = write(plan("oracle"), PHRASES)
    assert [w.text for w in written] == PHRASES
    for w in written:
        assert w.finished and not w.undos
        assert all(s.taken != "none" for s in w.selections)
        assert sum(not s.right for s in w.selections) == 0
        assert 0 < w.count < len(w.phrase) and w.seconds > 0
    found = figures(written)
    assert found["keystroke_savings"] == pytest.approx(1 - sum(w.count for w in written) / sum(map(len, PHRASES)))
    assert found["false_accept_rate"] == 0 and found["error_rate_left"] == 0
    assert 0 < found["coverage"] < 1


def test_what_is_counted_is_what_the_writer_was_told():
    events: Counter[str] = Counter()

    def each(graph, node, port, frame):
        if isinstance(frame, EventFrame) and node in ("fusion", "user"):
            events.update(label for _, label, data in frame if (label, data.get("key")) != ("key", " "))

    runner = VirtualApp(plan("oracle").person.app({"user": {"phrases": PHRASES}, "generator": {"model": "table"}}))
    for _ in runner.live(START, each):
        pass
    runner.close()
    written = write(plan("oracle"), PHRASES)
    assert sum(w.letters for w in written) == events["key"] > 0  # each space here follows an option
    assert sum(len(w.selections) for w in written) == events["choice"]
    assert sum(w.trims for w in written) == events["command"]


def test_a_seed_is_all_that_decides():
    once = write(plan("looks", seed=3, sitting=1), PHRASES)
    assert write(plan("looks", seed=3, sitting=1), PHRASES) == once
    assert write(plan("looks", seed=4, sitting=1), PHRASES) != once


@pytest.mark.slow
def test_processes_do_not_matter(tmp_path):
    path = tmp_path / "phrases.txt"
    path.write_text("\n".join(PHRASES * 10), encoding="utf-8")
    assert len(PHRASES * 10) > writing.SITTING
    given = ("write", "--phrases", path, "--model", "table", "--seed", "5")
    answers = [volition(*given, "--jobs", jobs) for jobs in (1, 2)]
    assert [code for code, _, _ in answers] == [0, 0]
    assert answers[0][1] == answers[1][1]
    assert answers[0][1]["phrases"] == 30


@pytest.mark.parametrize("person", sorted(set(PEOPLE) - {"oracle", "looks"}))
@pytest.mark.slow
def test_everybody_gets_their_phrases_written(person):
    written = write(plan(person), PHRASES)
    assert [w.text for w in written] == PHRASES
    assert all(w.finished and w.seconds < GIVE_UP * len(w.phrase) for w in written)


def test_whoever_cannot_be_understood_gives_up():
    mute = Person(
        "mute", "", ("looks",), {"looks": {"accuracy": 1 / 6, "every": 5.0}, "user": {"patience": 50, "wait": 0.0}}
    )
    [first, second] = write(Plan(mute, "table"), ["never", "ever"])
    assert not first.finished and not second.finished
    assert first.seconds > GIVE_UP * 5
    assert figures([first, second])["given_up"] == 2


def test_beside_it_stands_what_it_is_compared_with():
    runs = write_all(plan("looks"), PHRASES[:2], compare=True)
    assert [run.name for run in runs] == ["looks", "small table", "all alike", "oracle", "letters only"]
    by_name = {run.name: run.figures for run in runs}
    assert by_name["letters only"]["keystroke_savings"] == 0
    assert by_name["oracle"]["keystroke_savings"] >= by_name["looks"]["keystroke_savings"]
    text = page(runs, "two phrases")
    assert text.count("<th>") == 10 and "http" not in text.replace("http-equiv", "")


def test_phrases_are_spread_evenly():
    assert spread(list("abcdefghi"), 3) == ["a", "e", "i"]
    assert spread(["a"], 3) == ["a"] and spread(["a", "b"], None) == ["a", "b"]


def test_a_person_may_be_a_file(tmp_path):
    path = tmp_path / "ann.yaml"
    path.write_text("channels: [looks]\nparams:\n  looks: {accuracy: 0.8}\n", encoding="utf-8")
    person = find_person(str(path))
    assert person.name == "ann" and person.params["looks"]["accuracy"] == 0.8
    ids = {node.id for graph in person.app().graphs for node in graph.nodes}
    assert "looks" in ids and not ids & {"scores", "doubts", "eyes", "gaze_on_box"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("channels: [nose]", "no channel 'nose'"),
        ("params: {}", "expected the keys"),
        ("channels: [looks", "while parsing"),
        ("- looks", "expected the keys"),
    ],
)
def test_a_wrong_person_is_a_sentence(tmp_path, content, message):
    path = tmp_path / "x.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LoadError, match=message):
        find_person(str(path))
    with pytest.raises(LoadError, match="one of oracle"):
        find_person("nobody")


def chosen(p: float, right: bool, prior: float = 0.25) -> Selection:
    others = (1 - prior) / 3
    return Selection(
        "1" if right else "2",
        "1",
        {"1": p, "2": 1 - p},
        {"1": prior, "2": others, "3": others, "none": others},
        1.0,
    )


def test_figures_of_a_made_up_run():
    right = [chosen(0.9, True) for _ in range(9)]
    written = [
        Written("0123456789", "0123456789", 30.0, [*right, chosen(0.9, False)], letters=2, undos=1, offered=[True] * 3),
        Written("01234", "01x34", 30.0, [], letters=5),
    ]
    found = figures(written)
    assert found["selections_per_char"] == pytest.approx(18 / 15)
    assert found["keystroke_savings"] == pytest.approx(1 - 18 / 15)
    assert found["chars_per_min"] == pytest.approx(15.0)
    assert found["false_accept_rate"] == pytest.approx(0.1)
    assert found["error_rate_left"] == pytest.approx(1 / 15, abs=1e-6)
    assert found["ece"] == pytest.approx(0.0, abs=1e-9)
    assert found["coverage"] == 1.0 and found["none_rate"] == 0.0
    assert found["itr_bits_per_choice"] == pytest.approx(wolpaw(0.9, 4), abs=1e-6)
    assert found["utility_bits_per_min"] == pytest.approx(0.8 * math.log2(3) * 10, abs=1e-5)
    expected = (9 * 2 + 7 * LETTER_BITS) / 15
    assert found["person_bits_per_char"] == pytest.approx(expected, abs=1e-6)
    low, high = found["keystroke_savings_ci95"]
    assert low <= found["keystroke_savings"] <= high
    json.dumps(found)


def test_without_choices_there_are_no_rates():
    found = figures(letters_only(["abc"], 0.5))
    assert found["false_accept_rate"] is None and found["ece"] is None and found["itr_bits_per_min"] is None
    assert found["chars_per_min"] == pytest.approx(120.0)
    assert bits_of_the_person(letters_only(["abc"], 0.5)[0]) == pytest.approx(3 * LETTER_BITS)


def test_calibration_error_of_the_overconfident():
    assert calibration_error([0.99] * 4, [True, True, False, False]) == pytest.approx(0.49)
