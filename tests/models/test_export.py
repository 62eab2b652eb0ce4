import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
gguf = pytest.importorskip("gguf", reason="gguf is not installed")

from models import train  # noqa: E402 - nothing of it can be imported without torch
from models.export import write_gguf  # noqa: E402
from models.network import Network, Shape  # noqa: E402
from volition.core import LoadError  # noqa: E402
from volition.nodes.text.llama import LanguageModel  # noqa: E402

F32 = 0
"""GGML_TYPE_F32"""

TEXTS = [
    "i would like a cup of tea please\nno thanks\n",
    "Я хочу домой, пожалуйста. Ёлка!\n",
    "mixed смешанный text123 and 4.5€ don't DON'T i'll",
    "  two  spaces\t tab\r\n\n\nlines  \n x",
    "emoji 😀👍🏽 ﬁ İ ǅ 漢字 ١٢٣ é é \u00a0nbsp\u200bzero",
    "он сказал:«да»--и ушёл...?! (c) http://x.y/z?a=b&c",
    "'s 'S 're a's б'т ''' <|endoftext|> <unk>",
]


@pytest.fixture(scope="module")
def tokeniser():
    return train.train_tokeniser([text for text in TEXTS for _ in range(20)], 700)


@pytest.fixture(scope="module")
def network():
    network = Network(Shape(vocabulary=704, width=64, layers=3, heads=2, kv_heads=1, head_width=32, inner=96))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in network.parameters():
            around = 1.0 if weight.ndim == 1 else 0.0
            weight.copy_(around + 0.15 * torch.randn(weight.shape, generator=generator))
    return network


@pytest.fixture(scope="module")
def model(tmp_path_factory, network, tokeniser):
    path = tmp_path_factory.mktemp("model") / "small.gguf"
    write_gguf(path, network, tokeniser, "f32")
    model = LanguageModel(path, threads=1)
    yield model
    model.close()


@pytest.mark.parametrize("text", TEXTS)
def test_llama_cpp_cuts_text_into_the_same_tokens(model, tokeniser, text):
    plain = tokenizers.Tokenizer.from_str(tokeniser.to_str())
    plain.encode_special_tokens = True  # what a person types is never a control token
    ids = plain.encode(text).ids
    assert model.tokenise(text) == ids
    assert model.detokenise(ids) == tokeniser.decode(ids, skip_special_tokens=False) == text


def test_a_text_opens_with_the_end_of_the_one_before(model):
    assert model.opening == [0]


@pytest.mark.slow
def test_llama_cpp_computes_what_was_trained(model, network, tokeniser):
    ids = [0, *tokeniser.encode(TEXTS[0] + TEXTS[1]).ids]
    assert len(ids) > 20
    with torch.no_grad():
        ours = network.logits(network(torch.tensor([ids])))[0].numpy()
    # Keys and values are kept as float16 unless told otherwise, and that alone costs a thousandth.
    llama = llama_cpp.Llama(
        str(model.path), n_ctx=64, n_threads=1, logits_all=True, type_k=F32, type_v=F32, verbose=False
    )
    llama.eval(ids)
    np.testing.assert_allclose(llama.scores[: len(ids)], ours, atol=1e-4)
    llama.close()
    logp = torch.log_softmax(torch.tensor(ours[-1]).double(), -1)
    np.testing.assert_allclose(model.prefill([ids]), logp, atol=5e-3)


@pytest.mark.slow
def test_it_is_the_qwen3_of_transformers(network):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    shape = network.shape
    settings = transformers.Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_width,
        intermediate_size=shape.inner,
        rms_norm_eps=shape.epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_base},
        tie_word_embeddings=True,
    )
    theirs = transformers.Qwen3ForCausalLM(settings)
    state = {f"model.{name}": weight for name, weight in network.state_dict().items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert unexpected == []
    assert missing == ["lm_head.weight"]  # tied
    ids = torch.arange(40).reshape(2, 20)
    with torch.no_grad():
        torch.testing.assert_close(network.logits(network(ids)), theirs(ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_smaller_kinds_say_nearly_the_same(tmp_path, network, tokeniser, model, kind):
    path = tmp_path / "small.gguf"
    write_gguf(path, network, tokeniser, kind)
    smaller = LanguageModel(path, threads=1)
    ids = [0, *tokeniser.encode(TEXTS[0]).ids]
    difference = np.abs(np.exp(smaller.prefill([ids])) - np.exp(model.prefill([ids]))).sum()
    smaller.close()
    assert difference < 0.1
    fields = gguf.GGUFReader(path).fields
    assert fields["general.license"].contents() == "MIT"
    assert fields["general.languages"].contents() == ["en", "ru"]
    assert path.stat().st_size < 0.6 * 4 * sum(p.numel() for p in network.parameters())


def test_another_kind_or_too_many_tokens_is_an_error(tmp_path, network, tokeniser):
    with pytest.raises(LoadError, match="q8_0"):
        write_gguf(tmp_path / "x.gguf", network, tokeniser, "q9")
    small = Network(Shape(vocabulary=320, width=32, layers=1, heads=1, kv_heads=1, head_width=32, inner=32))
    with pytest.raises(LoadError, match="train them together"):
        write_gguf(tmp_path / "x.gguf", small, tokeniser, "f32")
    assert list(tmp_path.glob("*.gguf")) == []
