"""The benchmark of the memory: material, embeddings and figures, each against what is known by hand."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from benchmarks.memory.__main__ import BM25, NONE, Outcome, figures, main
from benchmarks.memory.embedding import Embedder, Nearest
from benchmarks.memory.material import cut, read_notes
from tests.lab.tiny_gguf import tiny_model
from volition.core import LoadError
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.retrieval import passages

GARDEN = "\n".join(f"In the garden we planted {n} rows of beans and peas." for n in range(9))
TRIP = "\n".join(f"The boat to island number {n} leaves at noon from the pier." for n in range(7))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    pytest.importorskip("llama_cpp")
    return tiny_model(tmp_path_factory.mktemp("memory") / "tiny.gguf")


@pytest.fixture
def data(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in {"garden": GARDEN, "trip": TRIP, "ru_sad": "Мы посадили в саду горох."}.items():
        (notes / f"{name}.txt").write_text(text, encoding="utf-8")
    return tmp_path


def test_no_passage_is_both_remembered_and_written(data):
    notes = read_notes(data / "notes")
    memory, queries = cut(notes, 100)
    lines = {entry.text for entry in memory.entries}
    written = {query.begin + query.end for query in queries}
    assert lines.isdisjoint(written)
    assert lines | written == {p for text in (GARDEN, TRIP) for p in passages(text)}
    assert [query.note for query in cut(notes, 3)[1]] == ["garden.txt", "garden.txt", "trip.txt"]


def test_notes_are_of_one_language(data, tmp_path):
    assert set(read_notes(data / "notes")) == {"garden.txt", "trip.txt"}
    assert set(read_notes(data / "notes", "ru")) == {"ru_sad.txt"}
    with pytest.raises(LoadError, match="holds no"):
        read_notes(tmp_path)


def test_what_all_lines_share_does_not_count():
    vectors = {"a": [99, 1, 0], "b": [99, -6, 6], "c": [99, 5, -6], "query": [99, -0.1, 0.1]}  # nearest by itself: a
    nearest = Nearest(["a", "b", "c"], lambda text: np.array(vectors[text], dtype=float))
    assert nearest("query", 2) == [1, 0]


def test_an_embedding_is_the_mean_of_the_last_hidden_states(path):
    gguf = pytest.importorskip("gguf")
    output = next(t.data for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight")
    model = LanguageModel(path, threads=1)
    embedder = Embedder(model)
    tokens = model.tokenise("a garden")
    rows = [model.prefill([tokens[: n + 1]]).copy() for n in range(len(tokens))]
    expected = np.mean(rows, axis=0, dtype=np.float64)
    found = np.asarray(output, dtype=np.float64) @ embedder("a garden")  # the output is tied: these are mean logits
    np.testing.assert_allclose(found - found.mean(), expected - expected.mean(), atol=1e-3)
    np.testing.assert_array_equal(embedder("a garden"), embedder("a garden"))
    embedder.close()
    embedder.close()
    model.close()


def test_differences_are_paired():
    outcomes = {
        NONE: Outcome([10.0, 200.0, 30.0]),
        BM25: Outcome([9.0, 199.0, 29.0], [1.0, 2.0, 9.0], [True, True, False, True]),
    }
    found = figures(outcomes, np.array([10, 10, 10]))
    assert found["none_bits_per_char"] == pytest.approx(8.0)
    assert found["bm25_less_none"] == pytest.approx(-0.1)
    assert found["bm25_less_none_ci95"] == pytest.approx([-0.1, -0.1])
    assert (found["bm25_own_note"], found["bm25_search_ms_p50"]) == (0.75, 2.0)


def test_it_runs(path, data, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["memory", "--data", str(data), "--model", str(path), "--queries", "2", "--json"])
    assert main() == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["passages"], found["lines"], found["notes"]) == (2, 9, 2)
    assert found["embedding_bits_per_char"] > 0
