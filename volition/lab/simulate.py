"""Recordings of simulated people, made on virtual time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from volition.core.clock import SECOND, nanoseconds
from volition.core.events import Box, Calibration, Flash, Layout
from volition.core.frames import EventFrame, SignalFrame
from volition.core.node import drive
from volition.nodes.simulate.eeg import SimulatedEeg

START = 1_700_000_000 * SECOND
"""When simulated recordings begin, ns UTC."""

LEAD, TAIL = 6.0, 2.0
"""Seconds of signal before the first flash, in which filters settle, and after the last."""


def erp_calibration(
    menus: int = 40,
    rounds: int = 6,
    options: Sequence[str] = ("1", "2", "3", "4", "5", "none"),
    flash_every: float = 0.125,
    pause: float = 1.0,
    seed: int = 1,
    brain: SimulatedEeg | None = None,
) -> dict[str, SignalFrame | EventFrame]:
    """A cued ERP session of a simulated person: frames by stream name, for ``volition.lab.erp.calibrate``.

    For each menu one option is cued in turn, and all flash in random order, each once a round.

    Parameters
    ----------
    menus, rounds
        How many options are cued, and how often each flashes for it.
    options
        Ids of what flashes.
    flash_every, pause
        Seconds from flash to flash, and between menus.
    seed
        Of the person and of the order; use another than that of the runs the model is for.
    brain
        The simulated person; the default one when not given.

    Returns
    -------
    dict
        ``eeg``; ``flash`` with ``target``; ``layout``; ``cue``.
    """
    brain = brain or SimulatedEeg()
    brain.rng, order = np.random.default_rng(seed).spawn(2)
    time = START + nanoseconds(LEAD)
    cues: list[tuple[int, str, dict[str, Any]]] = []
    flashes: list[tuple[int, str, dict[str, Any]]] = []
    layouts: list[tuple[int, str, dict[str, Any]]] = []
    width = 1 / len(options)
    boxes = [Box(id=o, x=k * width, y=0.4, width=width, height=0.2) for k, o in enumerate(options)]
    for menu in range(menus):
        target = options[menu % len(options)]
        cues.append(Calibration(step="attend", target=target, menu=menu).at(time))
        layouts.append(Layout(boxes=boxes, unit="norm", menu=menu).at(time))
        time += nanoseconds(pause)
        for _ in range(rounds):
            for k in order.permutation(len(options)):
                flash = Flash(ids=[options[k]], menu=menu, target=options[k] == target)
                flashes.append(flash.at(time))
                time += nanoseconds(flash_every)
    end = time + nanoseconds(TAIL)
    eeg = _driven(brain, EventFrame.of(*cues), EventFrame.of(*flashes), end)
    cued = [(t, label, {**data, "step": "cue"}) for t, label, data in cues]
    return {
        "eeg": eeg,
        "flash": EventFrame.of(*flashes),
        "layout": EventFrame.of(*layouts),
        "cue": EventFrame.of(*cued),
    }


def _driven(brain: SimulatedEeg, cues: EventFrame, flashes: EventFrame, end: int) -> SignalFrame:
    """The EEG up to ``end``, from ticks a second apart, each with the events of the second to come."""
    pieces = []
    for now in range(START, end + SECOND, SECOND):
        pieces.append(drive(brain, now=now, **_between(cues, flashes, now))["o"])
    return SignalFrame.concat(pieces)


def _between(cues: EventFrame, flashes: EventFrame, now: int) -> dict[str, EventFrame]:
    given = {}
    for port, events in (("i_attend", cues), ("i_flash", flashes)):
        soon = slice(*np.searchsorted(events.times, [now, now + SECOND]).tolist())
        if len(events[soon]):
            given[port] = events[soon]
    return given


def main(out: str) -> None:
    """Fit a decoder to the simulated person's calibration and write it to ``out``."""
    from volition.lab.erp import calibrate

    result = calibrate(erp_calibration(), out)
    print(f"{out}: AUC {result['auc']:.3f}, {result['letters_right']} of {result['letters_total']} found")


if __name__ == "__main__":
    main(sys.argv[1])
