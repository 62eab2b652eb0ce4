"""Cross entropy of a large vocabulary without keeping all of its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CHUNK = 512
"""Tokens at a time: their logits (16 MB of 8,192 tokens) stay in the cache."""


class _CrossEntropy(torch.autograd.Function):
    """The gradients are ready at the end of the forward pass, since each chunk of logits is in the cache then."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        towards_hidden = torch.empty_like(hidden)
        towards_weight = torch.zeros_like(weight, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, len(hidden), _CHUNK):
            h, t = hidden[start : start + _CHUNK], targets[start : start + _CHUNK, None]
            logits = (h @ weight.T).float()
            logits -= logits.amax(1, keepdim=True)
            right = logits.gather(1, t)
            logits.exp_()
            sums = logits.sum(1, keepdim=True)
            total += (sums.log() - right).sum()
            logits /= sums
            logits.scatter_add_(1, t, -torch.ones_like(right))
            slope = logits.to(h.dtype)
            torch.mm(slope, weight, out=towards_hidden[start : start + _CHUNK])
            towards_weight += slope.T @ h
        ctx.save_for_backward(towards_hidden, towards_weight)
        return (total / len(hidden)).float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        towards_hidden, towards_weight = ctx.saved_tensors
        scale = gradients[0] / len(towards_hidden)
        return towards_hidden * scale, (towards_weight * scale).to(towards_hidden.dtype), None


def loss_of(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy in nats of ``hidden @ weight.T`` [..., vocabulary] at ``targets`` [...]; either precision."""
    return _CrossEntropy.apply(hidden.reshape(-1, hidden.shape[-1]), weight, targets.reshape(-1))
