"""Write a LoRA as a GGUF file that llama.cpp loads beside its base model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What llama.cpp calls the linear layers of a block."""


def interleaved(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in the order of llama.cpp, shape (heads * size, any).

    Rotary embedding turns pairs of rows: transformers pairs row i of a head with row i + size / 2, llama.cpp's
    llama architecture with the row beside it.
    """
    size = len(rows) // heads
    return rows.reshape(heads, 2, size // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def write_lora(
    path: Path,
    tensors: Mapping[str, tuple[np.ndarray, np.ndarray]],
    alpha: float,
    heads: int,
    kv_heads: int,
    base_name: str,
    exact: bool = False,
) -> None:
    """Write an adapter for a model of llama.cpp's llama architecture.

    Its effect is y += alpha / rank * B A x.

    Parameters
    ----------
    path : path
    tensors : mapping of str to (A, B)
        By ``"block.module"``, such as ``"0.self_attn.q_proj"``: A, shape (rank, inputs), and B, shape (outputs,
        rank), as transformers orders their rows.
    alpha : float
    heads, kv_heads : int
        Attention heads of queries, and of keys and values.
    base_name : str
        Of the model that it belongs to.
    exact : bool
        Keep float32; otherwise A is written as Q8_0 and B, whose rows are too short for that, as float16.
    """
    import gguf

    quantised = gguf.GGMLQuantizationType.F32 if exact else gguf.GGMLQuantizationType.Q8_0
    part = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(part, "llama")
    writer.add_type("adapter")
    writer.add_name(path.stem)
    writer.add_string("general.base_model.0.name", base_name)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for key, (a, b) in tensors.items():
        block, _, module = key.partition(".")
        name = f"blk.{block}.{MODULES[module]}.weight"
        turned = {"attn_q": heads, "attn_k": kv_heads}.get(MODULES[module])
        b = interleaved(b, turned) if turned else b
        data = gguf.quantize(np.ascontiguousarray(a, dtype=np.float32), quantised)
        writer.add_tensor(f"{name}.lora_a", data, raw_dtype=quantised)
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(b, dtype=np.float32 if exact else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(path)
