"""The search for a frame: what it chooses, and that it is compared on phrases that it has not seen."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks.frames.__main__ import main, parts
from benchmarks.frames.search import greedy
from tests.lab.tiny_gguf import tiny_model
from volition.core import LoadError


def test_the_best_line_is_added_at_the_end():
    worth = {"a": 3.0, "b": 5.0, "c": 1.0}
    steps: list[str] = []

    def bits(frame: str) -> float:
        return 10.0 - sum(worth[line] for line in frame.splitlines())

    found = greedy(list(worth), bits, bits, 2, 3, steps.append)
    assert found == [(["b"], 5.0), (["b", "a"], 2.0)]
    assert steps == ["1 lines, 5.0000 bits/char: b", "2 lines, 2.0000 bits/char: a"]


def test_no_phrase_is_dealt_twice():
    phrases = [str(n % 50) for n in range(100)]
    dealt = parts(phrases, 10, 20, np.random.default_rng(0))
    assert list(map(len, dealt)) == [10, 20, 20]
    assert len(set().union(*dealt)) == 50
    with pytest.raises(LoadError, match="52 phrases are needed, and there are 50"):
        parts(phrases, 10, 21, np.random.default_rng(0))


def test_it_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("llama_cpp")
    path = tiny_model(tmp_path / "tiny.gguf")
    (tmp_path / "phrases").mkdir()
    for name in ("aac_crowdsourced_lower.txt", "specialists_lower.txt"):
        (tmp_path / "phrases" / name).write_text("\n".join(f"phrase {n} of {name[:3]}" for n in range(6)))
    few = ["--lines", "2", "--tries", "2", "--quick-phrases", "2", "--phrases", "3", "--json"]
    monkeypatch.setattr(sys, "argv", ["frames", "--data", str(tmp_path), "--model", str(path), *few])
    assert main() == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert len(found["lines"]) == 2
    assert {"none_bits_per_char", "everyday_fresh_bits_per_char", "found_2_tokens"} <= set(found)
    assert printed.err.count("bits/char") == 2
