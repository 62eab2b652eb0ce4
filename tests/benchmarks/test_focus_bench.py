"""The benchmark of the focus: positions and figures, counted by hand."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks.focus.__main__ import CASES, Case, figures, main, measure
from benchmarks.focus.material import Position, positions
from tests.lab.tiny_gguf import tiny_model
from volition.nodes.text.spelling import is_function_word, stem

PHRASES = [
    "i want some bacon for breakfast",
    "we walked to the park",
    "did you feed the dog",
    "tiny phrase",
    "my sister sings in a choir",
]


def test_positions_are_before_content_words_of_long_phrases():
    found = positions(PHRASES, 100, np.random.default_rng(0))
    assert [(p.text, p.wanted) for p in found[:3]] == [("i", "want"), ("i want", "some"), ("i want some", "bacon")]
    assert all(not is_function_word(p.wanted) for p in found)
    assert not any("tiny" in p.text for p in found)
    assert len(positions(PHRASES, 4, np.random.default_rng(0))) == 4


def test_other_words_are_of_other_phrases():
    for position in positions(PHRASES, 100, np.random.default_rng(1)):
        phrase = next(line for line in PHRASES if line.startswith(f"{position.text} {position.wanted}".strip()))
        stems = {stem(word) for word in phrase.split()}
        assert len({stem(word) for word in position.others} - stems) == 3
        assert position.right == (position.wanted, *position.others[:2])
        assert position.wrong == position.others


def test_coverage_and_what_is_in_the_way():
    def offer(text, looked_at, strength):
        return [*looked_at, "often"] if strength > 1 else ["often"]

    found = [Position("", "cat", ("a", "b", "c")), Position("", "often", ("a", "b", "c"))]
    values = figures(*measure(found, offer))
    assert values["none_coverage"] == values["right_1_coverage"] == values["wrong_4_coverage"] == 0.5
    assert (values["right_2_coverage"], values["right_2_difference"]) == (1.0, 0.5)
    assert (values["right_1_in_the_way"], values["right_2_in_the_way"], values["wrong_2_in_the_way"]) == (0, 2, 3)
    assert Case("right", 2.0) in CASES


def test_it_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("llama_cpp")
    path = tiny_model(tmp_path / "tiny.gguf")
    (tmp_path / "phrases").mkdir()
    (tmp_path / "phrases" / "aac_crowdsourced_lower.txt").write_text("\n".join(PHRASES))
    monkeypatch.setattr(sys, "argv", ["focus", "--data", str(tmp_path), "--model", str(path), "--queries", "2"])
    assert main() == 0
    printed = capsys.readouterr().out
    assert "right focus, 2 nats *" in printed and "at 2 positions" in printed
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["positions"] == 2
