"""The benchmark of writing: small runs on the table of words, kept, and the page made of them."""

import json

import pytest

from benchmarks.writing import __main__ as command
from benchmarks.writing import experiments


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Three phrases, and the table of words in place of the models."""
    folder = tmp_path / "data"
    (folder / "phrases").mkdir(parents=True)
    (folder / "phrases" / "comm2_lower.txt").write_text("i am here\nthank you\nyes please\n", encoding="utf-8")
    monkeypatch.setattr(experiments, "EMBEDDED", experiments.TABLE)
    monkeypatch.setattr(experiments, "SMOLLM2", experiments.TABLE)
    monkeypatch.setattr(experiments, "ACCURACIES", (0.9, 0.99))
    monkeypatch.setattr(experiments, "THRESHOLDS", (0.8, 0.99))
    return folder


def run(data, tmp_path, *more):
    given = ["--data", data, "--out", tmp_path / "docs", "--results", tmp_path / "results.json", "--jobs", "1", *more]
    return command.main(list(map(str, given)))


def test_all_questions_are_answered_on_a_page_and_nothing_is_measured_twice(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the plots are drawn with it")
    assert run(data, tmp_path) == 0
    text = (tmp_path / "docs" / "writing.md").read_text(encoding="utf-8")
    for title in ("Without errors", "People", "Channels", "When to choose", "How long it takes"):
        assert f"## {title}" in text
    assert "None" not in text and "nan" not in text
    assert {path.name for path in (tmp_path / "docs").glob("*.png")} == {"writing-channels.png", "writing-stopping.png"}
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
