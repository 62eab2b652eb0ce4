"""Native work in a process of its own, so that a crash in it is a sentence.

``python -m volition.lab.child TASK`` takes one JSON object on standard input and writes one a line on standard
output: ``{"part": 0.5}`` now and then, then ``{"answer": {...}}`` or ``{"problem": "a sentence"}``.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from volition.core import LoadError
from volition.core.errors import VolitionError
from volition.core.places import PACKAGE

Progress = Callable[[float], None]
Work = Callable[[dict[str, Any], Progress], dict[str, Any]]

TASKS = {
    "speed": ("volition.lab.speed", "work"),
    "bits": ("volition.lab.quantise", "work_bits"),
    "quantise": ("volition.lab.quantise", "work"),
}
"""Module and function of each task."""


def in_child(
    task: str, values: dict[str, Any], about: str, timeout: float, progress: Progress | None = None
) -> dict[str, Any]:
    """Do a task in a child process.

    Parameters
    ----------
    task
        One of ``TASKS``.
    values
        What the task takes; paths are absolute.
    about
        What a sentence about a failure begins with.
    timeout
        Seconds after which the child is ended.
    progress
        Called with the part that is done, 0..1.

    Raises
    ------
    LoadError
        When the task fails, crashes or takes too long.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_search_path())}
    child = subprocess.Popen(
        [sys.executable, "-m", "volition.lab.child", task],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        encoding="utf-8",
        cwd=PACKAGE.parent,  # a file in the person's folder must not pass for a module
        env=environment,
    )
    late = threading.Event()

    def end() -> None:
        late.set()
        child.kill()

    watch = threading.Timer(timeout, end)
    watch.start()
    try:
        last, errors = _talk(child, values, progress)
    finally:
        watch.cancel()
        watch.join()
        if child.poll() is None:
            child.kill()
        child.wait()
    if "answer" in last:
        return dict(last["answer"])
    if late.is_set():
        raise LoadError(f"{about}: not done within {timeout:g} s, which is too slow here; take a smaller model")
    raise LoadError(f"{about}: {last.get('problem') or _verdict(child.returncode, errors)}")


def _search_path() -> list[str]:
    return [*filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])]


def _talk(
    child: subprocess.Popen[str], values: dict[str, Any], progress: Progress | None
) -> tuple[dict[str, Any], list[str]]:
    """Give the child its values and hear it out: its last message, and what it wrote on standard error."""
    errors: list[str] = []
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # they are pipes
    reader = threading.Thread(target=errors.extend, args=(child.stderr,))
    reader.start()
    last: dict[str, Any] = {}
    with child.stdin, child.stdout, child.stderr:
        try:
            child.stdin.write(json.dumps(values))
            child.stdin.close()
        except OSError:
            pass  # it has ended already, and its exit code says why
        for line in child.stdout:
            last = json.loads(line)
            if progress is not None and "part" in last:
                progress(last["part"])
        reader.join()
    return last, errors


def _verdict(code: int | None, errors: list[str]) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return (
            f"llama.cpp crashed with {name}; the processor or the file is at fault - "
            "try another model, or build llama-cpp-python without AMX"
        )
    return errors[-1].strip() if errors else f"llama.cpp ended without an answer (exit code {code})"


def main(task: str) -> int:
    """Do the task in this process."""
    # Libraries that print would break the messages apart.
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: dict[str, Any]) -> None:
        messages.write(json.dumps(message) + "\n")
        messages.flush()

    module, function = TASKS[task]
    work: Work = getattr(importlib.import_module(module), function)
    try:
        say({"answer": work(json.load(sys.stdin), lambda part: say({"part": part}))})
    except VolitionError as error:
        say({"problem": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
