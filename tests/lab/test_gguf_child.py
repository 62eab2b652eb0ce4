"""Native work in a child process: answers come back, and every way to fail is one sentence."""

import os
import signal
import sys

import pytest

from volition.core import LoadError
from volition.lab import child
from volition.lab.child import in_child

TASK = """
import json, os, signal, sys
values = json.load(sys.stdin)
if values.get("noise"):
    print(json.dumps({"part": 0.25}), flush=True)
    print("something that a library says", file=sys.stderr)
if "signal" in values:
    os.kill(os.getpid(), values["signal"])
if "sleep" in values:
    signal.pause()
if "lines" in values:
    sys.exit("first\\nlast line")
print(json.dumps({"problem": "it is broken"} if "problem" in values else {"answer": {"got": values}}))
"""


@pytest.fixture(autouse=True)
def fake(monkeypatch, tmp_path):
    """A child that does as it is told, in place of the one with llama.cpp."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{TASK}")
    script.chmod(0o755)
    monkeypatch.setattr(child.sys, "executable", str(script))


pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and scripts are POSIX")


def refusal(**values):
    with pytest.raises(LoadError) as caught:
        in_child("speed", values, "m.gguf", values.pop("timeout", 60.0))
    return str(caught.value)


def test_an_answer_and_how_far_it_is():
    parts = []
    answer = in_child("speed", {"noise": True}, "m.gguf", 60.0, parts.append)
    assert answer == {"got": {"noise": True}}
    assert parts == [0.25]


def test_a_problem_is_passed_on():
    assert refusal(problem=1) == "m.gguf: it is broken"


def test_a_crash_is_a_sentence():
    assert "m.gguf: llama.cpp crashed with SIGSEGV" in refusal(signal=int(signal.SIGSEGV))
    assert "SIGABRT" in refusal(signal=int(signal.SIGABRT), noise=True)


def test_an_end_without_an_answer_says_the_last_line():
    assert refusal(lines=1) == "m.gguf: last line"


def test_what_takes_too_long_is_ended():
    assert "not done within 0.3 s" in refusal(sleep=1, timeout=0.3)
