"""Re-pack a model for this processor: other types of weights, the quickest that still foresees text as well.

Which type is quick depends on what llama.cpp has for a processor: on x86 it keeps Q4_0 in an order of its own,
which evaluates a prompt in less than half the time of Q4_1.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from volition.core import LoadError
from volition.lab.child import Progress, in_child
from volition.lab.everyday import LINES
from volition.lab.gguf import TYPE_NUMBERS, Card, read_card
from volition.lab.speed import measure
from volition.nodes.text.find import keep_measurement, measurement

AUTO = "auto"
SHIPPED = "as shipped"
CANDIDATES = ("q4_0", "iq4_nl", "q8_0")
"""What ``choose`` tries beside the file as it is."""

WORSE = 1.015
"""The quickest may need this multiple of the fewest bits a character."""

LIKE = 1.1
"""Times that differ by less are alike: other programs disturb them."""

KINDS = {
    "q4_0": "Q4_0",
    "q4_1": "Q4_1",
    "iq4_nl": "IQ4_NL",
    "q4_k_s": "Q4_K_S",
    "q4_k_m": "Q4_K_M",
    "q5_0": "Q5_0",
    "q5_1": "Q5_1",
    "q5_k_m": "Q5_K_M",
    "q6_k": "Q6_K",
    "q8_0": "Q8_0",
    "f16": "F16",
    "bf16": "BF16",
}
"""The types that a model can be re-packed to, and llama.cpp's names for them."""

_UNWEIGHTED = ("q8_0", "f16", "bf16")
_BETTER_THAN_Q8 = ("F32", "F16", "BF16", "F64")
_TIMEOUT = 3600.0
_TENSOR = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")
_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_HEADROOM = 50_000_000


def repack(source: Path, target: Path, kind: str, progress: Progress | None = None) -> Path:
    """Write ``source`` with its weights in another type; ``target`` appears when it is whole.

    The token embedding, and an output of its own, stay as they are, at most Q8_0: small models lose most there.
    All inputs of a matrix count alike, and saying so makes llama.cpp search for better scales than without.

    Parameters
    ----------
    kind
        A key of ``KINDS``.

    Raises
    ------
    LoadError
        When the source is no model, there is no room, or llama.cpp fails.
    """
    if kind not in KINDS:
        raise LoadError(f"no type {kind!r}; there are {', '.join(KINDS)}")
    card = read_card(source)
    _check_room(card, target)
    with _part_of(target) as part:
        values: dict[str, Any] = {"source": os.path.abspath(source), "target": os.path.abspath(part), "kind": kind}
        values |= {"embedding": _kept(card, "token_embd.weight"), "output": _kept(card, "output.weight")}
        values["weighted"] = kind not in _UNWEIGHTED
        in_child("quantise", values, f"{source} as {kind}", _TIMEOUT, progress)
        read_card(part)
        part.replace(target)
    return target


def _kept(card: Card, name: str) -> str:
    """The type that the embedding or the output keeps; without an output, the embedding is both."""
    kind = card.type_of(name) or card.type_of("token_embd.weight")
    return "Q8_0" if kind in _BETTER_THAN_Q8 else kind


def _check_room(card: Card, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise LoadError(f"cannot write to {target.parent}: {error.strerror}") from None
    if free < 2 * card.size + _HEADROOM:  # the types with the most bytes double a file of four bits
        raise LoadError(f"{target.parent} has {free / 1e9:.1f} GB free; re-packing wants {2 * card.size / 1e9:.1f} GB")


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """A name beside ``target`` to write to; what is left there is removed."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
    except OSError as error:
        raise LoadError(f"cannot write {target}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def compare(
    path: Path,
    kind: str,
    adapters: Mapping[str, float] | None = None,
    *,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What re-packing is judged by: size, speed and bits a character of everyday sentences.

    Parameters
    ----------
    adapters
        LoRA files that the model runs with, and their scales.

    Returns
    -------
    dict
        ``type``, ``size_bytes``, ``prompt_ms``, ``step_5_ms``, ``cached_menu_ms`` (the best of a few times, as
        other programs may be busy), ``bits_per_char``.
    """
    halves = _portions(progress, 2)
    speed = measure(path, adapters, threads=threads, keep=kind == SHIPPED, progress=halves[0])
    values = {"path": os.path.abspath(path), "threads": speed["threads"], "adapters": speed["adapters"]}
    bits = in_child("bits", values, str(path), _TIMEOUT, halves[1])["bits_per_char"]
    times = {name: speed[f"{name}_min"] for name in ("prompt_ms", "step_5_ms", "cached_menu_ms")}
    return {"type": kind, "size_bytes": path.stat().st_size, **times, "bits_per_char": round(bits, 4)}


def choose(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The quickest menu among the rows of ``compare`` that need few bits; of those alike, the one with the fewest."""
    fewest = min(row["bits_per_char"] for row in rows)
    good = [row for row in rows if row["bits_per_char"] <= WORSE * fewest]
    quickest = min(row["cached_menu_ms"] for row in good)
    alike = [row for row in good if row["cached_menu_ms"] <= LIKE * quickest]
    return min(alike, key=lambda row: row["bits_per_char"])


def prepare(
    source: Path,
    target: Callable[[str], Path],
    kind: str = AUTO,
    *,
    adapters: Mapping[str, float] | None = None,
    kinds: Sequence[str] = CANDIDATES,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Re-pack a model and measure it before and after.

    Parameters
    ----------
    source
        A GGUF file; it is not changed.
    target
        Gives the place of the new file, by its type; with ``auto`` there is none when the source is the best.
    kind
        A key of ``KINDS``, or ``auto`` for what ``choose`` takes of ``kinds`` and the source.
    adapters
        LoRA files that the model runs with, and their scales.
    threads
        Of llama.cpp; 0 for the number that the program chooses here.

    Returns
    -------
    dict
        ``chosen``, ``path``, ``rows`` as ``compare`` gives them, the source first.
    """
    own = read_card(source).quantisation.lower()
    tried = [name for name in (kinds if kind == AUTO else [kind]) if name != own or kind != AUTO]
    shares = _portions(progress, 2 * len(tried) + 1)
    rows = [compare(source, SHIPPED, adapters, threads=threads, progress=shares[0])]
    parts: dict[str, Path] = {}
    try:
        for n, name in enumerate(tried):
            place = target(name)
            parts[name] = place.with_name(f".{place.name}.{os.getpid()}.{name}.gguf")
            repack(source, parts[name], name, shares[2 * n + 1])
            rows.append(compare(parts[name], name, adapters, threads=threads, progress=shares[2 * n + 2]))
        chosen = choose(rows) if kind == AUTO else rows[-1]
        path = source
        if chosen["type"] in parts:
            path = parts[chosen["type"]].replace(target(chosen["type"]))
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    answer = {"chosen": chosen["type"], "rows": rows, "adapters": _known_by(adapters)}
    if kind == AUTO:
        keep_measurement(source, {**(measurement(source) or {}), "choice": answer})
    return answer | {"path": str(path)}


def known_choice(source: Path, adapters: Mapping[str, float] | None = None) -> dict[str, Any] | None:
    """What ``prepare`` with ``auto`` chose for a file here, under the same adapters; None when it has to try."""
    found = (measurement(source) or {}).get("choice")
    known = isinstance(found, dict) and found.get("adapters") == _known_by(adapters)
    return found if known else None


def _known_by(adapters: Mapping[str, float] | None) -> dict[str, float]:
    """Adapters by what is in their files, and their scales."""
    return {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]: scale for path, scale in (adapters or {}).items()}


def _portions(progress: Progress | None, n: int) -> list[Progress]:
    """Reports on ``n`` equal parts of the whole, one after the other."""
    report = progress or (lambda part: None)
    return [lambda part, start=k: report((start + part) / n) for k in range(n)]  # type: ignore[misc]


# In the child


def work(values: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Re-pack in this process; see ``repack``."""
    from volition.nodes.text.native import forget_log, last_log, library

    api = library()
    forget_log()
    complaints: list[str] = []

    def listen(level: int, text: bytes, _: Any) -> None:
        line = text.decode(errors="replace").strip()
        if level == _ERROR:
            complaints.append(line)
        found = _TENSOR.search(line)
        if found:
            progress(int(found[1]) / int(found[2]))

    callback = api.llama_log_callback(listen)
    api.llama_log_set(callback, None)
    settings = api.llama_model_quantize_default_params()
    settings.nthread = os.cpu_count() or 1
    settings.ftype = getattr(api, f"LLAMA_FTYPE_MOSTLY_{KINDS[values['kind']]}")
    settings.allow_requantize = True
    settings.token_embedding_type = TYPE_NUMBERS[values["embedding"]]
    settings.output_tensor_type = TYPE_NUMBERS[values["output"]]
    if values["weighted"]:
        weights = _weights(read_card(values["source"]))
        rows = (api.llama_model_imatrix_data * (len(weights) + 1))()  # the last one has no name
        for row, (name, row_weights) in zip(rows, weights.items(), strict=False):
            row.name, row.size = name.encode(), row_weights.size
            row.data = row_weights.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        settings.imatrix = ctypes.cast(rows, type(settings.imatrix))
    code = api.llama_model_quantize(values["source"].encode(), values["target"].encode(), ctypes.byref(settings))
    if code:
        raise LoadError(f"llama.cpp could not re-pack it: {'; '.join(complaints[-2:]) or last_log()}")
    return {}


def _weights(card: Card) -> dict[str, np.ndarray]:
    """One for each input of each matrix, float32, shape (inputs * experts,)."""
    weights = {}
    for tensor in card.tensors:
        if len(tensor.shape) < 2 or not tensor.name.endswith(".weight"):
            continue
        n_experts = tensor.shape[2] if len(tensor.shape) > 2 else 1
        weights[tensor.name] = np.ones(tensor.shape[0] * n_experts, np.float32)
    return weights


def work_bits(values: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Bits a character of the everyday sentences, in this process."""
    from volition.lab.lm import evaluate

    adapters, threads = values["adapters"], values["threads"]
    answer = evaluate(LINES, values["path"], adapters, n_hits=0, threads=threads, progress=progress)
    return {"bits_per_char": answer["bits_per_char"]}
