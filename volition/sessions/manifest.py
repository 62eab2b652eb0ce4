"""The manifest beside a recording: NAME.manifest.json says what made it, with what, and how it ended.

It is written whole at the start and again at the end, each time under another name first, so that it is never
half written. A recording whose manifest has no ``ended`` was cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import volition
from volition.core.clock import SECOND
from volition.core.errors import SessionError

FORMAT_VERSION = 1

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "pyriemann",
    "skops",
    "mne",
    "pylsl",
    "brainflow",
    "timeflux",
    "llama-cpp-python",
    "pyxdf",
    "pyzmq",
)


def manifest_path(session: str | Path) -> Path:
    """Where the manifest of a recording lies.

    >>> manifest_path("evening/one.xdf").name
    'one.manifest.json'
    """
    return Path(session).with_suffix(".manifest.json")


def package_versions(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The installed versions of ``names``, and of Volition; what is not installed is left out."""
    versions = {"volition": volition.__version__}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def new_manifest(
    created_ns: int,
    utc_offset_ns: int | None = None,
    app: str | Mapping[str, Any] | None = None,
    models: Sequence[str | Path] = (),
    seeds: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """A manifest for a recording that begins now.

    Parameters
    ----------
    created_ns
        The time, ns UTC.
    utc_offset_ns
        UTC minus LSL's clock.
    app
        The resolved app: its YAML text, or the same as a dict.
    models
        Model files; their names and SHA-256 are kept.
    seeds
        Seed of each generator.

    Returns
    -------
    dict
        With ``clock_drift`` ([time_ns, drift_ns] pairs) and ``drops`` ({source: count}) still empty.
    """
    seconds, rest = divmod(created_ns, SECOND)
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1000)
    return {
        "format": FORMAT_VERSION,
        "created": moment.isoformat(),
        "versions": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "app": app,
        "models": [{"name": Path(m).name, "sha256": file_sha256(m)} for m in models],
        "seeds": dict(seeds or {}),
        "utc_offset_ns": utc_offset_ns,
        "clock_drift": [],
        "drops": {},
    }


def write_manifest(session: str | Path, manifest: Mapping[str, Any]) -> Path:
    """Write the manifest of the recording ``session``, and give its path."""
    path = manifest_path(session)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise SessionError(f"{path}: the manifest cannot be written: {error.strerror}") from None
    return path


def read_manifest(session: str | Path) -> dict[str, Any]:
    """The manifest of the recording ``session``; empty when there is none.

    Raises
    ------
    SessionError
        When it is there and cannot be read.
    """
    path = manifest_path(session)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SessionError(f"{path}: the manifest cannot be read: {error}") from None
    if not isinstance(manifest, dict):
        raise SessionError(f"{path}: the manifest is no JSON object")
    return manifest


def update_manifest(session: str | Path, **fields: Any) -> dict[str, Any]:
    """Replace ``fields`` in the manifest of the recording ``session``, and give the whole."""
    manifest = {**read_manifest(session), **fields}
    write_manifest(session, manifest)
    return manifest
