"""A recorded run is run again, tick by tick, and gives byte for byte what it gave live."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
LOOP = Path(__file__).parent / "live" / "loop.yaml"


def volition(*arguments):
    """Exit code, answer and errors of a command."""
    command = [sys.executable, "-m", "volition", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Two graphs that answer each other, with slow work and chance, recorded live."""
    path = tmp_path_factory.mktemp("exact") / "loop.xdf"
    code, _, errors = volition("record", LOOP, "--out", path, "--seconds", "2", "--seed", "7")
    assert code == 0, errors
    return path


def test_what_came_out_live_comes_out_again(session):
    code, answer, errors = volition("replay", session, "--graph", LOOP, "--exact")
    assert code == 0, errors
    assert answer["same_as_live"] is True and answer["differences"] == []
    assert answer["events_compared"] > 40
    again = volition("replay", session, "--graph", LOOP, "--exact")[1]
    assert again["sha256"] == answer["sha256"]


def test_another_parameter_is_seen(session):
    code, answer, _ = volition("replay", session, "--graph", LOOP, "--exact", "--set", "thinks.factor=3")
    assert code == 1
    assert answer["same_as_live"] is False
    assert answer["differences"][0].startswith(("every: event", "thinks: event"))


def test_a_session_without_journals_is_said(session, tmp_path):
    alone = tmp_path / "alone.xdf"
    alone.write_bytes(session.read_bytes())
    code, _, errors = volition("replay", alone, "--graph", LOOP, "--exact")
    assert code == 2
    assert "has no journals beside it" in errors


def test_the_whole_loop_with_its_language_model_comes_out_again(tmp_path):
    path = tmp_path / "loop.xdf"
    code, _, errors = volition("record", "autocomplete.yaml", "--out", path, "--seconds", "9")
    assert code == 0, errors
    code, answer, errors = volition("replay", path, "--exact")
    assert code == 0, (answer, errors)
    assert answer["same_as_live"] is True
    assert answer["events_compared"] > 100
