"""Measuring a model: times that add up, a floor that memory sets, and what is kept of it."""

import pytest

from tests.lab.tiny_gguf import tiny_model
from volition.core import LoadError
from volition.lab import speed as module
from volition.lab.gguf import read_card
from volition.lab.speed import deadline_ms, known_speed, measure, read_rate
from volition.nodes.text import find

pytest.importorskip("llama_cpp")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(find.FOLDER, str(tmp_path / "kept"))


@pytest.fixture(autouse=True)
def small_buffer(monkeypatch):
    monkeypatch.setattr(module, "_buffer_size", lambda: 1 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", list(module.TRIED))
def test_a_model_of_each_architecture(tmp_path, architecture):
    path = tiny_model(tmp_path / "tiny.gguf", architecture)
    answer = measure(path, threads=1)
    assert known_speed(path) == answer
    assert known_speed(path, {"another.gguf": 1.0}) is None
    for name in ("prompt", "step_1", "step_5", "cached_menu"):
        assert 0 < answer[f"{name}_ms_min"] <= answer[f"{name}_ms_p50"]
    assert answer["prompt_tokens"] == 256 and answer["threads"] == 1
    assert answer["step_bytes"] == read_card(path).step_bytes
    floor = answer["step_bytes"] / answer["read_gb_s"] / 1e6
    assert answer["floor_ms"] == pytest.approx(floor, abs=1e-3)
    assert answer["step_5_over_floor"] == pytest.approx(answer["step_5_ms_min"] / floor, rel=0.1)
    assert answer["within_budget"] and answer["deadline_ms"] == 150.0


def test_deadlines():
    assert deadline_ms(20.0) == 150.0
    assert deadline_ms(100.0) == 150.0
    assert deadline_ms(200.0) == 300.0


@pytest.mark.slow
def test_an_unknown_architecture_is_named(tmp_path):
    path = tiny_model(tmp_path / "tiny.gguf", "zlama")
    with pytest.raises(LoadError, match="does not know the architecture 'zlama'; update llama-cpp-python"):
        measure(path)
    assert known_speed(path) is None


def test_a_file_that_is_larger_than_the_memory(tmp_path, monkeypatch):
    path = tiny_model(tmp_path / "tiny.gguf")
    monkeypatch.setattr(module, "_memory", lambda: 1e5)
    with pytest.raises(LoadError, match="GB of memory"):
        measure(path)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_reading_memory(threads):
    assert 1e8 < read_rate(1 << 20, threads) < 1e13  # bytes a second, from the caches


def test_the_buffer_is_larger_than_the_caches(monkeypatch, tmp_path):
    monkeypatch.undo()
    (tmp_path / "index3").mkdir()
    (tmp_path / "index3" / "size").write_text("266240K\n")
    monkeypatch.setattr(module, "_CACHES", tmp_path)
    monkeypatch.setattr(module, "_memory", lambda: 64e9)
    assert module._buffer_size() == 2 * 266240 * 1024
    monkeypatch.setattr(module, "_memory", lambda: 1e9)
    assert module._buffer_size() == 250_000_000
    monkeypatch.setattr(module, "_CACHES", tmp_path / "none")
    monkeypatch.setattr(module, "_memory", lambda: float("inf"))
    assert module._buffer_size() == 256 << 20
