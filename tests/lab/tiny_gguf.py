"""Makes GGUF files of tiny models with random weights, written by the ``gguf`` package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

WIDTH, HEADS, INNER, LAYERS, CONTEXT = 64, 2, 128, 2, 512
BASE = "".join(map(chr, [*range(33, 127), *range(161, 173), *range(174, 256)]))


def alphabet() -> list[str]:
    """The 256 letters that stand for bytes in a byte-level vocabulary, in the order of GPT-2's table."""
    return [*BASE, *(chr(256 + n) for n in range(256 - len(BASE)))]


def tiny_model(path: Path, architecture: str = "llama", *, tied: bool = True, file_type: int = 0) -> Path:
    """Write a model with two blocks, a byte-level vocabulary and weights in f32.

    Parameters
    ----------
    architecture
        llama, qwen2 or qwen3, or anything else with the tensors of llama.
    tied
        Whether the embedding is the output, too.
    """
    gguf = pytest.importorskip("gguf")
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_license("mit")
    writer.add_languages(["en", "ru"])
    writer.add_file_type(file_type)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    tokens = [*alphabet(), "in", "<|endoftext|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 1) + [3])
    writer.add_token_merges(["i n"])
    writer.add_eos_token_id(len(tokens) - 1)
    for name, shape in _shapes(architecture, len(tokens), tied).items():
        ones = name.endswith("norm.weight")
        values = np.ones(shape) if ones else rng.normal(0, 0.1, shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(architecture: str, n_vocab: int, tied: bool) -> dict[str, tuple[int, ...]]:
    head = WIDTH // HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (n_vocab, WIDTH), "output_norm.weight": (WIDTH,)}
    if not tied:
        shapes["output.weight"] = (n_vocab, WIDTH)
    for n in range(LAYERS):
        block = {
            "attn_norm.weight": (WIDTH,),
            "attn_q.weight": (WIDTH, WIDTH),
            "attn_k.weight": (head, WIDTH),
            "attn_v.weight": (head, WIDTH),
            "attn_output.weight": (WIDTH, WIDTH),
            "ffn_norm.weight": (WIDTH,),
            "ffn_gate.weight": (INNER, WIDTH),
            "ffn_up.weight": (INNER, WIDTH),
            "ffn_down.weight": (WIDTH, INNER),
        }
        if architecture == "qwen2":
            block |= {"attn_q.bias": (WIDTH,), "attn_k.bias": (head,), "attn_v.bias": (head,)}
        if architecture == "qwen3":
            block |= {"attn_q_norm.weight": (head,), "attn_k_norm.weight": (head,)}
        shapes |= {f"blk.{n}.{name}": shape for name, shape in block.items()}
    return shapes
