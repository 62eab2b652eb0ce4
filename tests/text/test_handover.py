"""The text leaves the program by whatever program is there; what is not there is a sentence."""

import os
import stat

import pytest

from volition.core import EventFrame
from volition.core.events import Command, Text
from volition.core.node import drive
from volition.nodes.text.handover import Handover

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the programs stood in for are shell scripts")

SHOW = 'echo "$0 $*" > "$OUT/arguments"; /bin/cat > "$OUT/text"'


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Makes programs, the only ones on the path, which leave what they got in files."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("OUT", str(tmp_path))

    def make(name, script=SHOW):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


def hand(node, command, text="hello, мир", now=7):
    node.id = "hands"
    events = EventFrame.of(Command(command=command).at(5))
    outputs = drive(node, now=now, i_text=EventFrame.of(Text(text=text).at(5)), i_command=events)
    return [(time, data["state"], data["detail"]) for time, _, data in outputs.get("o", ())]


def problems(node):
    return [(label, data.get("message") or data["reason"]) for _, label, data in node.take_reports()]


@pytest.mark.parametrize(
    ("command", "tool", "state"),
    [
        ("speak", "espeak-ng", "spoken"),
        ("speak", "spd-say", "spoken"),
        ("copy", "wl-copy", "copied"),
        ("copy", "xclip", "copied"),
        ("copy", "xsel", "copied"),
        ("type", "xdotool", "typed"),
        ("type", "wtype", "typed"),
    ],
)
def test_each_program_gets_the_text(tools, tmp_path, command, tool, state):
    tools(tool)
    node = Handover()
    text = "--not an option\nмир $(touch x)"
    assert hand(node, command, text) == [(7, state, {"command": command, "with": tool, "characters": len(text)})]
    assert (tmp_path / "text").read_text() == text
    assert "--not" not in (tmp_path / "arguments").read_text()
    assert problems(node) == []


def test_saved_texts_follow_each_other(tmp_path):
    node = Handover(file=str(tmp_path / "deep" / "said.txt"))
    assert hand(node, "save", "one")[0][1] == "saved"
    hand(node, "save", "two")
    assert (tmp_path / "deep" / "said.txt").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("command", "named"),
    [("speak", "espeak-ng or spd-say"), ("copy", "wl-copy or xclip or xsel"), ("type", "xdotool or wtype")],
)
def test_what_is_missing_is_named(tools, command, named):
    node = Handover()
    assert hand(node, command) == []
    assert problems(node) == [("error", f"no program to {command} the text was found; install {named}")]


def test_where_nothing_can_be_saved(tmp_path):
    assert hand(node := Handover(), "save") == []
    assert "params: {file" in problems(node)[0][1]
    (tmp_path / "file").write_text("")
    assert hand(node := Handover(file=str(tmp_path / "file" / "x")), "save") == []
    assert "cannot be saved" in problems(node)[0][1]


def test_one_that_fails_leaves_it_to_the_next(tools):
    tools("wl-copy", "echo no display >&2; exit 3")
    node = Handover()
    assert hand(node, "copy") == []
    assert problems(node) == [("error", "wl-copy ended with code 3: no display")]
    tools("xsel")
    assert hand(node, "copy")[0][2]["with"] == "xsel"


def test_a_program_that_never_ends_is_ended(tools):
    tools("espeak-ng", "exec /bin/sleep 60")
    node = Handover(timeout=0.2)
    assert hand(node, "speak") == []
    assert problems(node) == [("error", "espeak-ng did not end within 0.2 s")]


def test_a_clipboard_that_stays_behind_is_not_waited_for(tools, tmp_path):
    tools("xclip", "/bin/cat > /dev/null; (/bin/sleep 2; echo gone) & exit 0")
    assert hand(Handover(timeout=1.0), "copy")[0][1] == "copied"


def test_nothing_is_done_in_a_replay_without_a_text_or_at_the_end(tools, tmp_path):
    tools("espeak-ng")
    node = Handover(file=str(tmp_path / "said.txt"))
    assert hand(node, "speak", "  ") == []
    assert hand(node, "pause") == []
    node.muted = True
    assert hand(node, "speak") == hand(node, "save") == []
    assert not (tmp_path / "text").exists() and not (tmp_path / "said.txt").exists()
    node.muted = False
    node.terminate()
    assert hand(node, "speak") == []
    assert "the run has ended" in problems(node)[0][1]


class Stuck:
    """Work that never comes back."""

    pending = 0

    def submit(self, function, args):
        self.pending += 1

    def take(self):
        return []


def test_commands_do_not_pile_up():
    node = Handover()
    node._jobs = jobs = Stuck()
    for _ in range(8):
        hand(node, "speak")
    assert jobs.pending == 5
    assert [label for label, _ in problems(node)] == ["dropped"] * 3
