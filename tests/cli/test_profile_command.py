"""``volition profile``: what is shown, moved and forgotten."""

import pytest

from tests.cli.command import answer, call
from volition.nodes.text.profile import Profile, find_profile, sentence


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VOLITION_PROFILE", str(tmp_path / "profile"))
    return tmp_path / "profile"


def write(name, *texts):
    profile = Profile(find_profile(name))
    for text in texts:
        profile.take(sentence(text, 1))
    profile.flush()
    profile.save()


def test_show_and_forget(folder):
    write("own", "my number is 1234", "call my sister")
    shown = answer("profile", "show")
    assert (shown["sentences"], shown["words"], shown["menus"]) == (2, 6, 0)
    assert shown["settings"]["lambda_max"] == 0.5 and shown["folder"] == str(folder)
    assert "2 sentences, 6 words" in call("profile", "show").stdout
    assert answer("profile", "forget", "number is 1234") == {"lines": 1, "remembered": 0}
    assert answer("profile", "show")["words"] == 3
    assert answer("profile", "show", "--name", "anna")["sentences"] == 0
    result = call("profile", "forget", "?!")
    assert result.exit_code == 2 and "no words" in result.stderr and "Traceback" not in result.stderr


def test_from_one_machine_to_another(tmp_path):
    write("own", "call my sister")
    file = str(tmp_path / "own.zip")
    assert answer("profile", "export", file) == {"file": file, "lines": 1}
    assert answer("profile", "import", file, "--name", "anna") == {"lines": 1}
    assert answer("profile", "show", "--name", "anna")["words"] == 3
    result = call("profile", "import", file, "--name", "anna")
    assert result.exit_code == 2 and "--replace" in result.stderr
    assert answer("profile", "import", file, "--name", "anna", "--replace") == {"lines": 1}
    assert call("profile", "reset", "--name", "anna").exit_code == 1  # nobody said yes
    assert answer("profile", "reset", "--yes", "--name", "anna") == {"reset": "anna"}
    assert answer("profile", "show", "--name", "anna")["sentences"] == 0
    assert answer("profile", "show")["sentences"] == 1


def test_a_damaged_file_is_said(folder):
    write("own", "call my sister")
    (folder / "profile.json").write_text("{")
    result = call("profile", "show")
    assert result.exit_code == 0 and "profile.json is damaged" in result.stderr
