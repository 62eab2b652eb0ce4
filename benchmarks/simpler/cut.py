"""A model with its last blocks left out, written as GGUF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from volition.core import LoadError


def cut_model(source: Path, target: Path, keep: int) -> Path:
    """Write the first ``keep`` blocks of a model, with everything around them; ``target`` appears when it is whole.

    Embedding, last norm and output, vocabulary and all other pairs stay as they are, and so do the types of
    the weights.

    Parameters
    ----------
    source
        A GGUF file; it is not changed.
    keep
        At least 1, at most the blocks that there are.

    Raises
    ------
    LoadError
        When ``source`` is no model, or ``keep`` is out of bounds.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(source)
    except (OSError, ValueError, IndexError) as error:
        raise LoadError(f"{source}: cannot be read as GGUF: {error}") from None
    architecture = _fact(reader, source, gguf.Keys.General.ARCHITECTURE)
    count = gguf.Keys.LLM.BLOCK_COUNT.format(arch=architecture)
    n_blocks = _fact(reader, source, count)
    if not 1 <= keep <= n_blocks:
        raise LoadError(f"{source}: {keep} blocks cannot be kept of {n_blocks}; keep 1 to {n_blocks}")
    part = target.with_name(f".{target.name}.part")
    writer = gguf.GGUFWriter(part, architecture)
    writer.data_alignment = reader.alignment
    for field in reader.fields.values():
        if field.name == gguf.Keys.General.ARCHITECTURE or field.name.startswith("GGUF."):
            continue  # the writer's own
        value = keep if field.name == count else field.contents()
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        if _block(tensor.name) < keep:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(target)
    return target


def _fact(reader: Any, source: Path, key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise LoadError(f"{source}: does not say its {key}; take the file of a whole model")
    return field.contents()


def _block(name: str) -> int:
    """The number of a tensor's block; -1 outside of all."""
    return int(name.split(".")[1]) if name.startswith("blk.") else -1
