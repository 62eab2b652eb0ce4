"""Bits per character are what the definition says; hits are counted by hand."""

import numpy as np
import pytest

from tests.cli.command import answer, call
from tests.lab.tiny_gguf import tiny_model
from volition.core import LoadError, NodeError
from volition.lab.lm import evaluate, hits, interval, read_phrases
from volition.lab.score import Scorer
from volition.nodes.text.llama import LanguageModel, log_softmax

pytest.importorskip("llama_cpp")
PHRASES = ["i am in", "i am", "you win", "i am in", "я иду домой"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("lm") / "tiny.gguf", "qwen3")


@pytest.fixture
def model(path):
    model = LanguageModel(path, threads=1)
    yield model
    model.close()


def one_by_one(model, prompt, tokens):
    """The log-probabilities of tokens, each from an evaluation of its own."""
    scores = []
    for n, token in enumerate(tokens):
        row = model.prefill([prompt, *([t] for t in tokens[:n])])
        scores.append(float(log_softmax(row)[token]))
    return scores


def test_a_tree_of_phrases_scores_as_one_by_one(model):
    prompt = model.tokenise("what is it\n")
    phrases = [model.tokenise(text) for text in (*PHRASES, "")]
    scorer = Scorer(model)
    scorer.prompt(prompt)
    for tokens, scores in zip(phrases, scorer(phrases), strict=True):
        np.testing.assert_allclose(scores, one_by_one(model, prompt, tokens), atol=1e-3)
    many = [model.tokenise(f"phrase {n} of many that share a beginning") for n in range(100)]
    together = scorer(many)
    assert all(np.allclose(a, scorer([tokens])[0], atol=1e-3) for a, tokens in zip(together, many, strict=True))
    with pytest.raises(NodeError, match="put one sentence on a line"):
        scorer([[1] * 500])
    scorer.close()
    scorer.close()


def test_bits_per_character_by_hand(path, model, tmp_path):
    found = evaluate(PHRASES, str(path), frame="none", n_hits=0, threads=1)
    nats = sum(sum(one_by_one(model, model.tokenise("\n"), model.tokenise(text))) for text in PHRASES)
    characters = sum(map(len, PHRASES))
    assert found["bits_per_char"] == pytest.approx(-nats / np.log(2) / characters, abs=1e-5)
    assert found["phrases"] == 5 and found["characters"] == characters and found["frame"] == "none"
    assert found["hit_rate_at_3"] is None and found["hit_words"] == 0
    low, high = found["bits_per_char_ci95"]
    assert low < found["bits_per_char"] < high


def test_the_frame_is_in_the_language_of_the_phrases(path):
    assert evaluate(["я иду домой"], str(path), n_hits=0, threads=1)["frame"] == "everyday-ru"


def test_hits_are_counted_by_words():
    offered = {"": ["I", "you", "we", "no", "am"], "i": ["Am", "was"], "i am": ["cold", "so", "very", "fine", "tired"]}
    found = hits(["i am tired!", "you - went"], lambda text: offered.get(text, []))
    assert found.words == 5  # a dash is no word
    assert found.hits == {3: 3, 5: 4}
    assert found.rate(5) == 0.8 and hits([], lambda text: []).rate(3) is None


def test_the_interval_covers_what_is_likely():
    rng = np.random.default_rng(1)
    bits, characters = rng.gamma(20.0, 1.0, 500), np.full(500, 20.0)
    low, high = interval(bits, characters, rng)
    assert low < bits.sum() / 10_000 < high and high - low == pytest.approx(4 * np.sqrt(20 / 500) / 20, rel=0.2)


def test_files_that_hold_no_phrases(tmp_path):
    path = tmp_path / "phrases.txt"
    with pytest.raises(LoadError, match="No such file"):
        read_phrases(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LoadError, match="not UTF-8"):
        read_phrases(path)
    path.write_text("\n \n", "utf-8")
    with pytest.raises(LoadError, match="no line"):
        read_phrases(path)


def test_the_command(path, tmp_path):
    phrases = tmp_path / "phrases.txt"
    phrases.write_text("I am in.\nYou win.\n", "utf-8")
    asked = ["evaluate", "lm", "--phrases", str(phrases), "--model", str(path), "--hits", "1", "--threads", "1"]
    found = answer(*asked)
    assert {"bits_per_char", "hit_rate_at_3", "hit_rate_at_5", "phrases", "frame"} <= set(found)
    assert found["phrases"] == 2 and found["hit_phrases"] == 1 and found["frame_style"] == "cased"
    assert f"{found['bits_per_char']:.3f}" in call(*asked).stdout
    missing = call(*asked, "--adapter", "none.gguf")
    assert missing.exit_code == 2 and "adapter 'none.gguf': no such file" in missing.stderr
