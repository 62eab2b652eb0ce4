"""How quickly a model answers on this machine, and how far that is from what the memory allows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from volition.core import LoadError, NodeError
from volition.lab.child import Progress, in_child
from volition.lab.gguf import TRIED, Card, read_card
from volition.nodes.text.find import keep_measurement, measurement

BUDGET_MS = 150.0
"""How long a menu may take after a choice."""

GRACE = 1.5
"""A model gets this multiple of its cached menu when that is more than the budget."""

PROMPT = 256
_STEPS = (1, 5)
_SECONDS = 12.0  # of measuring, without loading
_REPEATS = 12
_WORDS = ("to", "some", "the", "more", "a", "your", "it", "this")  # all cached but for the last word
_READS = 5
_BUFFER = 256 << 20
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def deadline_ms(cached_menu_ms: float) -> float:
    """The time after which a menu is shown with what is ready, by default."""
    return max(BUDGET_MS, GRACE * cached_menu_ms)


def known_speed(path: Path, adapters: Mapping[str, float] | None = None) -> dict[str, Any] | None:
    """What was measured of a model file here, as ``measure`` gives it; None when it has to be measured."""
    found = (measurement(path) or {}).get("speed")
    return found if isinstance(found, dict) and found.get("adapters") == dict(adapters or {}) else None


def measure(
    path: Path,
    adapters: Mapping[str, float] | None = None,
    *,
    threads: int = 0,
    timeout: float = 600.0,
    keep: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Load a model and measure it, in a child process.

    Parameters
    ----------
    path
        A GGUF file.
    adapters
        LoRA files that the model runs with, and their scales.
    threads
        Of llama.cpp; 0 for the number that the program chooses here.
    timeout
        Seconds for all of it.
    keep
        Keep the answer for ``known_speed``.
    progress
        Called with the part that is done, 0..1.

    Returns
    -------
    dict
        ``prompt_tokens``; ``prompt_ms_*`` (cold), ``step_1_ms_*`` and ``step_5_ms_*`` (one token of one and of
        five sequences after it), ``cached_menu_ms_*``: each ``p50`` and ``min``; ``load_ms``; ``adapters``,
        ``threads``, ``cores``; ``read_gb_s_1`` and ``read_gb_s``, what numpy reads from memory with one thread and with
        those threads; ``step_bytes``, ``floor_ms``: reading a step's weights at that rate; ``step_1_over_floor``,
        ``step_5_over_floor``; ``budget_ms``, ``within_budget``, ``deadline_ms``.

    Raises
    ------
    LoadError
        When the file is no model that runs here.
    """
    card = read_card(path)
    room = _memory()
    if card.size > 0.9 * room:
        raise LoadError(f"{path}: {card.size / 1e9:.1f} GB, and this machine has {room / 1e9:.1f} GB of memory")
    values: dict[str, Any] = {"path": os.path.abspath(path), "threads": threads, "prompt": _prompt_tokens(card)}
    values["adapters"] = dict(adapters or {})
    try:
        answer = in_child("speed", values, str(path), timeout, progress)
    except LoadError as error:
        raise _plain(error, card) from None
    answer |= _judged(answer, card.step_bytes)
    if keep:
        keep_measurement(path, {**(measurement(path) or {}), "speed": answer})
    return answer


def _plain(error: LoadError, card: Card) -> LoadError:
    """The same, in words that help where llama.cpp's own do not."""
    if "unknown model architecture" not in str(error):
        return error
    families = ", ".join(TRIED.values())
    return LoadError(
        f"{card.path}: llama.cpp here does not know the architecture {card.architecture!r}; "
        f"update llama-cpp-python, or take a model of another one, such as {families}"
    )


def _prompt_tokens(card: Card) -> int:
    return min(PROMPT, card.context // 2) if card.context else PROMPT


def _memory() -> float:
    """Bytes of memory; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _judged(answer: dict[str, Any], step_bytes: int) -> dict[str, Any]:
    floor = 1e3 * step_bytes / (1e9 * answer["read_gb_s"])
    cached = answer["cached_menu_ms_p50"]
    return {
        "step_bytes": step_bytes,
        "floor_ms": round(floor, 3),
        **{f"step_{n}_over_floor": round(answer[f"step_{n}_ms_min"] / floor, 2) for n in _STEPS},
        "budget_ms": BUDGET_MS,
        "within_budget": cached <= BUDGET_MS,
        "deadline_ms": round(deadline_ms(cached), 1),
    }


# In the child


def work(values: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Measure in this process; see ``measure``."""
    from volition.nodes.text.proposer import Proposer, Settings
    from volition.nodes.text.steering import Steering

    steering = Steering.of(values["adapters"])
    begin = time.perf_counter()
    proposer = Proposer(Settings(values["path"], threads=values["threads"]))
    load = 1e3 * (time.perf_counter() - begin)
    try:
        model = proposer.model
        model.steer(steering)
        if not np.isfinite(model.prefill([[*model.opening, *model.tokenise("i would like to")]])).all():
            raise LoadError(f"model {values['path']!r} gives no probabilities; its weights are damaged")
        progress(0.2)
        times = _menus(proposer, steering)
        progress(0.4)
        times |= _evaluations(model, values["prompt"])
        progress(0.8)
        threads = int(model.threads)
    except NodeError as error:
        raise LoadError(str(error)) from None
    finally:
        proposer.close()
    size = _buffer_size()
    return {
        "prompt_tokens": values["prompt"],
        **{f"{name}_ms_p50": round(float(np.median(taken)), 2) for name, taken in times.items()},
        **{f"{name}_ms_min": round(min(taken), 2) for name, taken in times.items()},
        "load_ms": round(load, 1),
        "adapters": values["adapters"],
        "threads": threads,
        "cores": os.cpu_count() or 1,
        "read_gb_s_1": round(read_rate(size, 1) / 1e9, 2),
        "read_gb_s": round(read_rate(size, threads) / 1e9, 2),
    }


def _menus(proposer: Any, steering: Any) -> dict[str, list[float]]:
    """Milliseconds of menus after one new word; all before it is cached."""
    from volition.nodes.text.requests import Request

    proposer(Request("i would like", steering=steering))
    requests = [Request(f"i would like {word}", steering=steering) for word in _WORDS]
    return {"cached_menu": [_timed(proposer, request) for request in _within(requests)]}


def _evaluations(model: Any, n_prompt: int) -> dict[str, list[float]]:
    """Milliseconds of prompts that share nothing, and of steps after the last one."""
    rng = np.random.default_rng(0)
    plain = np.setdiff1d(np.arange(model.n_vocab), model.special)
    prompts = rng.choice(plain, (_REPEATS, n_prompt)).tolist()
    times = {"prompt": [_timed(model.prefill, [prompt]) for prompt in _within(prompts)]}
    for n in _STEPS:
        paths = rng.choice(plain, (_REPEATS, n), replace=len(plain) < _REPEATS * n)
        times[f"step_{n}"] = []
        for row in _within(paths):
            step = [(int(token),) for token in dict.fromkeys(row)]
            times[f"step_{n}"].append(_timed(model.after, step))
            model.release()
    return times


def _within(items: Any) -> Iterator[Any]:
    """The first one, and those that are begun while there is time."""
    end = time.perf_counter() + _SECONDS / 4
    for n, item in enumerate(items):
        if n and time.perf_counter() > end:
            return
        yield item


def _timed(call: Callable[[Any], Any], argument: Any) -> float:
    begin = time.perf_counter()
    call(argument)
    return 1e3 * (time.perf_counter() - begin)


def read_rate(size: int, threads: int) -> float:
    """Bytes a second that are read from memory, the best of a few times.

    Taken is the maximum of ``size`` bytes of float64: the quickest reading that numpy does, as a sum waits for
    its additions.
    """
    data = np.zeros(max(size // 8, 1))
    data[:] = 1.0  # pages that were never written share one page of zeros
    parts = np.array_split(data, threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_READS):
            begin = time.perf_counter()
            list(pool.map(np.max, parts))
            best = min(best, time.perf_counter() - begin)
    return data.nbytes / best


def _buffer_size() -> int:
    """Bytes well beyond the caches, and within a quarter of the memory."""
    largest = 0
    for file in _CACHES.glob("index*/size"):
        text = file.read_text().strip()
        if text.endswith("K") and text[:-1].isdigit():
            largest = max(largest, int(text[:-1]) << 10)
    return int(min(max(_BUFFER, 2 * largest), _memory() / 4))
