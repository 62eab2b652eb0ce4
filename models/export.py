"""Write the embedded model as a GGUF file that llama.cpp reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from volition.core import LoadError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.network import Network, Shape

KINDS = ("f32", "f16", "q8_0", "q5_1", "q4_0")
"""How matrices are stored; vectors are always float32."""

_PARTS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path: str | Path, network: Network, tokeniser: Tokenizer, kind: str = "q8_0") -> None:
    """Write the weights and the tokeniser; no output matrix, since it is the embedding.

    Parameters
    ----------
    path : path
        The file; replaced when it exists, and left as it was when writing fails.
    network : Network
        The model.
    tokeniser : Tokenizer
        A byte-level BPE that splits as Qwen2 does; its token 0 opens each text.
    kind : str
        One of ``KINDS``.

    Raises
    ------
    LoadError
        For another kind, or a tokeniser with more tokens than the model.
    """
    import gguf

    if kind not in KINDS:
        raise LoadError(f"kind {kind!r}: a model is written as {', '.join(KINDS)}")
    partial = Path(path).with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "qwen3")
    _describe(writer, network.shape, gguf.LlamaFileType[_file_type(kind)])
    _add_tokeniser(writer, tokeniser, network.shape.vocabulary)
    stored = gguf.GGMLQuantizationType[kind.upper()]
    for name, weight in network.state_dict().items():
        array = weight.detach().float().numpy()
        if array.ndim == 1:
            writer.add_tensor(gguf_name(name), array)
        else:
            writer.add_tensor(gguf_name(name), gguf.quantize(array, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def gguf_name(name: str) -> str:
    """The name of a parameter of ``Network`` in a GGUF file.

    >>> gguf_name("layers.3.mlp.up_proj.weight")
    'blk.3.ffn_up.weight'
    """
    if name == "embed_tokens.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    _, number, part = name.removesuffix(".weight").split(".", 2)
    return f"blk.{number}.{_PARTS[part]}.weight"


def _file_type(kind: str) -> str:
    return {"f32": "ALL_F32"}.get(kind, f"MOSTLY_{kind.upper()}")


def _describe(writer: Any, shape: Shape, file_type: int) -> None:
    writer.add_name("Volition embedded")
    writer.add_author("Volition contributors")
    writer.add_license("MIT")
    writer.add_languages(["en", "ru"])
    writer.add_file_type(file_type)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.rope_base)


def _add_tokeniser(writer: Any, tokeniser: Tokenizer, size: int) -> None:
    import gguf

    model = json.loads(tokeniser.to_str())["model"]
    tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    if len(tokens) > size:
        raise LoadError(f"the tokeniser has {len(tokens)} tokens, the model {size}: train them together")
    tokens += [f"<|unused {n}|>" for n in range(len(tokens), size)]
    types = np.full(size, gguf.TokenType.NORMAL)
    types[0] = gguf.TokenType.CONTROL
    types[len(model["vocab"]) :] = gguf.TokenType.UNUSED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types.tolist())
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
