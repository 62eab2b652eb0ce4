"""``volition model``: files of one's own by a name, what they cost here, and copies packed for this processor."""

import json
from pathlib import Path

import pytest

from tests.cli.command import answer, call
from tests.data import data_path
from tests.lab.tiny_gguf import tiny_model
from volition.lab import quantise, speed
from volition.nodes.text import find
from volition.nodes.text.find import find_model, registered

SPEED = {
    "prompt_tokens": 256,
    "prompt_ms_p50": 640.0,
    "step_1_ms_p50": 18.0,
    "step_5_ms_p50": 37.0,
    "cached_menu_ms_p50": 90.0,
    "adapters": {},
    "threads": 1,
    "read_gb_s": 6.0,
    "read_gb_s_1": 6.0,
    "step_bytes": 60_000_000,
    "floor_ms": 10.0,
    "step_1_over_floor": 1.8,
    "step_5_over_floor": 3.7,
    "budget_ms": 150.0,
    "within_budget": True,
    "deadline_ms": 150.0,
}


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(find.FOLDER, str(tmp_path / "kept"))


@pytest.fixture
def tiny(tmp_path):
    return tiny_model(tmp_path / "Some Tiny-Model.gguf", "qwen3")


@pytest.fixture
def measured(monkeypatch):
    """Speeds without measuring; the list says what would have been measured."""
    asked = []

    def measure(path, adapters=None, *, threads=0, timeout=0.0, keep=True, progress=None):
        asked.append(path)
        find.keep_measurement(path, {"speed": SPEED})
        return SPEED

    monkeypatch.setattr(speed, "measure", measure)
    return asked


def refused(*arguments):
    result = call("model", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.slow
def test_a_model_is_tried_named_shown_and_forgotten(tiny, monkeypatch):
    pytest.importorskip("llama_cpp")
    monkeypatch.setattr(speed, "_buffer_size", lambda: 1 << 20)
    added = answer("model", "add", str(tiny), "--name", "mine", "--threads", "1")
    assert added["name"] == "mine" and added["architecture"] == "qwen3" and added["tried"]
    assert added["licence"] == "mit" and added["languages"] == ["en", "ru"] and added["vocabulary"] == 258
    assert added["speed"]["within_budget"] and added["speed"]["floor_ms"] > 0
    assert find_model("mine") == tiny
    assert answer("model", "show", "mine")["speed"] == added["speed"]  # measured once
    row = answer("model", "list")["models"][-1]
    assert row["name"] == "mine" and row["cached_menu_ms"] == added["speed"]["cached_menu_ms_p50"]
    assert answer("model", "remove", "mine") == {"removed": "mine", "path": str(tiny)}
    assert registered() == {} and tiny.is_file()


def test_the_card_as_text(tiny, measured):
    text = call("model", "add", str(tiny)).stdout
    assert "some-tiny-model" in registered()
    assert "architecture  qwen3 (Qwen3)" in text
    assert "licence       mit" in text
    assert "read at 6.0 GB/s" in text and "1 sequence takes 1.8 times that" in text
    assert "90 ms when all but the last word is cached: within 150 ms" in text
    assert measured == [tiny]
    assert call("model", "show", "some-tiny-model").stdout in text
    assert measured == [tiny]
    call("model", "show", "some-tiny-model", "--again")
    assert measured == [tiny, tiny]


def test_an_architecture_that_was_not_tried_is_let_in_with_a_note(tmp_path, measured):
    path = tiny_model(tmp_path / "tiny.gguf", "gemma3")
    assert "gemma3 (not tried with this program; it may still work well)" in call("model", "add", str(path)).stdout


def test_wrong_files_are_one_line(tmp_path, tiny):
    path = tmp_path / "wrong.gguf"
    path.write_bytes(bytes(range(256)))
    assert "not a GGUF file" in refused("add", str(path))
    path.write_bytes(tiny.read_bytes()[:-100])
    assert "cut off" in refused("add", str(path))
    assert "No such file" in refused("add", str(tmp_path / "none.gguf"))
    assert registered() == {}


def test_a_vocabulary_is_one_line():
    assert "holds a vocabulary and no weights" in refused("add", str(data_path("models/ggml-vocab-gpt-2.gguf")))


@pytest.mark.slow
def test_an_unknown_architecture_is_one_line_and_no_name(tmp_path):
    path = tiny_model(tmp_path / "tiny.gguf", "zlama")
    assert "does not know the architecture 'zlama'" in refused("add", str(path))
    assert registered() == {}


def test_names_that_cannot_be(tiny, measured):
    assert "comes with the program" in refused("add", str(tiny), "--name", "embedded")
    assert "is no name for a model" in refused("add", str(tiny), "--name", "My Model")
    assert "there is no model 'none'" in refused("remove", "none")
    assert "no such file" in refused("show", "none")
    assert measured == []


def test_the_list_says_what_is_wrong(tiny, measured):
    call("model", "add", str(tiny), "--name", "mine")
    tiny.unlink()
    rows = {row["name"]: row for row in answer("model", "list")["models"]}
    assert set(rows) == {"smollm2-135m", "embedded", "mine"}
    assert "which is gone" in rows["mine"]["problem"]
    assert "which is gone" in call("model", "list").stdout


@pytest.fixture
def packing(monkeypatch):
    """Re-packing and measuring without llama.cpp; the list says what was made."""
    made = []
    menus = {"as shipped": (100.0, 1.0), "q4_0": (50.0, 1.2), "iq4_nl": (55.0, 1.01), "q8_0": (80.0, 1.0)}

    def repack(source, target, kind, progress=None):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        made.append(kind)

    def compare(path, kind, adapters=None, *, threads=0, progress=None):
        menu, bits = menus[kind]
        times = {"prompt_ms": 10 * menu, "step_5_ms": menu / 2, "cached_menu_ms": menu}
        return {"type": kind, "size_bytes": 1000, **times, "bits_per_char": bits}

    monkeypatch.setattr(quantise, "repack", repack)
    monkeypatch.setattr(quantise, "compare", compare)
    return made


def test_the_copy_of_a_name_takes_its_place(tiny, measured, packing):
    call("model", "add", str(tiny), "--name", "mine")
    first = answer("model", "quantise", "mine")
    assert first["chosen"] == "iq4_nl" and first["made"]
    assert find_model("mine") == Path(first["path"]) != tiny
    assert packing == ["q4_0", "iq4_nl", "q8_0"]
    again = answer("model", "quantise", "mine")
    assert again["path"] == first["path"] and not again["made"] and len(packing) == 3
    assert "iq4_nl" in call("model", "quantise", "mine").stdout
    other = answer("model", "quantise", "mine", "--type", "q8_0")
    assert find_model("mine") == Path(other["path"]) and not Path(first["path"]).exists()
    assert "(re-packed)" in call("model", "list").stdout


def test_a_file_gets_another_beside_it(tiny, packing, tmp_path):
    found = answer("model", "quantise", str(tiny), "--type", "q4_0")
    assert found["path"] == str(tiny.with_name("Some Tiny-Model-q4_0.gguf"))
    assert "is there already" in refused("quantise", str(tiny), "--type", "q4_0")
    found = answer("model", "quantise", str(tiny), "-o", str(tmp_path / "new.gguf"))
    assert found["path"] == str(tmp_path / "new.gguf") and found["chosen"] == "iq4_nl"
    assert "is there already" in refused("quantise", str(tiny), "-o", str(tmp_path / "new.gguf"))
    assert "there are auto, q4_0" in refused("quantise", str(tiny), "--type", "q9")


def test_json_is_one_object(tiny, measured):
    result = call("model", "add", str(tiny), "--json")
    assert json.loads(result.stdout)["speed"] == SPEED
    assert result.stdout.count("\n") == 1
