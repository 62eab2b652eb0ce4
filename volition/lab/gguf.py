"""What a GGUF file says of itself, read without native code.

The layout is that of llama.cpp's format description, versions 2 and 3: magic, version, number of tensors and of
pairs; the pairs; name, shape, type and offset of each tensor; padding; the tensors. The ``gguf`` package reads
it, too, but takes seconds over a large vocabulary and raises whatever comes on a damaged file.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from volition.core import LoadError

TRIED = {"llama": "Llama, TinyLlama, SmolLM", "qwen2": "Qwen2, Qwen2.5", "qwen3": "Qwen3"}
"""Architectures that were tried with this program, and the families that use them."""

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_KEPT = 64  # longer arrays, such as the vocabulary, count by their length

# Numbers of value types.
_STRING, _ARRAY = 8, 9
_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))

# Name, elements of a block, bytes of a block (ggml's type traits).
_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}

TYPE_NUMBERS = {name: number for number, (name, _, _) in _TYPES.items()}

# What the maker called the mixture of types (general.file_type).
_MIXTURES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"} | {
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    30: "IQ4_XS",
    32: "BF16",
}


class Tensor(NamedTuple):
    """One tensor: ``shape`` as stored, the longest contiguous axis first; ``size`` in bytes."""

    name: str
    shape: tuple[int, ...]
    type: str
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        product = 1
        for axis in self.shape:
            product *= axis
        return product


@dataclass(frozen=True)
class Card:
    """What a GGUF file says of the model in it.

    Attributes
    ----------
    path, size
        The file, and its bytes.
    facts
        The file's pairs; long arrays by their length.
    tensors
        In the order of the file.
    """

    path: Path
    size: int
    facts: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def title(self) -> str:
        """What the maker called the model; empty when the file does not say."""
        return str(self.facts.get("general.name", ""))

    @property
    def architecture(self) -> str:
        """As llama.cpp calls it."""
        return str(self.facts.get("general.architecture", ""))

    @property
    def parameters(self) -> int:
        """How many numbers all tensors hold."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def quantisation(self) -> str:
        """The mixture of types by its name, or the type of most weights."""
        named = _MIXTURES.get(self.number("general.file_type", -1))
        if named is not None:
            return named
        sizes = self.types
        return max(sizes, key=lambda name: sizes[name])

    def number(self, key: str, otherwise: int = 0) -> int:
        """A whole number of the file; of a list, its length."""
        value = self.facts.get(key, otherwise)
        if isinstance(value, list):
            return len(value)
        return value if isinstance(value, int) else otherwise

    @property
    def types(self) -> dict[str, int]:
        """Bytes by type of tensor."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            sizes[tensor.type] = sizes.get(tensor.type, 0) + tensor.size
        return sizes

    @property
    def context(self) -> int:
        """How many tokens the model was trained for; 0 when the file does not say."""
        return self.number(f"{self.architecture}.context_length")

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.number("tokenizer.ggml.tokens")

    @property
    def licence(self) -> str:
        """As the maker gave it; empty when the file does not say."""
        return str(self.facts.get("general.license", ""))

    @property
    def languages(self) -> list[str]:
        """As the maker gave them."""
        found = self.facts.get("general.languages", [])
        return [str(language) for language in found] if isinstance(found, list) else []

    @property
    def step_bytes(self) -> int:
        """Bytes of weights that are read to evaluate one token.

        Of an embedding that is not the output, too, one row is looked up; of experts only those that a token
        is sent to.
        """
        tied = all(tensor.name != "output.weight" for tensor in self.tensors)
        experts = self.number(f"{self.architecture}.expert_count")
        used = self.number(f"{self.architecture}.expert_used_count")
        total = 0.0
        for tensor in self.tensors:
            if tensor.name == "token_embd.weight" and not tied:
                continue
            share = used / experts if experts and "_exps." in tensor.name else 1.0
            total += share * tensor.size
        return round(total)

    def type_of(self, name: str) -> str:
        """The type of a tensor by its name; empty when there is none."""
        return next((tensor.type for tensor in self.tensors if tensor.name == name), "")

    def as_dict(self) -> dict[str, Any]:
        """What the card says, in plain values."""
        return {
            "path": str(self.path),
            "architecture": self.architecture,
            "tried": self.architecture in TRIED,
            "title": self.title,
            "parameters": self.parameters,
            "quantisation": self.quantisation,
            "bytes_by_type": self.types,
            "size_bytes": self.size,
            "step_bytes": self.step_bytes,
            "context_trained": self.context,
            "vocabulary": self.vocabulary,
            "licence": self.licence,
            "languages": self.languages,
        }


class _EndError(Exception):
    """The file ends within its list of contents, or that makes no sense."""


class _Cursor:
    """Reads values one after the other."""

    def __init__(self, data: mmap.mmap):
        self._data = data
        self.at = 0

    def take(self, form: str) -> Any:
        """One value of a ``struct`` format, little-endian."""
        try:
            (value,) = struct.unpack_from(f"<{form}", self._data, self.at)
        except struct.error:
            raise _EndError from None
        self.at += struct.calcsize(f"<{form}")
        return value

    def skip(self, n: int) -> None:
        """Go on by ``n`` bytes."""
        if n > len(self._data) - self.at:
            raise _EndError
        self.at += n

    def text(self) -> str:
        """A string."""
        n = self.take("Q")
        start = self.at
        self.skip(n)
        return self._data[start : self.at].decode(errors="replace")

    def value(self, kind: int) -> Any:
        """A value of a numbered type; of a long array, its length."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise _EndError
        return self.take(_SCALARS[kind])

    def _array(self) -> Any:
        kind, n = self.take("I"), self.take("Q")
        if kind == _ARRAY:  # lists of lists are in no model
            raise _EndError
        if n <= _KEPT:
            return [self.value(kind) for _ in range(n)]
        if kind in _SCALARS:
            self.skip(n * struct.calcsize(f"<{_SCALARS[kind]}"))
        elif kind == _STRING:
            for _ in range(n):
                self.skip(self.take("Q"))
        else:
            raise _EndError
        return int(n)


def read_card(path: str | Path) -> Card:
    """The card of a GGUF file, after a look at whether a model is in it and all of it is there.

    Raises
    ------
    LoadError
        When the file is none, is cut off or damaged, or holds something else than a whole model.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            magic = file.read(len(_MAGIC))
            if magic != _MAGIC:
                # A download that has just begun, too.
                what = "empty" if not size else "not a GGUF file; llama.cpp reads models in that format only"
                raise LoadError(f"{path}: {what}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                card, end = _card(path, size, _Cursor(data))
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None
    if end > size:
        raise LoadError(f"{path}: cut off, {size:,} of {end:,} bytes are there; copy or download it again")
    return card


def _card(path: Path, size: int, cursor: _Cursor) -> tuple[Card, int]:
    """The card, and where the last tensor ends."""
    try:
        cursor.skip(len(_MAGIC))
        version = cursor.take("I")
        if version not in _VERSIONS:
            raise LoadError(f"{path}: GGUF version {version}, and llama.cpp reads 2 and 3; take a newer file")
        n_tensors, n_facts = cursor.take("Q"), cursor.take("Q")
        if n_tensors == 0:
            raise LoadError(f"{path}: holds a vocabulary and no weights; take the file with the whole model")
        facts: dict[str, Any] = {}
        for _ in range(n_facts):
            key = cursor.text()
            facts[key] = cursor.value(cursor.take("I"))
        _refuse(path, facts)
        rows = [_row(cursor) for _ in range(n_tensors)]
    except _EndError:
        raise LoadError(f"{path}: cut off or damaged within its first part; copy or download it again") from None
    alignment = facts.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise LoadError(f"{path}: damaged, with an alignment of {alignment!r}; copy or download it again")
    start = -(-cursor.at // alignment) * alignment
    tensors, end = _tensors(rows, start, size)
    return Card(path, size, facts, tensors), end


def _refuse(path: Path, facts: Mapping[str, Any]) -> None:
    """Raise ``LoadError`` for what is no whole model."""
    kind = facts.get("general.type", "model")
    if kind == "adapter":
        raise LoadError(f"{path}: an adapter, not a model; name it under `adapters:` beside the model that it is for")
    if kind != "model":
        raise LoadError(f"{path}: a part of another model ({kind}), not a language model by itself")
    if not facts.get("general.architecture"):
        raise LoadError(f"{path}: does not name its architecture; take the file from its maker")
    parts = facts.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise LoadError(f"{path}: one of {parts} parts; join them with `llama-gguf-split --merge`")


def _row(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """Name, shape, type and offset of a tensor."""
    name = cursor.text()
    n_axes = cursor.take("I")
    if n_axes > 4:  # GGML_MAX_DIMS
        raise _EndError
    shape = tuple(cursor.take("Q") for _ in range(n_axes))
    return name, shape, cursor.take("I"), cursor.take("Q")


def _tensors(
    rows: list[tuple[str, tuple[int, ...], int, int]], start: int, size: int
) -> tuple[tuple[Tensor, ...], int]:
    """The tensors, and where the last of them ends; a type that is not known here reaches to its neighbour."""
    offsets = sorted({offset for *_, offset in rows})
    following = dict(zip(offsets, [*offsets[1:], max(size - start, 0)], strict=True))
    tensors, end = [], start
    for name, shape, number, offset in rows:
        kind, elements, block = _TYPES.get(number, (f"type {number}", 0, 0))
        tensor = Tensor(name, shape, kind, following[offset] - offset)
        if elements:
            tensor = tensor._replace(size=tensor.elements // elements * block)
        tensors.append(tensor)
        end = max(end, start + offset + tensor.size)
    return tuple(tensors), end
