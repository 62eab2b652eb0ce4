"""The LoRA: llama.cpp's answers with it are PyTorch's, without it the base's; its loss; going on from a checkpoint."""

import ctypes
import random

import numpy as np
import pytest

from models import adapter
from models.lora_gguf import MODULES, interleaved, write_lora
from models.lora_model import (
    TARGETS,
    Candidates,
    bits_per_char,
    cross_entropy,
    export,
    load_base,
    lora_weights,
    with_lora,
)
from models.lora_text import frequent_tokens, mix, sequences

torch = pytest.importorskip("torch", reason="the adapter is trained with PyTorch; pip install torch")
pytest.importorskip("transformers", reason="the base is read by transformers; pip install transformers")
pytest.importorskip("peft", reason="the adapter is PEFT's; pip install peft")
gguf = pytest.importorskip("gguf", reason="the adapter is written with gguf; pip install gguf")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:transformers", "ignore::DeprecationWarning")

WIDTH, INNER, BLOCKS, HEADS, KV_HEADS, SIZE, VOCABULARY = 64, 96, 2, 4, 2, 16, 128
RANK, ALPHA = 4, 12.0
TOKENS = [3, 77, 12, 12, 101, 5, 64, 9, 30, 31, 8, 127]


def tokenise(text: str) -> list[int]:
    return [ord(character) for character in text]


def write_base(path):
    """A llama-shaped model of random weights, float32, fewer heads for keys than for queries, tied output."""
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(SIZE)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name, outputs, inputs):
        writer.add_tensor(name, rng.normal(0, inputs**-0.5, (outputs, inputs)).astype(np.float32))

    def norm(name):
        writer.add_tensor(name, rng.uniform(0.5, 1.5, WIDTH).astype(np.float32))

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    norm("output_norm.weight")
    for n in range(BLOCKS):
        norm(f"blk.{n}.attn_norm.weight")
        norm(f"blk.{n}.ffn_norm.weight")
        matrix(f"blk.{n}.attn_q.weight", HEADS * SIZE, WIDTH)
        matrix(f"blk.{n}.attn_k.weight", KV_HEADS * SIZE, WIDTH)
        matrix(f"blk.{n}.attn_v.weight", KV_HEADS * SIZE, WIDTH)
        matrix(f"blk.{n}.attn_output.weight", WIDTH, HEADS * SIZE)
        matrix(f"blk.{n}.ffn_gate.weight", INNER, WIDTH)
        matrix(f"blk.{n}.ffn_up.weight", INNER, WIDTH)
        matrix(f"blk.{n}.ffn_down.weight", WIDTH, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class Native:
    """llama.cpp on the model, all of its arithmetic in float32."""

    def __init__(self, path):
        from volition.nodes.text.native import library

        self.api = api = library()
        self.model = api.llama_model_load_from_file(str(path).encode(), api.llama_model_default_params())
        assert self.model
        settings = api.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = 64
        settings.n_threads = settings.n_threads_batch = 1
        settings.type_k = settings.type_v = api.GGML_TYPE_F32
        settings.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = api.llama_init_from_model(self.model, settings)
        assert self.context

    def logits(self):
        api = self.api
        api.llama_memory_clear(api.llama_get_memory(self.context), True)
        batch = api.llama_batch_init(len(TOKENS), 0, 1)
        batch.n_tokens = len(TOKENS)
        for n, token in enumerate(TOKENS):
            batch.token[n], batch.pos[n], batch.n_seq_id[n], batch.logits[n] = token, n, 1, 1
            batch.seq_id[n][0] = 0
        assert api.llama_decode(self.context, batch) == 0
        rows = [
            np.ctypeslib.as_array(api.llama_get_logits_ith(self.context, n), (VOCABULARY,)).copy()
            for n in range(len(TOKENS))
        ]
        api.llama_batch_free(batch)
        return np.stack(rows)

    def load(self, path):
        lora = self.api.llama_adapter_lora_init(self.model, str(path).encode())
        assert lora
        return lora

    def use(self, *adapters):
        array = (self.api.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
        scales = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
        assert self.api.llama_set_adapters_lora(self.context, array, len(adapters), scales) == 0

    def close(self):
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)


def peft_logits(model):
    with torch.inference_mode():
        return model(torch.tensor([TOKENS])).logits[0].numpy()


@pytest.fixture(scope="module", autouse=True)
def no_progress_bars():
    """Theirs start a thread that stays."""
    tqdm = pytest.importorskip("tqdm", reason="transformers needs it").tqdm
    before, tqdm.monitor_interval = tqdm.monitor_interval, 0
    yield
    tqdm.monitor_interval = before


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base") / "base.gguf")


@pytest.fixture
def native(base):
    native = Native(base)
    yield native
    native.close()


@pytest.fixture
def model(base):
    """The base in PyTorch with a LoRA that has something to say."""
    model = with_lora(load_base(base), RANK, ALPHA)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in lora_weights(model).items():
            if "lora_B" in name:
                value.normal_(0, 0.05, generator=generator)
    return model


@pytest.mark.slow
def test_llama_cpp_answers_with_the_adapter_as_peft_does(native, model, tmp_path):
    before = native.logits()
    with model.disable_adapter():
        # Our forward stands for PEFT's, which alone knows of disabled adapters.
        for module in model.modules():
            module.__dict__.pop("forward", None)
        np.testing.assert_allclose(before, peft_logits(model), atol=1e-4)
    expected = peft_logits(model)
    assert np.abs(expected - before).max() > 0.1
    export(model, tmp_path / "lora.gguf", ALPHA, exact=True)
    lora = native.load(tmp_path / "lora.gguf")
    native.use(lora)
    np.testing.assert_allclose(native.logits(), expected, atol=1e-4)
    native.use()
    np.testing.assert_array_equal(native.logits(), before)
    native.use(lora)
    np.testing.assert_allclose(native.logits(), expected, atol=1e-4)


@pytest.mark.slow
def test_queries_and_keys_are_turned_as_the_base_is(native, model, tmp_path):
    """Without it llama.cpp takes the file all the same, and answers something else."""
    export(model, tmp_path / "right.gguf", ALPHA, exact=True)
    tensors = {}
    for name, value in lora_weights(model).items():
        module, _, which = name.split(".layers.")[1].partition(".lora_")
        tensors.setdefault(module, {})[which[0]] = value.detach().numpy()
    straight = {key: (pair["A"], pair["B"]) for key, pair in tensors.items()}
    write_lora(tmp_path / "wrong.gguf", straight, ALPHA, SIZE * HEADS // 2, SIZE * KV_HEADS // 2, "x", exact=True)
    native.use(native.load(tmp_path / "wrong.gguf"))
    assert np.abs(native.logits() - peft_logits(model)).max() > 0.01


@pytest.mark.slow
def test_the_small_file_is_nearly_exact(native, model, tmp_path):
    export(model, tmp_path / "small.gguf", ALPHA)
    kinds = {tensor.name[-6:]: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "small.gguf").tensors}
    assert kinds == {"lora_a": "Q8_0", "lora_b": "F16"}
    before = native.logits()
    native.use(native.load(tmp_path / "small.gguf"))
    expected = peft_logits(model)
    assert np.abs(native.logits() - expected).max() < 0.05 * np.abs(expected - before).max()


@pytest.mark.slow
def test_our_forward_is_pefts(model):
    ours = peft_logits(model)
    for module in model.modules():
        module.__dict__.pop("forward", None)
    np.testing.assert_allclose(ours, peft_logits(model), atol=1e-5)


@pytest.mark.slow
def test_bits_per_char_is_that_of_each_phrase_alone(model):
    phrases = ["a", "bcd", "hello there", "hi you"]
    nats = 0.0
    for phrase in phrases:
        tokens = torch.tensor([tokenise("frame\n" + phrase)])
        with torch.inference_mode():
            logs = model(tokens).logits[0].double().log_softmax(-1)
        nats -= sum(float(logs[n - 1, tokens[0, n]]) for n in range(6, tokens.shape[1]))
    expected = nats / np.log(2) / sum(map(len, phrases))
    assert bits_per_char(model, tokenise, phrases, "frame\n") == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint_as_if_it_had_not_stopped(base, tmp_path, monkeypatch):
    def endless(folder, languages, seed, lower):
        rng = random.Random(seed)
        while True:
            words = ["".join(rng.choices("abcdefgh ", k=rng.randint(3, 12))) for _ in range(6)]
            yield "".join(word + "\n" for word in words)

    monkeypatch.setattr(adapter, "documents", endless)
    settings = adapter.Settings(rank=RANK, alpha=ALPHA, length=24, rows=2, frequent=40, sampled=16)

    def trainer():
        return adapter.Trainer(with_lora(load_base(base), RANK, ALPHA), settings, tokenise, tmp_path)

    whole, part = trainer(), trainer()
    losses = [whole.train(1e-3) for _ in range(4)]
    assert [part.train(1e-3) for _ in range(2)] == losses[:2]
    part.save(tmp_path / "checkpoint.safetensors")
    again = trainer()
    assert adapter.saved_settings(tmp_path / "checkpoint.safetensors") == settings
    again.load(tmp_path / "checkpoint.safetensors")
    again.skip()
    assert again.tokens == 2 * 2 * 24
    assert [again.train(1e-3) for _ in range(2)] == losses[2:]
    for value, other in zip(whole.weights.values(), again.weights.values(), strict=True):
        assert torch.equal(value, other)


def loss_parts(n, vocabulary):
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(n, 16, generator=generator, requires_grad=True)
    head = torch.randn(vocabulary, 16, generator=generator)
    targets = torch.randint(0, vocabulary, (n,), generator=generator)
    return hidden, head, targets


def test_the_loss_over_all_tokens_is_cross_entropy():
    hidden, head, targets = loss_parts(300, 50)  # more than one part
    candidates, offset, places = Candidates(np.arange(5), 50, 50)(targets.numpy(), np.random.default_rng(0))
    parts = map(torch.from_numpy, (places, candidates, offset))
    loss = cross_entropy(hidden, head, *parts)
    (gradient,) = torch.autograd.grad(loss, hidden)
    expected = torch.nn.functional.cross_entropy(hidden @ head.T, targets)
    (right,) = torch.autograd.grad(expected, hidden)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, right)


def test_a_sample_of_the_rare_tokens_stands_for_all_of_them():
    """Equal logits: then any sample gives the whole sum, and the loss is exact."""
    hidden, head, targets = loss_parts(20, 400)
    head = head[:1].expand(400, 16)
    candidates, offset, places = Candidates(np.arange(30), 400, 8)(targets.numpy(), np.random.default_rng(0))
    assert len(candidates) == len(set(candidates)) < 100
    np.testing.assert_array_equal(candidates[places], targets.numpy())
    loss = cross_entropy(hidden, head, *map(torch.from_numpy, (places, candidates, offset)))
    assert float(loss.detach()) == pytest.approx(np.log(400), rel=1e-5)


def test_interleaved_rows_pair_each_with_its_partner():
    rows = np.arange(16)[:, None]  # two heads of eight: 0 turns with 4, 1 with 5, ...
    assert interleaved(rows, 2)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


def test_every_linear_layer_has_a_name_in_llama_cpp():
    assert {name.partition(".")[2] for name in MODULES} == set(TARGETS)


def test_sequences_begin_with_a_line_and_lose_nothing_in_between():
    documents = ["ab\ncde\n", "f\n", "ghij\nk\n", "lmnop\n"]
    found = [(bytes(tokens).decode(), first) for tokens, first in sequences(documents, tokenise, 7)]
    assert found == [("ab\ncde\nf", 1), ("ghij\nk\nl", 1)]


def test_frequent_tokens_are_counted():
    assert frequent_tokens([([5, 5, 2], 0), ([2, 5, 9], 0)], 2).tolist() == [2, 5]


def test_mixed_lines_keep_their_style_and_leave_long_ones_out():
    lower = ["".join(f"line {n} {k}\n" for k in range(5)) for n in range(100)]
    cased = ["".join(f"Line {n} {k}.\n" for k in range(5)) for n in range(100)]
    long = ["x" * 90 + "\n"] * 20
    documents = [document for pair in zip(lower, cased, strict=True) for document in pair] + long
    found = list(mix(documents, 1.0, random.Random(0), pool=40))
    lines = [line for document in found for line in document.splitlines(keepends=True)]
    assert len(lines) == len(set(lines)) > 900
    assert set(lines) <= {line for document in lower + cased for line in document.splitlines(keepends=True)}
    assert all(len({line[0] for line in document.splitlines()}) == 1 for document in found)
    assert lines != sorted(lines)
    assert list(mix(documents, 0.0, random.Random(0))) == documents
