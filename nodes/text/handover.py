"""The text leaves the program: spoken, copied, typed into another window, or saved."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from operator import itemgetter
from pathlib import Path
from typing import Annotated

from volition.core import EventFrame, EventsIn, EventsOut, Gt, Node, Unit
from volition.core.events import Dropped, Error, State

TOOLS: dict[str, dict[str, tuple[str, ...]]] = {
    # The text comes on standard input: it is no argument that could be taken for an option.
    "speak": {"espeak-ng": ("--stdin",), "spd-say": ("--wait", "--pipe-mode")},
    "copy": {
        "wl-copy": (),
        "xclip": ("-selection", "clipboard"),
        "xsel": ("--clipboard", "--input"),
    },
    "type": {"xdotool": ("type", "--clearmodifiers", "--file", "-"), "wtype": ("-",)},
}
"""Programs for each command, tried in this order, and their arguments."""

DONE = {"speak": "spoken", "copy": "copied", "type": "typed", "save": "saved"}
"""The state that a command leads to."""

_WAITING = 4
"""Commands that may wait for the one before; a fifth is dropped."""


class Hands:
    """Runs programs that take a text, one at a time; ``close`` ends the one that runs."""

    def __init__(self, timeout: float):
        self._timeout = timeout
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False

    def hand(self, command: str, text: str) -> tuple[str, str]:
        """Hand a text over; the program that took it, and what went wrong when none did."""
        problem = ""
        for name, arguments in TOOLS[command].items():
            path = shutil.which(name)
            if path is None:
                continue
            failed, again = self._run([path, *arguments], text)
            if not failed:
                return name, ""
            problem = f"{name} {failed}"
            if not again:
                break
        return "", problem or f"no program to {command} the text was found; install {' or '.join(TOOLS[command])}"

    def _run(self, command: list[str], text: str) -> tuple[str, bool]:
        """What went wrong, and whether another program may try."""
        # To a file, as programs that hold a clipboard stay behind and would keep a pipe open.
        with tempfile.TemporaryFile() as errors:
            try:
                with self._lock:
                    if self._closed:
                        return "was not started: the run has ended", False
                    process = self._running = subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
                    )
                process.communicate(text.encode(), self._timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return f"did not end within {self._timeout:g} s", False
            except OSError as error:
                return f"could not be started: {error.strerror}", True
            finally:
                self._running = None
            if not process.returncode:
                return "", False
            errors.seek(0)
            said = errors.read(500).decode(errors="replace").strip().split("\n")[-1]
            return f"ended with code {process.returncode}" + (f": {said}" if said else ""), True

    def close(self) -> None:
        """End what runs; nothing is started any more."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.kill()


def save(place: str, text: str) -> str:
    """Append a text and a line end to a file; what went wrong."""
    if not place:
        return "there is no file to save the text to; name one in params: {file: ...}"
    path = Path(place).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"the text cannot be saved to {path}: {error.strerror}"
    return ""


class Handover(Node):
    """Speaks, copies, types or saves the text when a command says so.

    Speaks by espeak-ng or spd-say, copies by wl-copy, xclip or xsel, types into the window in front by xdotool or
    wtype, and saves by appending to ``file``. What was done is a ``state`` (``spoken``, ``copied``, ``typed``,
    ``saved``) at the time at which it was done; ``detail`` names the command, the program, and how many characters
    it took. What cannot be done is an ``error`` that says why. An empty text is not handed over. Of more than four
    commands that wait, further ones are dropped. Keeps still in a replay.
    """

    i_text = EventsIn("text")
    i_command = EventsIn("command")
    o = EventsOut("state")

    journals_results = True  # what is installed, and whether it worked

    def __init__(self, file: str = "", timeout: Annotated[float, Unit("s"), Gt(0)] = 60.0):
        """file: that texts are saved to; none when empty.
        timeout: a program that takes longer, to speak for example, is ended.
        """
        self._file = file
        self._hands = Hands(timeout)
        self._text = ""
        self._waiting = 0

    def update(self) -> None:
        # Of one time, the text comes before the command.
        for _, label, data in sorted([*self.i_text, *self.i_command], key=itemgetter(0)):
            if label == "text":
                self._text = data["text"]
            elif data["command"] in DONE and self._text.strip():
                self._hand(data["command"])
        states = []
        for command, tool, problem, characters in self.results():
            self._waiting -= 1
            if problem:
                self.report(Error(source=self.id, message=problem))
            elif characters:
                detail = {"command": command, "with": tool, "characters": characters}
                states.append(State(state=DONE[command], source=self.id, detail=detail).at(self.now))
        if states:
            self.o = EventFrame.of(*states)

    def terminate(self) -> None:
        self._hands.close()

    def _hand(self, command: str) -> None:
        if self._waiting > _WAITING:
            self.report(Dropped(source=self.id, what="command", count=1, reason=f"{command}: too many are waiting"))
            return
        self._waiting += 1
        self.submit(_done, None if self.muted else self._hands, command, self._text, self._file)


def _done(hands: Hands | None, command: str, text: str, file: str) -> tuple[str, str, str, int]:
    """Do what a command says: it, by what, what went wrong, and how many characters; none of them without hands."""
    tool, problem = "", ""
    if hands is None:
        return command, tool, problem, 0
    if command == "save":
        problem = save(file, text)
    else:
        tool, problem = hands.hand(command, text)
    return command, tool, problem, 0 if problem else len(text)
