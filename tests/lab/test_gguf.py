"""Cards of GGUF files: what they say, against the ``gguf`` package; what is no whole model is one sentence."""

import random
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data import data_path
from tests.lab.tiny_gguf import CONTEXT, tiny_model
from volition.core import LoadError
from volition.lab import gguf as module
from volition.lab.gguf import read_card
from volition.nodes.text.find import SMOLLM2, original_model


@pytest.fixture(scope="module")
def smollm2():
    try:
        return original_model(SMOLLM2)
    except LoadError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.gguf", "qwen3")


def refusal(path):
    with pytest.raises(LoadError) as caught:
        read_card(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_the_card_of_the_default_model(smollm2):
    card = read_card(smollm2)
    assert card.architecture == "llama" and card.architecture in module.TRIED
    assert card.parameters == 134_515_008  # as its maker counts them
    assert card.quantisation == "Q4_1"
    assert card.context == 8192 and card.vocabulary == 49152
    assert card.licence == "apache-2.0" and card.languages == ["en"]
    assert card.type_of("token_embd.weight") == "Q8_0" and card.type_of("no such") == ""
    assert card.step_bytes == sum(card.types.values())  # the embedding is the output, too


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_against_the_gguf_package(tmp_path, architecture):
    gguf = pytest.importorskip("gguf")
    path = tiny_model(tmp_path / "tiny.gguf", architecture)
    card, reader = read_card(path), gguf.GGUFReader(path)
    assert [(t.name, t.shape, t.type, t.size) for t in card.tensors] == [
        (t.name, tuple(map(int, t.shape)), t.tensor_type.name, int(t.n_bytes)) for t in reader.tensors
    ]
    for key, field in reader.fields.items():
        value = field.contents()
        if key.startswith("GGUF."):
            continue
        known = card.facts[key]
        assert known == (len(value) if isinstance(value, list) and len(value) > 64 else pytest.approx(value, abs=1e-9))
    assert card.context == CONTEXT and card.licence == "mit" and card.languages == ["en", "ru"]


def test_block_sizes_are_those_of_the_gguf_package():
    gguf = pytest.importorskip("gguf")
    for number, (name, elements, size) in module._TYPES.items():
        kind = gguf.GGMLQuantizationType(number)
        assert (kind.name, *gguf.GGML_QUANT_SIZES[kind]) == (name, elements, size)
    for number, name in module._MIXTURES.items():
        assert gguf.LlamaFileType(number).name in (f"MOSTLY_{name}", f"ALL_{name}")


def test_what_a_step_reads(tmp_path):
    tied, untied = (read_card(tiny_model(tmp_path / f"{n}.gguf", tied=n == 1)) for n in (1, 2))
    assert untied.size > tied.size
    assert untied.step_bytes == tied.step_bytes  # the embedding is looked up then


def test_of_experts_only_those_that_are_used():
    facts = {"general.architecture": "moe", "moe.expert_count": 8, "moe.expert_used_count": 2}
    tensors = (
        module.Tensor("output.weight", (32, 100), "F16", 6400),
        module.Tensor("token_embd.weight", (32, 100), "F16", 6400),
        module.Tensor("blk.0.ffn_up_exps.weight", (32, 64, 8), "F16", 32768),
    )
    card = module.Card(None, 0, facts, tensors)
    assert card.step_bytes == 6400 + 32768 // 4
    assert card.quantisation == "F16"


def test_files_without_weights():
    for name in ("gpt-2", "llama-spm", "bert-bge"):
        path = data_path(f"models/ggml-vocab-{name}.gguf")
        assert refusal(path) == "holds a vocabulary and no weights; take the file with the whole model"


@pytest.mark.parametrize("size", [0, 3, 4, 10, 23, 24, 1000, 200_000, 1_700_000])
def test_the_default_model_cut_off_early(smollm2, tmp_path, size):
    path = tmp_path / "cut.gguf"
    with smollm2.open("rb") as file:
        path.write_bytes(file.read(size))
    assert refusal(path).startswith(("empty", "not a GGUF file", "cut off"))


def test_a_cut_says_how_much_is_there(tiny, tmp_path):
    whole = tiny.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole[:-1])
    assert refusal(path) == f"cut off, {len(whole) - 1:,} of {len(whole):,} bytes are there; copy or download it again"


def test_random_bytes(tmp_path):
    path = tmp_path / "random.gguf"
    path.write_bytes(random.Random(0).randbytes(10_000))
    assert refusal(path).startswith("not a GGUF file")
    path.write_bytes(b"GGUF" + random.Random(0).randbytes(10_000))
    assert "GGUF version" in refusal(path)
    path.write_bytes(b"GGUF" + struct.pack("<I", 3) + random.Random(0).randbytes(10_000))
    assert refusal(path).startswith("cut off or damaged")


def test_no_file_and_a_folder(tmp_path):
    assert refusal(tmp_path / "none.gguf") == "No such file or directory"
    assert refusal(tmp_path) == "Is a directory"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("general.type", "adapter", "an adapter, not a model"),
        ("general.type", "mmproj", "a part of another model"),
        ("split.count", 3, "one of 3 parts"),
        ("general.alignment", 0, "damaged, with an alignment of 0"),
    ],
)
def test_what_is_no_whole_model(tmp_path, key, value, sentence):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "part.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    if isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_uint32(key, value)
    writer.add_tensor("x", np.zeros(4, np.float32))
    if key == "general.alignment":
        writer.data_alignment = 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert refusal(path).startswith(sentence)


@pytest.mark.slow
@given(st.data())
def test_damaged_bytes_give_a_card_or_a_sentence(tiny, tmp_path_factory, data):
    whole = bytearray(tiny.read_bytes()[:6000])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "m.gguf"
    path.write_bytes(bytes(whole) + tiny.read_bytes()[6000:])
    try:
        read_card(path).as_dict()
    except LoadError as error:
        assert "\n" not in str(error)
