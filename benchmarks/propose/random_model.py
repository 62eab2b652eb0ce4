"""Models of random weights, written as GGUF: speed depends on the shape, not on what was learned.

The blocks are those of ggml's Q4_0: 32 weights share a float16 scale d, and a weight is d (q - 8), q in 0..15.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

_BLOCK = 32
_SPREAD = np.sqrt(56 / 3)
"""Standard deviation of q - 8 for q drawn evenly from 1..15; with q = 0 the mean would not be 0."""

_LOGIT_SPREAD = 4.0
"""Of the logits, so that the likeliest of 150,000 tokens have some hundredths each, as after real text."""

_ROWS = 8192  # drawn at a time


@dataclass(frozen=True)
class Shape:
    """The sizes of a model of the Qwen3 architecture."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int
    rope_base: float
    context: int = 1024


QWEN3_06B = Shape(151_936, 1024, 28, 16, 8, 128, 3072, 1e6)
"""Qwen3-0.6B (Yang et al. 2025, arXiv:2505.09388)."""

EMBEDDED = Shape(8192, 384, 6, 6, 2, 64, 1024, 1e4)
"""The model that comes with the program, English and Russian."""


def random_model(name: str, shape: Shape, folder: str | Path | None = None) -> Path:
    """The file of a random model, written when it is not there yet, by default in the user's cache folder."""
    place = Path(folder) if folder else platformdirs.user_cache_path("volition", appauthor=False) / "benchmarks"
    path = place.expanduser() / f"{name}-q4_0.gguf"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, shape)
    return path


def write(path: Path, shape: Shape, seed: int = 0) -> None:
    """Write a model of random weights; norms are 1."""
    import gguf

    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "qwen3")
    _describe(writer, shape, gguf.LlamaFileType.MOSTLY_Q4_0)
    _add_tokeniser(writer, shape.vocabulary)
    rng = np.random.default_rng(seed)
    kind = gguf.GGMLQuantizationType.Q4_0
    for tensor, (rows, columns) in _matrices(shape):
        spread = _LOGIT_SPREAD / np.sqrt(columns) if tensor == "token_embd" else 1 / np.sqrt(columns)
        writer.add_tensor(f"{tensor}.weight", _blocks(rng, rows, columns, spread), raw_dtype=kind)
    for tensor, size in _norms(shape):
        writer.add_tensor(f"{tensor}.weight", np.ones(size, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def _matrices(shape: Shape) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names and shapes (outputs, inputs); there is no output matrix, since it is the embedding."""
    yield "token_embd", (shape.vocabulary, shape.width)
    heads, shared = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    for layer in range(shape.layers):
        for part, size in (
            ("attn_q", (heads, shape.width)),
            ("attn_k", (shared, shape.width)),
            ("attn_v", (shared, shape.width)),
            ("attn_output", (shape.width, heads)),
            ("ffn_gate", (shape.inner, shape.width)),
            ("ffn_up", (shape.inner, shape.width)),
            ("ffn_down", (shape.width, shape.inner)),
        ):
            yield f"blk.{layer}.{part}", size


def _norms(shape: Shape) -> Iterator[tuple[str, int]]:
    yield "output_norm", shape.width
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm", shape.width
        yield f"blk.{layer}.ffn_norm", shape.width
        yield f"blk.{layer}.attn_q_norm", shape.head_width
        yield f"blk.{layer}.attn_k_norm", shape.head_width


def _blocks(rng: np.random.Generator, rows: int, columns: int, spread: float) -> np.ndarray:
    """Random weights of mean 0 as Q4_0, uint8, shape (rows, 18 columns / 32)."""
    n_blocks = columns // _BLOCK
    data = np.empty((rows, n_blocks, 2 + _BLOCK // 2), dtype=np.uint8)
    data[:, :, :2] = np.array([spread / _SPREAD], dtype="<f2").view(np.uint8)
    for begin in range(0, rows, _ROWS):
        part = data[begin : begin + _ROWS, :, 2:]
        part[:] = rng.integers(1, 16, part.shape, dtype=np.uint8)
        part |= rng.integers(1, 16, part.shape, dtype=np.uint8) << np.uint8(4)
    return data.reshape(rows, -1)


def _describe(writer: Any, shape: Shape, file_type: int) -> None:
    writer.add_name("Random weights, for benchmarks")
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
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(shape.rope_base)


def vocabulary(size: int) -> tuple[list[str], list[str]]:
    """A byte-level vocabulary in which each token is another one and a letter: tokens and merges.

    Tokens are written as GPT-2 does, each byte as a printable character. Number 0 is the end of a text; then
    come all bytes, then strings of one to four letters, those after a space first.
    """
    tokens = ["<|end|>", *_bytes()]
    merges: list[str] = []
    for word in _words():
        if len(tokens) == size:
            return tokens, merges
        tokens.append(word)
        merges.append(f"{word[:-1]} {word[-1]}")
    raise ValueError(f"there are not {size} words of four letters")


def _bytes() -> list[str]:
    """The character that stands for each byte: itself, or one from U+0100 on where it does not print."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    stand_ins = itertools.count(0x100)
    return [chr(byte if byte in printable else next(stand_ins)) for byte in range(256)]


def _words() -> Iterator[str]:
    space = _bytes()[ord(" ")]
    for length in range(1, 5):
        for first in (space, "") if length > 1 else (space,):
            for letters in itertools.product(string.ascii_lowercase, repeat=length):
                yield first + "".join(reversed(letters))  # the first letter changes soonest: all occur


def _add_tokeniser(writer: Any, size: int) -> None:
    import gguf

    tokens, merges = vocabulary(size)
    types = [gguf.TokenType.CONTROL, *[gguf.TokenType.NORMAL] * (size - 1)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
