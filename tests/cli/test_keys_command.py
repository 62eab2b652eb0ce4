"""``volition keys``: pairs that the bus can use."""

import os
import stat

import pytest

from tests.cli.command import answer, call
from volition.core import keys


def test_a_pair_for_the_server_and_one_for_a_reader(tmp_path):
    folder = tmp_path / "keys"
    server = answer("keys", "new", "server", "--folder", str(folder))
    reader = answer("keys", "new", "ann", "--folder", str(folder))
    assert keys.load(folder, "server")[0] == keys.load_public(folder, "server")
    assert server["public"] == str(folder / "server.key")
    assert "server.key" in reader["next"]
    if os.name == "posix":
        assert stat.S_IMODE(os.stat(reader["secret"]).st_mode) == 0o600
    listed = answer("keys", "list", "--folder", str(folder))
    assert listed["keys"] == [
        {"name": "ann", "secret": True, "let_in": True},
        {"name": "server", "secret": True, "let_in": False},
    ]
    assert "let in" in call("keys", "list", "--folder", str(folder)).stdout


def test_no_keys_yet_says_what_to_do(tmp_path):
    assert "volition keys new server" in call("keys", "list", "--folder", str(tmp_path)).stdout


@pytest.mark.parametrize("name", ["ann", "../evil"])
def test_a_name_that_is_taken_or_none_is_a_sentence(name, tmp_path):
    call("keys", "new", "ann", "--folder", str(tmp_path))
    result = call("keys", "new", name, "--folder", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: keys: ")
    assert result.stderr.count("\n") == 1


def test_the_secret_is_not_printed(tmp_path):
    result = call("keys", "new", "server", "--folder", str(tmp_path))
    _, secret = keys.load(tmp_path, "server")
    assert secret.decode() not in result.output
