"""A base model from a GGUF file in PyTorch, a LoRA on it, its loss and its worth in bits a character."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.lora_gguf import write_lora
from models.lora_text import Tokeniser
from volition.lab.quantise import repack
from volition.nodes.text.prompt import EVERYDAY

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All linear layers; llama.cpp applies no adapter to norms."""


def requantised(source: Path, folder: Path) -> Path:
    """The Q4_0 copy of a GGUF file that ``volition model quantise`` makes, made once."""
    target = folder / "base-q4_0.gguf"
    return target if target.exists() else repack(source, target, "q4_0")


def load_base(path: Path, dtype: Any = None) -> Any:
    """The GGUF file as a frozen transformers model, dequantised to float32 or what ``dtype`` says."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    )
    return model.requires_grad_(False).to(dtype or torch.float32)


def with_lora(model: Any, rank: int, alpha: float, seed: int = 0) -> Any:
    """The model with a new LoRA in float32, which changes nothing yet, on each linear layer."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(TARGETS), lora_dropout=0.0)
    model = get_peft_model(model, settings)
    for module in model.modules():
        if hasattr(module, "lora_A"):
            module.forward = partial(_lean, module)
    return model


def _lean(module: Any, x: Any) -> Any:
    """PEFT's arithmetic for one adapter in fewer passes over memory."""
    import torch

    down, up = (part["default"].weight.to(x.dtype) for part in (module.lora_A, module.lora_B))
    low = torch.nn.functional.linear(x, down) * module.scaling["default"]
    base = module.base_layer(x)
    return torch.addmm(base.flatten(0, -2), low.flatten(0, -2), up.T).view(base.shape)


def lora_weights(model: Any) -> dict[str, Any]:
    """What is trained, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def cross_entropy(hidden: Any, head: Any, targets: Any, candidates: Any, offset: Any) -> Any:
    """Mean -log P(target), nats, over a part of the vocabulary; gradients go to ``hidden`` alone.

    Parameters
    ----------
    hidden : tensor, shape (n, width)
    head : tensor, shape (vocabulary, width)
        The frozen output layer.
    targets : int64 tensor, shape (n,)
        Positions in ``candidates``.
    candidates : int64 tensor, shape (c,)
        Distinct tokens.
    offset : tensor, shape (c,)
        Added to their logits: the log of how many tokens each one stands for.
    """
    import torch

    class Loss(torch.autograd.Function):
        # The logits are large: they live in parts, and their gradient is made at once.
        @staticmethod
        def forward(ctx: Any, states: Any) -> Any:
            weights = head[candidates]
            gradient = torch.empty_like(states)
            total = 0.0
            for begin in range(0, len(states), 256):
                part = slice(begin, begin + 256)
                logits = (states[part] @ weights.T).float() + offset
                logits -= logits.logsumexp(1, keepdim=True)
                wanted = targets[part, None]
                total -= float(logits.gather(1, wanted).sum())
                slope = logits.exp_().scatter_add_(1, wanted, logits.new_full(wanted.shape, -1.0))
                gradient[part] = slope.to(weights.dtype) @ weights
            ctx.save_for_backward(gradient / len(states))
            return torch.tensor(total / len(states), device=states.device)

        @staticmethod
        def backward(ctx: Any, upstream: Any) -> Any:
            return ctx.saved_tensors[0] * upstream

    return Loss.apply(hidden)


class Candidates:
    """Tokens that a loss is taken over: the frequent ones, the targets, and a sample for all the others."""

    def __init__(self, frequent: np.ndarray, vocabulary: int, sampled: int):
        self._frequent, self._vocabulary, self._sampled = frequent, vocabulary, sampled

    def __call__(self, targets: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Candidates, how many tokens each stands for (log), and where the targets are among them."""
        certain = np.union1d(self._frequent, targets)
        others = np.setdiff1d(np.arange(self._vocabulary), certain, assume_unique=True)
        sample = rng.choice(others, min(self._sampled, len(others)), replace=False, shuffle=False)
        offset = np.zeros(len(certain) + len(sample), dtype=np.float32)
        offset[len(certain) :] = math.log(max(1, len(others)) / max(1, len(sample)))
        return np.concatenate([certain, sample]), offset, np.searchsorted(certain, targets)


def bits_per_char(model: Any, tokenise: Tokeniser, phrases: Sequence[str], frame: str = EVERYDAY.lower) -> float:
    """Bits a character of phrases after a frame: canonical tokens, no end symbol, spaces count."""
    import torch
    from transformers import DynamicCache

    opening = torch.tensor([tokenise(frame)], device=model.device)
    tokens = sorted((tokenise(phrase) for phrase in phrases), key=len)
    nats = 0.0
    with torch.inference_mode():
        for begin in range(0, len(tokens), 32):
            part = tokens[begin : begin + 32]
            cache = DynamicCache(config=model.config)
            before = model(opening, cache=cache, use_cache=True).logits[:, -1:]
            cache.batch_repeat_interleave(len(part))
            width = max(map(len, part))
            padded = torch.tensor([row + [0] * (width - len(row)) for row in part], device=model.device)
            logits = before.expand(len(part), -1, -1)
            if width > 1:
                logits = torch.cat([logits, model(padded[:, :-1], cache=cache).logits], 1)
            losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), padded, reduction="none")
            used = torch.arange(width) < torch.tensor([len(row) for row in part])[:, None]
            nats += float(losses.double().cpu()[used].sum())
    return nats / math.log(2) / sum(map(len, phrases))


def export(model: Any, path: Path, alpha: float, exact: bool = False) -> None:
    """Write the adapter as a GGUF file for llama.cpp."""
    pairs: dict[str, dict[str, np.ndarray]] = {}
    for name, value in lora_weights(model).items():
        module, _, which = name.split(".layers.")[1].partition(".lora_")
        pairs.setdefault(module, {})[which[0]] = value.detach().cpu().numpy()
    tensors = {module: (pair["A"], pair["B"]) for module, pair in pairs.items()}
    config = model.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    write_lora(path, tensors, alpha, heads, kv_heads, "SmolLM2-135M-Instruct", exact)
