"""The model's process is killed while it evaluates: what the person gets, and when the model is back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

from benchmarks.propose.figures import Figure
from benchmarks.propose.subjects import Subject
from benchmarks.propose.texts import turns
from volition.nodes.text.process import ModelProcess
from volition.nodes.text.proposer import FALLBACK, Settings
from volition.nodes.text.requests import Proposals, Request

BACK_S = 5.0
_TURNS = 30
_MOMENT = 0.02


def measure(subject: Subject, threads: int, times: int) -> Iterator[Figure]:
    """Kill, look at the menu that was being made, and ask on until the model answers again."""
    kept: list[float] = []
    back: list[float] = []
    meanwhile: list[float] = []
    lost, most = 0, 0.0
    with contextlib.closing(ModelProcess(Settings(str(subject.path), threads=threads), ahead=False)) as process:
        process.ask(Request())
        for number in range(times):
            request = Request("i would like", turns=turns(number, _TURNS))
            most = max(most, 1e3 * (process.deadline or 0.0))
            answer, ms, killed = _killed(process, request)
            kept.append(ms)
            lost += answer.request != request or not answer.options
            again, waits = _until_back(process, killed)
            meanwhile += waits
            back.append(again)
    name = subject.name
    yield Figure(name, "killed_menu_ms_max", f"killed {times} times: menu from the table, max ms", max(kept), most)
    yield Figure(name, "killed_meanwhile_ms_max", "... menus until the model is back, max ms", max(meanwhile), most)
    yield Figure(name, "killed_back_s_max", "... the model is back, max s", max(back), BACK_S)
    yield Figure(name, "killed_lost", "... menus without options or of another text", lost, 0)


def _killed(process: ModelProcess, request: Request) -> tuple[Proposals, float, float]:
    """The menu, its milliseconds, and the time of the kill."""
    killed: list[float] = []

    def kill() -> None:
        if process.pid is not None:
            killed.append(time.perf_counter())
            os.kill(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    timer = threading.Timer(_MOMENT, kill)
    begin = time.perf_counter()
    timer.start()
    answer = process.ask(request)
    ms = 1e3 * (time.perf_counter() - begin)
    timer.join()
    return answer, ms, killed[0] if killed else begin


def _until_back(process: ModelProcess, killed: float) -> tuple[float, list[float]]:
    """Seconds from the kill to the first menu from the model, and the milliseconds of each menu until then."""
    waits: list[float] = []
    while time.perf_counter() < killed + 60:
        begin = time.perf_counter()
        answer = process.ask(Request("i would"))
        waits.append(1e3 * (time.perf_counter() - begin))
        if answer.model != FALLBACK:
            break
        time.sleep(0.05)
    return time.perf_counter() - killed, waits
