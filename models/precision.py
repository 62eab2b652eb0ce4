"""Which numbers a processor multiplies matrices in most quickly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SIZE = 512
_TIMES = 4
_WORTH = 1.3
"""How much quicker bfloat16 has to be: casting costs something, too."""


def quick_dtype() -> torch.dtype:
    """bfloat16 where this processor multiplies it much faster than float32, else float32; measured.

    Processors with bfloat16 instructions are four times as fast with it, others half as fast.
    """
    import torch  # only here: what trains can be imported without it

    slow, quick = (min(_seconds(dtype) for _ in range(_TIMES)) for dtype in (torch.float32, torch.bfloat16))
    return torch.bfloat16 if quick * _WORTH < slow else torch.float32


def _seconds(dtype: torch.dtype) -> float:
    import torch

    matrix = torch.ones(_SIZE, _SIZE, dtype=dtype)
    begin = time.perf_counter()
    for _ in range(_TIMES):
        torch.nn.functional.linear(matrix, matrix)
    return time.perf_counter() - begin
