"""Re-packing models: the right types, whole files only, and a choice by speed and bits together."""

import numpy as np
import pytest

from tests.lab.tiny_gguf import tiny_model
from volition.core import LoadError
from volition.lab import quantise
from volition.lab.gguf import read_card
from volition.lab.quantise import SHIPPED, choose, known_choice, prepare, repack
from volition.nodes.text import find

pytest.importorskip("llama_cpp")
MATRIX = "blk.0.ffn_down.weight"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(find.FOLDER, str(tmp_path / "kept"))


@pytest.fixture
def tiny(tmp_path):
    return tiny_model(tmp_path / "tiny.gguf", tied=False)


def weights(path, name):
    gguf = pytest.importorskip("gguf")
    (tensor,) = (t for t in gguf.GGUFReader(path).tensors if t.name == name)
    return gguf.dequantize(tensor.data, tensor.tensor_type)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "type_"), [("q4_0", "Q4_0"), ("iq4_nl", "IQ4_NL"), ("q8_0", "Q8_0")])
def test_types_of_a_copy(tiny, tmp_path, kind, type_):
    parts = []
    target = repack(tiny, tmp_path / "new" / "copy.gguf", kind, parts.append)
    before, after = read_card(tiny), read_card(target)
    assert after.type_of(MATRIX) == type_
    assert after.type_of("token_embd.weight") == after.type_of("output.weight") == "Q8_0"
    assert after.parameters == before.parameters and after.title == before.title
    assert parts and parts == sorted(parts) and parts[-1] == 1.0
    assert [path.name for path in target.parent.iterdir()] == ["copy.gguf"]
    steps = np.abs(weights(tiny, MATRIX)).max() / {"q8_0": 127, "q4_0": 7, "iq4_nl": 5}[kind]
    assert np.abs(weights(target, MATRIX) - weights(tiny, MATRIX)).max() < steps


@pytest.mark.slow
def test_a_low_embedding_stays_as_it_is(tiny, tmp_path):
    low = repack(tiny, tmp_path / "low.gguf", "q8_0")
    assert read_card(repack(low, tmp_path / "half.gguf", "f16")).type_of("token_embd.weight") == "Q8_0"


def test_what_cannot_be_done_is_a_sentence(tiny, tmp_path, monkeypatch):
    with pytest.raises(LoadError, match="no type 'q9'; there are q4_0"):
        repack(tiny, tmp_path / "copy.gguf", "q9")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(quantise.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(LoadError, match="re-packing wants"):
        repack(tiny, tmp_path / "copy.gguf", "q8_0")


@pytest.mark.slow
def test_a_failure_leaves_nothing_behind(tmp_path):
    path = tiny_model(tmp_path / "tiny.gguf", "zlama")
    with pytest.raises(LoadError, match="could not re-pack"):
        repack(path, tmp_path / "out" / "copy.gguf", "q8_0")
    assert list((tmp_path / "out").iterdir()) == []


def row(kind, menu, bits):
    return {"type": kind, "cached_menu_ms": menu, "bits_per_char": bits}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("a", 100.0, 1.0), row("b", 50.0, 1.014)], "b"),  # quicker, and little worse
        ([row("a", 100.0, 1.0), row("b", 50.0, 1.016)], "a"),  # worse
        ([row("a", 100.0, 1.1), row("b", 50.0, 1.0)], "b"),  # better in both
        ([row("a", 100.0, 1.01), row("b", 96.0, 1.012), row("c", 103.0, 1.0)], "c"),  # alike in time
    ],
)
def test_the_choice(rows, expected):
    assert choose(rows)["type"] == expected


def measured(monkeypatch, **figures):
    """Replace measuring: milliseconds and bits by type."""

    def compare(path, kind, adapters=None, *, threads=0, progress=None):
        menu, bits = figures[kind.replace(" ", "_")]
        return row(kind, menu, bits)

    monkeypatch.setattr(quantise, "compare", compare)
    monkeypatch.setattr(quantise, "repack", lambda source, target, kind, progress: target.write_bytes(kind.encode()))


def test_the_best_takes_its_place_alone(tiny, tmp_path, monkeypatch):
    measured(monkeypatch, as_shipped=(100, 1.0), q4_0=(50, 1.2), iq4_nl=(52, 1.01), q8_0=(70, 1.0))
    folder = tmp_path / "copies"
    folder.mkdir()
    answer = prepare(tiny, lambda kind: folder / f"{kind}.gguf")
    assert answer["chosen"] == "iq4_nl" and answer["rows"][0]["type"] == SHIPPED
    assert [path.name for path in folder.iterdir()] == ["iq4_nl.gguf"]
    assert answer["path"] == str(folder / "iq4_nl.gguf")
    assert known_choice(tiny)["chosen"] == "iq4_nl"
    adapter = tmp_path / "new.gguf"
    adapter.write_bytes(b"another adapter")
    assert known_choice(tiny, {str(adapter): 1.0}) is None  # under which another type may be the best


def test_the_file_as_it_is_may_be_the_best(tiny, tmp_path, monkeypatch):
    measured(monkeypatch, as_shipped=(40, 1.0), q4_0=(50, 1.2), iq4_nl=(52, 1.01), q8_0=(70, 1.0))
    answer = prepare(tiny, lambda kind: tmp_path / f"{kind}.gguf")
    assert answer["chosen"] == SHIPPED and answer["path"] == str(tiny)
    assert [path.name for path in tmp_path.glob("*.gguf")] == ["tiny.gguf"]


def test_a_type_that_was_asked_for_is_made(tiny, tmp_path, monkeypatch):
    measured(monkeypatch, as_shipped=(40, 1.0), q6_k=(80, 2.0))
    answer = prepare(tiny, lambda kind: tmp_path / f"{kind}.gguf", "q6_k")
    assert answer["chosen"] == "q6_k" and (tmp_path / "q6_k.gguf").read_bytes() == b"q6_k"
    assert known_choice(tiny) is None


@pytest.mark.slow
def test_all_of_it_on_a_tiny_model(tiny, tmp_path):
    parts = []
    answer = prepare(tiny, lambda kind: tmp_path / "out.gguf", kinds=("q8_0",), threads=1, progress=parts.append)
    assert [r["type"] for r in answer["rows"]] == [SHIPPED, "q8_0"]
    assert all(r["bits_per_char"] > 1 and r["step_5_ms"] > 0 for r in answer["rows"])
    assert parts == sorted(parts) and parts[0] > 0 and parts[-1] <= 1
