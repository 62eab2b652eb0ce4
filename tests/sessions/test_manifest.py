"""The manifest beside a recording."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from volition.core import SessionError
from volition.sessions import new_manifest, read_manifest, update_manifest, write_manifest
from volition.sessions.manifest import manifest_path


def test_what_it_holds(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"weights")
    manifest = new_manifest(1_764_000_000_123_456_789, 5, "graphs: []\n", [model], {"person": 7})
    assert manifest["created"] == "2025-11-24T16:00:00.123456+00:00"
    assert manifest["models"] == [{"name": "m.gguf", "sha256": hashlib.sha256(b"weights").hexdigest()}]
    assert {"volition", "numpy", "pyxdf"} <= set(manifest["versions"])
    assert manifest["seeds"] == {"person": 7} and manifest["utc_offset_ns"] == 5
    path = write_manifest(tmp_path / "evening.xdf", manifest)
    assert path == tmp_path / "evening.manifest.json"
    assert read_manifest(tmp_path / "evening.xdf") == manifest


def test_update_keeps_the_rest_and_leaves_no_part(tmp_path: Path) -> None:
    session = tmp_path / "s.xdf"
    assert read_manifest(session) == {}
    update_manifest(session, app="graphs: []", drops={})
    assert update_manifest(session, drops={"eeg": 3}, ended="clean") == {
        "app": "graphs: []",
        "drops": {"eeg": 3},
        "ended": "clean",
    }
    assert [p.name for p in tmp_path.iterdir()] == ["s.manifest.json"]


def test_a_failed_write_leaves_the_old_one(tmp_path: Path) -> None:
    session = tmp_path / "s.xdf"
    write_manifest(session, {"a": 1})
    with pytest.raises(TypeError):
        write_manifest(session, {"a": object()})
    assert read_manifest(session) == {"a": 1}
    with pytest.raises(SessionError, match="cannot be written"):
        write_manifest(tmp_path / "no" / "s.xdf", {})
    manifest_path(session).write_text("[]")
    with pytest.raises(SessionError, match="no JSON object"):
        read_manifest(session)
