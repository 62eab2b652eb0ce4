"""What the contract suite cannot guess of a node: parameters, streams that make it speak, and exceptions.

A node that its default parameters build, and that the default streams make speak, needs no entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.contract.streams import T0, default_streams, epochs, events, signal
from volition.core import EventFrame
from volition.core.clock import SECOND
from volition.nodes.simulate.epochs import Bank


@dataclass(frozen=True)
class Case:
    """How to test one node class.

    Attributes
    ----------
    params
        The parameters, or a function from a folder of the test's own to them.
    streams
        Gives the frames by port.
    speaks_first
        Why it gives something though nothing came in, and is no timer.
    silent
        Why it gives nothing with these streams.
    needs_engine
        Why plain Timeflux cannot run it.
    updates
        How many updates the memory test makes.
    exempt
        Reasons by point of the contract ("5", "7", ...) that the node is excused from.
    """

    params: Mapping[str, Any] | Callable[[Path], Mapping[str, Any]] = field(default_factory=dict)
    streams: Callable[[type], dict[str, list[Any]]] = default_streams
    speaks_first: str = ""
    silent: str = ""
    needs_engine: str = ""
    updates: int = 10_000
    exempt: Mapping[str, str] = field(default_factory=dict)

    def build(self, folder: Path) -> dict[str, Any]:
        """The parameters."""
        return dict(self.params(folder) if callable(self.params) else self.params)


def gaze_streams(cls: type) -> dict[str, list[Any]]:
    """Gaze on the first box of a layout that is shown all the time."""
    layout = {"i_layout": [events(["layout"], n=1)]}
    return {**default_streams(cls), "i": [signal(["x", "y"], "px")], **layout}


def fusion_streams(cls: type) -> dict[str, list[Any]]:
    """A menu, its layout, then evidence from two sources for its first option, and all else that is heard."""
    return {
        **default_streams(cls),
        "i_menu": [events(["menu"], n=1)],
        "i_layout": [events(["layout"], offset=30_000_000, n=1)],
        "i_evidence_gaze": [events(["evidence"], offset=100_000_000)],
        "i_evidence_erp": [events(["evidence"], offset=123_000_000)],
    }


def attention_streams(cls: type) -> dict[str, list[Any]]:
    """A menu, attention to its first option, later a choice of another one."""
    attend = (T0 + 300_000_000, "calibration", {"step": "attend", "target": "1", "menu": 1})
    choice = (T0 + 1_500_000_000, "choice", {"menu": 1, "option": "2", "p": 0.9})
    streams = {"i_attend": [EventFrame.of(attend)], "i_choice": [EventFrame.of(choice)]}
    return {"i_menu": [events(["menu"], n=1)], **streams} if hasattr(cls, "i_menu") else streams


def error_streams(cls: type) -> dict[str, list[Any]]:
    """Two choices, each answered by error potentials, and an undo of somebody else's."""
    del cls
    said = {"source": "errp", "menu": 1, "llr": {"wrong": 2.0}}
    return {
        "i_choice": [events(["choice"], every=1.0, n=2)],
        "i": [EventFrame.of(*((T0 + k * SECOND // 4, "evidence", said) for k in range(1, 8)))],
        "i_undo": [events(["undo"], offset=1_900_000_000, n=1)],
    }


def bank_params(folder: Path) -> dict[str, Any]:
    """Epochs of noise, some of them answers to what was attended to."""
    path = folder / "bank.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        Bank(rng.normal(1, 1, (5, 16, 2)), rng.normal(0, 1, (9, 16, 2)), ("Cz", "Pz"), 32.0).save(path)
    return {"bank": str(path)}


def writer_streams(cls: type) -> dict[str, list[Any]]:
    """Choices of successive menus, each after its menu, and an undo."""
    menus, choices = events(["menu"]), events(["choice"], offset=50_000_000)

    def numbered(frame: EventFrame) -> EventFrame:
        return EventFrame.of(*((t, label, {**data, "menu": k}) for k, (t, label, data) in enumerate(frame)))

    return {
        **default_streams(cls),
        "i_menu": [numbered(menus)],
        "i_choice": [numbered(choices)],
        "i_undo": [events(["undo"], offset=900_000_000, n=2)],
        "i_state": [EventFrame.of((T0 + 1_900_000_000, "state", {"state": "phrase_done"}))],
    }


def flash_streams(cls: type) -> dict[str, list[Any]]:
    """Flashes at 8 Hz over the noise."""
    return {**default_streams(cls), "i_events": [events(["flash"], offset=11_000_000, every=0.125, n=6)]}


def erp_streams(cls: type) -> dict[str, list[Any]]:
    """Epochs of the model's channels and length."""
    del cls
    return {"i": [epochs(12, ("Cz", "Pz", "Oz"), 24, 32.0)]}


@cache
def _erp_model() -> Any:
    from volition.nodes.eeg.erp_fit import Settings, fit

    frame = epochs(120, ("Cz", "Pz", "Oz"), 24, 32.0)
    targets = np.array([data["target"] for data in frame.data])
    return fit(frame, targets, "noise", Settings(n_filters=(2,), penalties=(0.1,))).model


def erp_params(folder: Path) -> dict[str, Any]:
    """A model fitted to noise."""
    path = folder / "noise.skops"
    if not path.exists():
        _erp_model().save(path)
    return {"model": str(path)}


def board_streams(cls: type) -> dict[str, list[Any]]:
    """What the synthetic board gives, with a gap in the middle."""
    spec = cls().infer({})["o"]
    first = signal(spec.channels, spec.unit, spec.rate, 200)
    return {"o": [first, signal(spec.channels, spec.unit, spec.rate, 200, T0 + 2 * SECOND, 1, 1)]}


def inlet_streams(cls: type) -> dict[str, list[Any]]:
    """What a stream may give, with a gap in the middle."""
    del cls
    return {"o": [signal(n=200), signal(n=200, start=T0 + 2 * SECOND, seed=1, segment=1)]}


CASES: dict[str, Case] = {
    "decide.error.ErrorPotential": Case(streams=error_streams),
    "decide.fusion.Fusion": Case(streams=fusion_streams),
    "eeg.engagement.Engagement": Case({"window": 0.5, "step": 0.1, "baseline": 0.5}),
    "eeg.epochs.Epochs": Case({"stop": 0.5}, flash_streams),
    "eeg.erp.ErpDecoder": Case(erp_params, erp_streams, updates=3_000),
    "gaze.likelihood.GazeOnBox": Case(streams=gaze_streams),
    "outputs.lsl.LslEventsOutlet": Case({"name": "contract"}),
    "outputs.lsl.LslOutlet": Case({"name": "contract"}),
    "outputs.record.Record": Case(
        lambda folder: {"path": str(folder / "contract.xdf")},
        needs_engine="a recording belongs to a run",
        updates=3_000,
    ),
    "outputs.terminal.TerminalScreen": Case({"draw": False}),
    "simulate.epochs.ResampledEpochs": Case(bank_params),
    "simulate.evidence.SimulatedChannel": Case({"accuracy": 0.8, "d_prime": 1.0}, attention_streams),
    "simulate.evidence.SimulatedErrorPotential": Case({"d_prime": 1.0, "delay": 0.3}, attention_streams),
    "sources.brainflow.BrainFlow": Case(streams=board_streams),
    "sources.lsl.LslInlet": Case({"name": "contract"}, inlet_streams),
    "sources.lsl.LslEvents": Case({"name": "contract"}),
    "text.generator.Generator": Case(
        {"model": "there-is-no-such-model.gguf"},
        speaks_first="the first menu may come before the first text",
        needs_engine="its work goes on off the tick",
        updates=1_000,
    ),
    "text.handover.Handover": Case(silent="it acts on the world outside, and keeps still when muted"),
    "text.writer.Writer": Case(
        streams=writer_streams,
        speaks_first="the loop begins with the empty text",
        needs_engine="its first text has the time of the tick",
    ),
}
"""By module path below ``volition.nodes`` and class."""
