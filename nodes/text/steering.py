"""Adapters and control vectors: what shifts a model's weights and activations at run time.

llama.cpp accepts some of these settings and does not apply them, so each one proves itself on the logits of a
canary prompt; one that changed nothing is named.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volition.core import LoadError

CANARY = "i would like to"
_SAME = 1e-6
"""Logits that differ by less did not change."""


@dataclass(frozen=True)
class Steering:
    """What shifts the model.

    Attributes
    ----------
    adapters
        LoRA files (GGUF) and their scales, in order.
    control
        A control vector (GGUF) and its scale; None for none.
    bias
        Words and what is added to the log-probability of each, in nats.
    """

    adapters: tuple[tuple[str, float], ...] = ()
    control: tuple[str, float] | None = None
    bias: tuple[tuple[str, float], ...] = ()

    @property
    def weights(self) -> tuple[Any, ...]:
        """What a cached prompt depends on: adapters, scales and the control vector."""
        return (tuple((path, scale) for path, scale in self.adapters if scale), self.control)

    @classmethod
    def of(
        cls,
        adapters: Mapping[str, float] | Sequence[str] = (),
        control: Mapping[str, float] | None = None,
        bias: Mapping[str, float] | None = None,
    ) -> Steering:
        """From what is written in YAML: ``{file: scale}`` or a list of files; one control vector at most.

        Raises
        ------
        LoadError
            When there is more than one control vector.
        """
        scaled = adapters if isinstance(adapters, Mapping) else dict.fromkeys(adapters, 1.0)
        if control and len(control) > 1:
            raise LoadError(f"one control vector at a time, not {len(control)}: {', '.join(control)}")
        return cls(
            tuple((str(path), float(scale)) for path, scale in scaled.items()),
            next(iter((str(path), float(scale)) for path, scale in control.items()), None) if control else None,
            tuple((str(word), float(nats)) for word, nats in (bias or {}).items()),
        )


class Wheel:
    """Applies a steering to a context of llama.cpp.

    Attributes
    ----------
    steering
        What is in force.
    """

    def __init__(self, api: Any, model: Any, context: Any):
        self._api = api
        self._model = model
        self._context = context
        self._adapters: dict[str, Any] = {}  # loaded; the model frees them
        self.steering = Steering()

    def turn(self, steering: Steering) -> None:
        """Put a steering in force.

        Raises
        ------
        LoadError
            When a file cannot be read or does not fit the model.
        """
        chosen = [(self._load(path), scale) for path, scale in steering.adapters if scale]
        control = None if steering.control is None else self._control(*steering.control)
        self._set_adapters(chosen)
        self._set_control(control)
        self.steering = steering

    def _load(self, path: str) -> Any:
        from volition.nodes.text.native import forget_log, last_log

        if path not in self._adapters:
            forget_log()
            if not Path(path).expanduser().is_file():
                raise LoadError(f"adapter {path!r}: no such file")
            adapter = self._api.llama_adapter_lora_init(self._model, str(Path(path).expanduser()).encode())
            if not adapter:
                raise LoadError(f"adapter {path!r} does not fit the model: {last_log()}")
            self._adapters[path] = adapter
        return self._adapters[path]

    def _set_adapters(self, chosen: Sequence[tuple[Any, float]]) -> None:
        adapters = (self._api.llama_adapter_lora_p_ctypes * len(chosen))(*(adapter for adapter, _ in chosen))
        scales = (ctypes.c_float * len(chosen))(*(scale for _, scale in chosen))
        if self._api.llama_set_adapters_lora(self._context, adapters, len(chosen), scales):
            raise LoadError("llama.cpp refused the adapters")

    def _control(self, path: str, scale: float) -> np.ndarray:
        vector = scale * control_vector(path)
        shape = (self._api.llama_model_n_layer(self._model) - 1, self._api.llama_model_n_embd(self._model))
        if vector.shape != shape:
            raise LoadError(f"control vector {path!r} has the shape {vector.shape}, the model wants {shape}")
        return np.ascontiguousarray(vector, dtype=np.float32)

    def _set_control(self, vector: np.ndarray | None) -> None:
        if vector is None:
            self._api.llama_set_adapter_cvec(self._context, None, 0, 0, 0, 0)
            return
        layers, width = vector.shape
        data = vector.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if self._api.llama_set_adapter_cvec(self._context, data, vector.size, width, 1, layers):
            raise LoadError("llama.cpp refused the control vector")


def control_vector(path: str) -> np.ndarray:
    """A control vector, float32, shape (layers, width): row n is added after block n + 1.

    Parameters
    ----------
    path
        A GGUF file with tensors ``direction.1`` and so on, as llama.cpp's tools write them.

    Raises
    ------
    LoadError
        When the file is none.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise LoadError(f"control vector {path!r}: no such file")
    try:
        from gguf import GGUFReader

        tensors = {t.name: np.asarray(t.data, dtype=np.float32) for t in GGUFReader(file).tensors}
    except (ValueError, OSError, IndexError) as error:
        raise LoadError(f"control vector {path!r} cannot be read: {error}") from None
    rows = {int(name.split(".")[1]): row for name, row in tensors.items() if name.startswith("direction.")}
    if not rows:
        raise LoadError(f"control vector {path!r} holds no tensors named direction.1 and so on")
    vector = np.zeros((max(rows), len(next(iter(rows.values())))), dtype=np.float32)
    for layer, row in rows.items():
        vector[layer - 1] = row
    return vector


def prove(model: Any, steering: Steering) -> list[str]:
    """Put a steering in force and say which of its settings changed no logits.

    Parameters
    ----------
    model
        A ``LanguageModel``.

    Returns
    -------
    A sentence for each setting that had no effect.
    """
    canary = [[*model.opening, *model.tokenise(CANARY)]]

    def logits(trial: Steering) -> np.ndarray:
        model.steer(trial)
        row: np.ndarray = model.prefill(canary)
        return row

    base = logits(Steering())
    idle = []
    for path, scale in steering.adapters:
        if scale and np.abs(logits(Steering(adapters=((path, scale),))) - base).max() < _SAME:
            idle.append(f"the adapter {path} changes nothing: llama.cpp took it and did not apply it")
    if steering.control is not None and steering.control[1]:
        path, scale = steering.control
        if np.abs(logits(Steering(control=(path, scale))) - base).max() < _SAME:
            idle.append(f"the control vector {path} changes nothing: llama.cpp took it and did not apply it")
    unknown = [word for word, _ in steering.bias if not model.tokenise(word)]
    idle += [f"the biased word {word!r} has no tokens" for word in unknown]
    model.steer(steering)
    return idle
