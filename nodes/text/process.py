"""The language model's process, seen from the graph: answers within a deadline, whatever becomes of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
from pydantic import TypeAdapter

from volition.core.places import PACKAGE
from volition.nodes.text.find import TABLE
from volition.nodes.text.native import CancelFlag
from volition.nodes.text.proposer import Settings, without_model
from volition.nodes.text.requests import Proposals, Request, pack, unpack_proposals

_SETTINGS = TypeAdapter(Settings)

LEAST_DEADLINE = 0.150
"""Seconds; the deadline is not shorter unless it is said to be."""

_HEADROOM = 1.5
"""The deadline, as a multiple of a cached menu."""

_MARGIN = 0.035
"""Seconds before the deadline at which the search is cut short, so that what is ready comes in time."""

_RESERVE = 0.01
"""Seconds before the deadline at which the table is taken: on a busy machine a thread wakes a few ms late."""

_LOADING = 60.0
"""Seconds that a first menu waits for the model to load."""

_PATIENCE = 120.0
"""Seconds that an answer without a deadline may take."""

_FAREWELL = 2.0
"""Seconds that a process has to end by itself."""

_CRASHES = 3
"""After so many crashes before the first answer the model is not tried again."""


@dataclass
class _Child:
    """One run of the server."""

    process: subprocess.Popen[bytes]
    errors: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    ready: dict[str, Any] | None = None
    failed: str = ""
    gone: bool = False
    taught: int = 0
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether it is known if it works."""
        return self.ready is not None or bool(self.failed) or self.gone

    def bury(self) -> None:
        """Wait for its end, by force if it takes long, and close what is open."""
        process = self.process
        if process.stdin is not None:
            with contextlib.suppress(OSError):  # of a process that has just died
                process.stdin.close()
        try:
            process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for reader in self.readers:
            if reader is not threading.current_thread():
                reader.join(_FAREWELL)


class ModelProcess:
    """Asks the language model's process, and does without it when it fails.

    ``ask`` is called from one thread at a time; the other methods from any.

    Parameters
    ----------
    settings
        What to open.
    deadline
        Seconds until a menu must be there; 0 for the larger of ``LEAST_DEADLINE`` and 1.5 times the model's
        cached menu, as measured when it was loaded; None to wait.
    ahead
        Whether answers to requests that may come are computed ahead.
    """

    def __init__(self, settings: Settings, deadline: float | None = 0.0, ahead: bool = True):
        self.settings = settings
        self.ahead = ahead
        self._wanted = deadline
        self._changed = threading.Condition()
        self._child: _Child | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="volition-")
        flag = Path(self._folder.name) / "cancel"
        CancelFlag.create(flag)
        self._flag_path = flag
        self._flag = CancelFlag(flag)
        self._lessons: tuple[tuple[int, bytes], ...] = ()
        self._number = 0
        self._asking = False
        self._closed = False
        self._broken = ""
        self._crashes = 0
        self._ever_ready = False
        self.idle: list[str] = []
        """Settings that changed nothing, a sentence each; taken by whoever reports them."""
        self.ms: dict[str, float] = {}
        """Of the last answer that was timed."""
        self.hits = 0
        """Answers that had been computed ahead."""

    @property
    def deadline(self) -> float | None:
        """Seconds until a menu must be there; None for no limit."""
        if self._wanted != 0.0:
            return self._wanted
        child = self._child
        cached = child.ready["cached_ms"] / 1e3 if child is not None and child.ready else 0.0
        return max(LEAST_DEADLINE, _HEADROOM * cached)

    @property
    def pid(self) -> int | None:
        """Of the process that runs; None while there is none."""
        return self._child.process.pid if self._child is not None and not self._child.gone else None

    def teach(self, version: int, lesson: Mapping[str, Any]) -> None:
        """What was learned from the person, for the requests that name this version.

        A lesson is all of it (``learned``), or what was learned after the version before (``rows`` and ``text``). The
        process gets it with the first request that needs it; one that is started anew gets all since the last whole.
        """
        before = () if "learned" in lesson else self._lessons
        self._lessons = (*before, (version, msgpack.packb(lesson)))

    def ask(self, request: Request, timed: bool = False) -> Proposals:
        """Options for a request, in time: from the model, or as far as it got, or from the small table.

        With ``timed``, ``ms`` afterwards holds how long such a menu takes ``cold`` and ``cached``.
        """
        begin = time.monotonic()
        child = self._running()
        if child is None:
            return self._without(request, self._broken)
        if child.ready is None and not self._ever_ready:
            self._wait(lambda: child.settled, _LOADING)
            begin = time.monotonic()
        deadline = self.deadline
        if child.ready is None:
            return self._without(request, child.failed or self._broken or "the model is being loaded")
        self._number += 1
        number = self._number
        self._flag.raise_()  # whatever is computed ahead
        for version, lesson in self._lessons:
            if child.taught < version <= request.learned:
                child.taught = version
                self._send(child, {"version": version, "lesson": lesson})
        if not self._send(child, {"id": number, "request": pack(request), "timed": timed}):
            return self._without(request, self._broken)
        self._asking = True
        try:
            return self._await(child, number, request, begin, deadline)
        finally:
            self._asking = False

    def _await(self, child: _Child, number: int, request: Request, begin: float, deadline: float | None) -> Proposals:
        def done() -> bool:
            return number in child.answers or child.gone

        if deadline is None:
            self._wait(done, _PATIENCE)
        elif not self._wait(done, begin + deadline - min(_MARGIN, deadline / 2) - time.monotonic()):
            self._flag.raise_()
            self._wait(done, begin + deadline - min(_RESERVE, deadline / 8) - time.monotonic())
        answer = child.answers.pop(number, None)
        child.answers = {n: a for n, a in child.answers.items() if n > number}
        if answer is None:
            return self._without(
                request, self._broken if child.gone else f"no answer within {deadline or _PATIENCE:g} s"
            )
        if "problem" in answer:
            return self._without(request, answer["problem"])
        self.hits += answer["ahead"]
        self.ms = answer.get("ms", {})
        self.idle += answer["idle"]
        return unpack_proposals(answer["answer"])

    def cut(self) -> None:
        """A newer request has come: end what is being answered, with what is ready."""
        if self._asking:
            self._flag.raise_()

    def prefer(self, options: Sequence[str]) -> None:
        """Say which options of the last answer are likeliest to be taken ("1", "none", ...), best first."""
        child = self._child
        if self.ahead and child is not None and child.ready is not None and not self._asking:
            self._send(child, {"order": list(options)})

    def close(self) -> None:
        """End the process; may be called twice."""
        with self._changed:
            self._closed = True
            self._broken = "the model has been closed"
            child, self._child = self._child, None
        if child is not None:
            self._flag.raise_()
            child.bury()
        self._folder.cleanup()

    def _without(self, request: Request, problem: str) -> Proposals:
        return without_model(request, self.settings.limits, problem)

    def _wait(self, done: Any, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(done, max(0.0, seconds))

    # The process

    def start(self) -> None:
        """Start the process, if it does not run; the first ``ask`` does so, too."""
        self._running()

    def _running(self) -> _Child | None:
        """The process, started anew after a crash; None when that is hopeless."""
        if self.settings.model == TABLE:
            return None
        with self._changed:
            child = self._child
            if child is not None and child.failed:
                self._broken = child.failed
                return None
            if child is not None and not child.gone:
                return child
            if self._closed or self._crashes >= _CRASHES:
                return None
            self._child = self._spawn()
            return self._child

    def _spawn(self) -> _Child:
        environment = dict(os.environ)
        paths = [str(PACKAGE.parent), environment.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        process = subprocess.Popen(
            [sys.executable, "-m", "volition.nodes.text.server", str(self._flag_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=os.name == "posix",  # an interrupt at the terminal is the graph's to handle
        )
        child = _Child(process)
        child.readers = [
            threading.Thread(target=target, args=(child,), name="model", daemon=True)
            for target in (self._read_errors, self._read)
        ]
        for reader in child.readers:
            reader.start()
        self._send(child, {"settings": _SETTINGS.dump_python(self.settings), "ahead": self.ahead})
        return child

    def _send(self, child: _Child, message: dict[str, Any]) -> bool:
        stream = child.process.stdin
        try:
            if stream is not None:
                stream.write(msgpack.packb(message))
                stream.flush()
        except (OSError, ValueError):  # it has just died; the reader says so
            return False
        return True

    def _read(self, child: _Child) -> None:
        stream = child.process.stdout
        if stream is not None:
            for message in msgpack.Unpacker(stream.raw, raw=False):  # type: ignore[attr-defined]
                with self._changed:
                    if "ready" in message:
                        child.ready = message["ready"]
                        self._ever_ready, self._crashes, self._broken = True, 0, ""
                    elif "failed" in message:
                        child.failed = self._broken = message["failed"]
                    else:
                        child.answers[message["id"]] = message
                    self._changed.notify_all()
            stream.close()
        code = child.process.wait()
        child.readers[0].join(_FAREWELL)  # its last words
        with self._changed:
            child.gone = True
            if not child.failed and not self._closed:
                self._crashes += 1
                self._broken = _obituary(code, child.errors)
            self._changed.notify_all()
        again = not self._closed and not child.failed and self._crashes < _CRASHES
        if again and self._child is child:
            child.bury()
            self._running()

    def _read_errors(self, child: _Child) -> None:
        stream = child.process.stderr
        if stream is not None:
            for line in stream:
                child.errors.append(line.decode(errors="replace").strip())
            stream.close()


def _obituary(code: int, errors: Sequence[str]) -> str:
    """Why a process ended, in a sentence."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"the model's process died of {name}"
    last = next((line for line in reversed(errors) if line), "")
    return f"the model's process ended with code {code}" + (f": {last}" if last else "")
