"""Key files: their rights, their refusals."""

from __future__ import annotations

import stat
import sys

import pytest

from volition.core import BusError
from volition.core.keys import create, load, load_public


def test_a_pair_is_made_and_read(tmp_path):
    folder = tmp_path / "new" / "keys"
    create(folder, "server")
    create(folder, "anna")
    public, secret = load(folder, "server")
    assert load_public(folder, "server") == public
    assert len(public) == len(secret) == 40 and public != secret
    assert sorted(p.name for p in (folder / "clients").iterdir()) == ["anna.key"]
    assert secret not in (folder / "server.key").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_secrets_are_for_their_owner(tmp_path):
    folder = tmp_path / "keys"
    create(folder, "server")
    assert stat.S_IMODE((folder / "server.key_secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "server.key_secret").chmod(0o644)
    with pytest.raises(BusError, match="can be read by others; run `chmod 600"):
        load(folder, "server")


def test_a_pair_is_never_overwritten(tmp_path):
    create(tmp_path, "server")
    before = load(tmp_path, "server")
    with pytest.raises(BusError, match="already"):
        create(tmp_path, "server")
    assert load(tmp_path, "server") == before


@pytest.mark.parametrize("name", ["", "../server", "a/b", "a b"])
def test_odd_names_are_refused(tmp_path, name):
    with pytest.raises(BusError, match="is no name for a key"):
        create(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(BusError, match=r"server\.key_secret is missing; run `volition keys new"):
        load(tmp_path, "server")
    with pytest.raises(BusError, match=r"server\.key is missing; copy it"):
        load_public(tmp_path, "server")
    (tmp_path / "server.key").write_text("nothing")
    with pytest.raises(BusError, match="is no key file"):
        load_public(tmp_path, "server")
