"""``volition memory``: what was added is there, is found, and is gone when it is forgotten."""

import pytest

from tests.cli.command import answer, call


@pytest.fixture(autouse=True)
def profile(monkeypatch, tmp_path):
    monkeypatch.setenv("VOLITION_PROFILE", str(tmp_path / "profile"))


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "holiday.txt"
    path.write_text("We stayed in a house by the lake. My uncle caught a pike.\n", "utf-8")
    return str(path)


def test_from_adding_to_removing(note):
    assert "nothing is remembered yet" in call("memory", "list").stdout
    assert answer("memory", "add", note) == {"added": {"holiday.txt": 2}, "lines": 2}
    assert answer("memory", "list")["notes"] == {"holiday.txt": 2}
    (found,) = answer("memory", "search", "my", "uncles")["found"]
    assert found["text"] == "My uncle caught a pike." and found["source"] == "holiday.txt" and found["score"] > 0
    assert "My uncle caught a pike." in call("memory", "list", "--all").stdout
    assert answer("memory", "remove", "holiday.txt") == {"removed": 2}
    result = call("memory", "remove", "holiday.txt")
    assert result.exit_code == 2 and "no note is named 'holiday.txt'; there are: none" in result.stderr


def test_forgetting_asks_before_it_takes_much(note):
    call("memory", "add", note)
    result = call("memory", "forget", "a")
    assert result.exit_code == 2 and "2 lines hold these words" in result.stderr
    assert answer("memory", "forget", "a pike") == {"forgotten": 1}
    assert answer("memory", "forget", "a", "--all") == {"forgotten": 1}
    assert call("memory", "forget", "a").stdout == "no line holds this\n"


def test_all_files_or_none(note, tmp_path):
    result = call("memory", "add", note, str(tmp_path / "missing.txt"))
    assert result.exit_code == 2 and "no such file" in result.stderr and "Traceback" not in result.stderr
    assert answer("memory", "list")["notes"] == {}


def test_a_memory_elsewhere(note, tmp_path):
    place = str(tmp_path / "other.jsonl")
    call("memory", "add", note, "--file", place)
    assert answer("memory", "list")["notes"] == {}
    assert answer("memory", "list", "--file", place)["notes"] == {"holiday.txt": 2}
