"""What the contract suite feeds to a node that says nothing else: two seconds for each kind of port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from volition.core import EpochFrame, EventFrame, SignalFrame
from volition.core.clock import SECOND
from volition.core.events import VOCABULARY

T0 = 1_700_000_000 * SECOND
RATE = 256.0
CHANNELS = ("Fz", "Cz", "P3", "Pz", "P4", "PO7", "Oz", "PO8")
N_SAMPLES = 512

_BOXES = [
    {"id": str(k + 1), "x": 300.0 * k, "y": 100.0, "width": 200.0, "height": 120.0, "text": " w" + str(k)}
    for k in range(3)
]
_OPTIONS = [
    {"id": str(k + 1), "text": " w" + str(k), "log_probability": -1.5 - k, "tokens": [5, k], "why": {"base": -1.5 - k}}
    for k in range(3)
]

EXAMPLES: dict[str, dict[str, Any]] = {
    "stream": {"source": "eeg", "state": "opened", "name": "EEG", "channels": ["Cz"], "rate": 256.0},
    "gap": {"source": "eeg", "start_ns": T0, "seconds": 0.5, "reason": "lost"},
    "dropped": {"source": "epochs", "what": "epoch", "count": 2, "reason": "gap"},
    "quality": {"source": "eeg", "channels": {"Cz": 0.5}},
    "layout": {"boxes": _BOXES, "unit": "px", "screen": (1920.0, 1080.0), "menu": 1},
    "flash": {"ids": ["1", "3"], "menu": 1, "target": True},
    "fixation": {"x": 0.5, "y": 0.25, "unit": "norm", "seconds": 0.3},
    "evidence": {"source": "gaze", "menu": 1, "llr": {"1": 0.8, "2": -0.4, "3": -0.4}},
    "engagement": {"index": 0.7, "z": -0.5},
    "menu": {
        "menu": 1,
        "context": "hello",
        "options": _OPTIONS,
        "p_none": 0.2,
        "model": "test",
        "late": False,
    },
    "posterior": {
        "menu": 1,
        "p": {"1": 0.6, "2": 0.2, "3": 0.1, "none": 0.1},
        "sources": {"gaze": {"1": 0.8}},
    },
    "choice": {"menu": 1, "option": "1", "text": " w0", "p": 0.95},
    "undo": {"reason": "error potential"},
    "text": {"text": "hello w0", "reason": "choice"},
    "turn": {"text": "What would you like?", "speaker": "partner"},
    "focus": {"words": {"tea": 1.0}},
    "steer": {"bias": {"tea": 1.0}},
    "key": {"key": "a"},
    "command": {"command": "word_back"},
    "calibration": {"step": "attend", "target": "1", "menu": 1},
    "state": {"state": "running", "source": "test", "detail": {"n": 1}},
    "error": {"source": "test", "message": "it failed"},
}
"""One valid event of each label."""


def signal(
    channels: Sequence[str] | None = None,
    unit: str | None = None,
    rate: float = RATE,
    n: int = N_SAMPLES,
    start: int = T0,
    seed: int = 0,
    segment: int = 0,
) -> SignalFrame:
    """Noise around what fits the unit: uV, px of a screen, or its 0..1."""
    channels, unit = tuple(channels or CHANNELS), unit or "uV"
    times = start + np.round(np.arange(n) * SECOND / rate).astype(np.int64)
    noise = np.random.default_rng(seed).standard_normal((n, len(channels)))
    scale, middle = {"px": (40.0, 200.0), "norm": (0.02, 0.2)}.get(unit, (10.0, 0.0))
    return SignalFrame(times, middle + scale * noise, channels, rate, unit, segment)


def events(labels: Sequence[str] | None = None, offset: int = 0, every: float = 0.13, n: int = 15) -> EventFrame:
    """The examples of ``labels`` in turn, ``every`` seconds one."""
    names = [name for name in labels or VOCABULARY if name in EXAMPLES]
    return EventFrame.of(
        *(
            (
                T0 + offset + round(k * every * SECOND),
                names[k % len(names)],
                dict(EXAMPLES[names[k % len(names)]]),
            )
            for k in range(n)
        )
    )


def epochs(n: int = 8, channels: Sequence[str] = CHANNELS, n_samples: int = 60, rate: float = 64.0) -> EpochFrame:
    """Epochs of noise after flashes."""
    onsets = T0 + np.arange(n, dtype=np.int64) * (SECOND // 8)
    values = 10.0 * np.random.default_rng(0).standard_normal((n, n_samples, len(channels)))
    ready = onsets + round((n_samples - 1) / rate * SECOND)
    data = [{"ids": [str(k % 3 + 1)], "menu": 1, "target": k % 3 == 0} for k in range(n)]
    return EpochFrame(onsets, values, tuple(channels), data, ready, rate, 0.0, "uV")


def default_streams(cls: type) -> dict[str, list[Any]]:
    """Frames for every input of a node class, or for every output of a source, by port."""
    from volition.core import Source

    direction = "o" if issubclass(cls, Source) else "i"
    streams: dict[str, list[Any]] = {}
    for number, (name, spec) in enumerate(cls.port_specs.items()):
        if spec.direction != direction:
            continue
        port = name.replace("*", "1" if name.endswith("_*") else "")
        offset = number * 7_000_000
        if spec.kind == "signal":
            streams[port] = [signal(spec.spec.channels, spec.spec.unit if spec.spec.unit else None)]
        elif spec.kind == "events":
            streams[port] = [events(spec.spec.labels, offset)]
        elif spec.kind == "epochs":
            streams[port] = [epochs()]
        else:
            streams["i_signal"], streams["i_events"] = [signal()], [events()]
    return streams
