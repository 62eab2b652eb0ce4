"""A small language model of the Qwen3 architecture, for training.

Qwen3 (Yang et al. 2025, arXiv:2505.09388) is a decoder with grouped-query attention, RMS norms before each part
and on each head's queries and keys, rotary positions and a SwiGLU. The output shares the input's embedding. The
layout of the parameters is that of ``transformers``, so that either program's weights fit the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; ``width`` must be a multiple of 32 for Q8_0."""

    vocabulary: int = 8192
    width: int = 384
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    head_width: int = 64
    inner: int = 1024
    context: int = 1024
    rope_base: float = 10000.0
    epsilon: float = 1e-6


class Norm(nn.Module):
    """x / rms(x) times a weight, over the last axis (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.epsilon)
        return (y * self.weight).to(x.dtype)


def rotations(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles, each float32 [length, head_width]."""
    half = torch.arange(0, shape.head_width, 2, dtype=torch.float32)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), shape.rope_base ** (-half / shape.head_width))
    return torch.cat([angles.cos()] * 2, -1), torch.cat([angles.sin()] * 2, -1)


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.float().chunk(2, -1)
    return (x * cosine + torch.cat([-second, first], -1) * sine).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention; each group of query heads shares one key and value head."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        inner, shared = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, inner, bias=False)
        self.k_proj = nn.Linear(shape.width, shared, bias=False)
        self.v_proj = nn.Linear(shape.width, shared, bias=False)
        self.o_proj = nn.Linear(inner, shape.width, bias=False)
        self.q_norm = Norm(shape.head_width, shape.epsilon)
        self.k_norm = Norm(shape.head_width, shape.epsilon)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, _ = x.shape
        by_head = (batch, length, -1, self.shape.head_width)
        q = _rotated(self.q_norm(self.q_proj(x).view(by_head)).transpose(1, 2), cosine, sine)
        k = _rotated(self.k_norm(self.k_proj(x).view(by_head)).transpose(1, 2), cosine, sine)
        v = self.v_proj(x).view(by_head).transpose(1, 2)
        group = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class Gated(nn.Module):
    """SwiGLU (Shazeer 2020)."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.inner, bias=False)
        self.down_proj = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One layer: attention, then the gated network, each added to what came in."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.input_layernorm = Norm(shape.width, shape.epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.width, shape.epsilon)
        self.mlp = Gated(shape)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class Network(nn.Module):
    """Token ids [batch, length] to the last hidden states [batch, length, width]; ``logits`` goes on."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.epsilon)
        cosine, sine = rotations(shape, shape.context)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def initialise(self, seed: int) -> None:
        """Draw the weights; what is added to the residual starts at zero, so that each layer starts as nothing."""
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                spread = 0.02 if "embed" in name else weight.shape[1] ** -0.5 / 2
                nn.init.normal_(weight, std=spread, generator=generator)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        x = self.embed_tokens(tokens)
        if torch.is_autocast_enabled("cpu"):
            x = x.bfloat16()
        for layer in self.layers:
            x = layer(x, self.cosine[:length], self.sine[:length])
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.embed_tokens.weight)
