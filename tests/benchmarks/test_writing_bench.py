"""The benchmark of writing: small runs on the table of words, kept, and the page made of them."""

import json

import pytest

from benchmarks.writing import __main__ as command
from benchmarks.writing import experiments, leaning, learning, questions


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Three phrases, and the table of words in place of the models."""
    folder = tmp_path / "data"
    (folder / "phrases").mkdir(parents=True)
    (folder / "phrases" / "comm2_lower.txt").write_text("i am here\nthank you\nyes please\n", encoding="utf-8")
    for name in command.OTHERS:
        (folder / "phrases" / f"{name}.txt").write_text("my dog is hungry\n", encoding="utf-8")
    monkeypatch.setattr(experiments, "EMBEDDED", experiments.TABLE)
    monkeypatch.setattr(experiments, "SMOLLM2", experiments.TABLE)
    monkeypatch.setattr(experiments, "ACCURACIES", (0.9, 0.99))
    monkeypatch.setattr(experiments, "THRESHOLDS", (0.8, 0.99))
    monkeypatch.setitem(questions.QUESTIONS, "leaning", lambda bench: iter(()))  # asks the model itself
    monkeypatch.setattr(learning, "EMBEDDED", experiments.TABLE)
    return folder


def run(data, tmp_path, *more):
    given = ["--data", data, "--out", tmp_path / "docs", "--results", tmp_path / "results.json", "--jobs", "1", *more]
    return command.main(list(map(str, given)))


def test_all_questions_are_answered_on_a_page_and_nothing_is_measured_twice(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the plots are drawn with it")
    assert run(data, tmp_path) == 0
    text = (tmp_path / "docs" / "writing.md").read_text(encoding="utf-8")
    for title in ("Without errors", "People", "Channels", "When to choose", "Learning", "How long it takes"):
        assert f"## {title}" in text
    assert "None" not in text and "nan" not in text
    assert {path.stem for path in (tmp_path / "docs").glob("*.png")} == {
        f"writing-{n}" for n in ("channels", "learning", "stopping")
    }
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert kept["oracle: table"]["result"]["phrases"] == 3
    monkeypatch.setattr(experiments, "write", None)  # whoever measured now would fail
    capsys.readouterr()
    assert run(data, tmp_path) == 0
    assert capsys.readouterr().err == ""


def test_one_question_leaves_the_others_on_the_page(data, tmp_path):
    pytest.importorskip("matplotlib", reason="the plots are drawn with it")
    assert run(data, tmp_path, "--only", "oracle") == 0
    assert run(data, tmp_path, "--only", "stopping") == 0
    text = (tmp_path / "docs" / "writing.md").read_text(encoding="utf-8")
    assert "## Without errors" in text and "## When to choose" in text and "## Channels" not in text


def test_a_missing_set_is_a_sentence(tmp_path, capsys):
    assert run(tmp_path / "nowhere", tmp_path) == 2
    assert "comm2_lower.txt" in capsys.readouterr().err


@pytest.mark.slow
def test_evidence_that_outlives_a_menu_is_worth_something():
    rows = leaning._measured(["i want to go home", "thank you very much", "please help me"])
    refused, *leaned, wrong = rows
    assert refused["off"] == 0 and refused["places"] > 0
    assert all(row["first_on"] >= row["first_off"] for row in leaned)
    assert wrong["first_on"] <= wrong["first_off"]
