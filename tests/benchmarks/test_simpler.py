"""How much simpler a model may be: cut files are whole models, prompts end with the frame, results are kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.simpler import curves
from benchmarks.simpler.__main__ import main
from benchmarks.simpler.cut import cut_model
from benchmarks.simpler.page import _depth as depth_lines
from benchmarks.simpler.prompts import everyday_lines, prompt_of
from benchmarks.store import Store
from tests.lab.tiny_gguf import LAYERS, WIDTH, tiny_model
from volition.core import LoadError
from volition.lab.gguf import read_card
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.prompt import EVERYDAY

VOCABULARY = "tokenizer.ggml.tokens"
PHRASES = ["i am in", "you win", "open the window please", "what is in there", "i win again", "no thank you"]


# Cut models


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("simpler") / "whole.gguf")


def test_a_cut_model_has_the_first_blocks_and_all_else(whole, tmp_path):
    gguf = pytest.importorskip("gguf")
    path = cut_model(whole, tmp_path / "cut.gguf", 1)
    before, after = read_card(whole), read_card(path)
    assert before.facts["llama.block_count"] == LAYERS
    assert after.facts == {**before.facts, "llama.block_count": 1}
    assert after.tensors == tuple(tensor for tensor in before.tensors if not tensor.name.startswith("blk.1."))
    values = {tensor.name: tensor.data for tensor in gguf.GGUFReader(whole).tensors}
    for tensor in gguf.GGUFReader(path).tensors:
        np.testing.assert_array_equal(tensor.data, values[tensor.name])
    tokens = [field.contents() for file in (whole, path) for field in [gguf.GGUFReader(file).fields[VOCABULARY]]]
    assert tokens[0] == tokens[1]


def logits(path):
    model = LanguageModel(path, threads=1)
    try:
        return model.prefill([model.tokenise("i am in")])
    finally:
        model.close()


def test_a_cut_model_loads_and_says_something_else(whole, tmp_path):
    pytest.importorskip("llama_cpp")
    first, all_ = (logits(cut_model(whole, tmp_path / f"{keep}.gguf", keep)) for keep in (1, LAYERS))
    np.testing.assert_array_equal(all_, logits(whole))
    assert np.isfinite(first).all()
    assert np.abs(first - all_).max() > 0.01


def test_quantised_weights_are_copied_as_they_are(tmp_path):
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType.Q4_0
    writer = gguf.GGUFWriter(tmp_path / "whole.gguf", "llama")
    writer.add_block_count(2)
    for n in range(2):
        weights = np.random.default_rng(n).normal(size=(4, WIDTH)).astype(np.float32)
        writer.add_tensor(f"blk.{n}.ffn_up.weight", gguf.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path = cut_model(tmp_path / "whole.gguf", tmp_path / "cut.gguf", 1)
    before, (after,) = (gguf.GGUFReader(file).tensors for file in (tmp_path / "whole.gguf", path))
    assert (after.name, after.tensor_type, list(after.shape)) == ("blk.0.ffn_up.weight", kind, [WIDTH, 4])
    np.testing.assert_array_equal(after.data, before[0].data)


@pytest.mark.parametrize("keep", [0, LAYERS + 1])
def test_blocks_that_are_not_there_cannot_be_kept(whole, tmp_path, keep):
    with pytest.raises(LoadError, match=f"{keep} blocks cannot be kept of {LAYERS}"):
        cut_model(whole, tmp_path / "cut.gguf", keep)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_model_is_named(tmp_path):
    pytest.importorskip("gguf")
    path = tmp_path / "text.gguf"
    path.write_bytes(b"no model at all, only some text")
    with pytest.raises(LoadError, match=r"text\.gguf"):
        cut_model(path, tmp_path / "cut.gguf", 1)


# Prompts


def test_the_frame_is_last_and_no_phrase_is_told():
    frame = EVERYDAY.lower.splitlines()
    lines = everyday_lines()
    assert lines[-len(frame) :] == frame
    assert len(lines) == len(set(lines)) > 900
    assert lines[5] not in everyday_lines([lines[5].capitalize() + "."])


def test_whole_lines_fit_into_a_prompt():
    def tokenise(text):
        return list(text.encode())

    assert prompt_of(["a", "b"], 100, tokenise) == (tokenise("a\nb\n"), 2)
    assert prompt_of(["a", "b"], 3, tokenise) == (tokenise("b\n"), 1)
    assert prompt_of(["a", "long"], 3, tokenise) == (tokenise("ng\n"), 1)


# Results


def test_a_result_is_measured_once_for_its_inputs(tmp_path):
    path, made = tmp_path / "results.json", []

    def measure():
        made.append(len(made))
        return {"value": made[-1]}

    assert Store(path).get("a", {"n": 1}, measure) == {"value": 0}
    assert Store(path).get("a", {"n": 1}, measure) == {"value": 0}
    assert Store(path).get("a", {"n": 2}, measure) == {"value": 1}
    assert Store(path, render=True).get("a", {"n": 3}, measure) == {"value": 1}
    assert Store(path, render=True).get("b", {}, measure) is None
    assert made == [0, 1]
    path.write_text("{")
    with pytest.raises(LoadError, match="delete the file"):
        Store(path)


# All of it


@pytest.fixture
def tiny(whole, tmp_path, monkeypatch):
    """The command on a tiny model in place of SmolLM2, and a phrase set."""
    pytest.importorskip("llama_cpp")
    pytest.importorskip("matplotlib")

    def find(name):
        if name == curves.EMBEDDED:
            raise LoadError("not there")
        return whole

    monkeypatch.setattr(curves, "find_model", find)
    monkeypatch.setattr(curves, "original_model", find)
    monkeypatch.setattr(curves, "default_adapters", lambda name: {})
    monkeypatch.setattr(curves, "requantised", lambda source, folder: source)
    monkeypatch.setattr(curves, "BLOCKS", (LAYERS, 1))
    monkeypatch.setattr(curves, "TOKENS", (16, 64))
    phrases = tmp_path / "text" / "phrases"
    phrases.mkdir(parents=True)
    (phrases / "comm2_lower.txt").write_text("\n".join(PHRASES))
    (tmp_path / "tiny.arpa").write_text(
        "\\1-grams:\n"
        + "".join(f"-1.4\t{c}\n" for c in [*"abcdefghijklmnopqrstuvwxyz", "<sp>", "<s>"])
        + "\\2-grams:\n-0.5 i <sp>\n"
    )
    arguments = ["--data", str(tmp_path / "text"), "--limit", "4", "--hits", "2", "--out", str(tmp_path / "docs")]
    return [*arguments, "--folder", str(tmp_path / "cache"), "--arpa", str(tmp_path / "tiny.arpa")]


@pytest.mark.slow
def test_the_page_and_its_plots_are_written_and_written_again(tiny, tmp_path, capsys):
    assert main(tiny) == 0
    page = (tmp_path / "docs" / "simpler.md").read_text()
    pictures = sorted(path.name for path in (tmp_path / "docs").glob("*.png"))
    assert pictures == [f"simpler-{name}.png" for name in ("context", "depth", "parameters", "words")]
    assert all(f"({name})" in page for name in pictures)
    assert "SmolLM2-135M has " not in page  # nothing is compared with itself
    for text in (
        "| character 12-gram |",
        "- Keeping 1 of 2 blocks takes ",
        "The embedded model is left out",
        "No healed LoRA for 1 ",
    ):
        assert text in page, text
    assert str(tmp_path) not in page
    known = json.loads((tmp_path / "cache" / "results.json").read_text())
    assert known["parameters: character 12-gram"]["result"]["parameters"] == 29
    capsys.readouterr()
    assert main(tiny) == 0
    assert capsys.readouterr().err == ""  # nothing is measured again
    assert (tmp_path / "docs" / "simpler.md").read_text() == page


def test_healed_models_are_compared_with_a_healed_whole_one():
    def row(model, blocks, bits):
        return {"model": model, "blocks": blocks, "bits": bits, "bits_ci95": [bits, bits], "parameters": 10**6} | {
            "hit": 0.5,
            "hit_ci95": [0.4, 0.6],
        }

    rows = [row(curves.CUT, 30, 1.0), row(curves.CUT, 10, 4.0), row(curves.HEALED, 10, 1.2)]
    _, *alone = depth_lines(rows)
    _, *paired = depth_lines([*rows, row(curves.HEALED, 30, 0.8)])
    assert alone[0].startswith("Keeping 10 of 30 blocks takes 4.0 times the bits per character of all 30;")
    assert "with a healed LoRA takes 20.0 % more bits per character than all 30;" in alone[1]
    assert "with a healed LoRA takes 50.0 % more bits per character than all 30 with one;" in paired[1]
    assert "30 of 30 blocks with a healed LoRA takes 20.0 % fewer bits per character than all 30;" in paired[2]


def test_missing_phrases_are_said(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--folder", str(tmp_path)]) != 0
    assert "comm2_lower.txt" in capsys.readouterr().err
