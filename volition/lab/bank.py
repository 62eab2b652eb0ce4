"""A bank of a person's epochs, from a cued recording, for people who are simulated with real EEG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from volition.core.errors import SessionError
from volition.core.places import find
from volition.engine.load import load
from volition.lab.erp import cued_epochs
from volition.nodes.simulate.epochs import Bank
from volition.sessions.reader import Session


def bank_of(session: str | Path | Session, graph: str | Path = "p300.yaml", skip: float = 5.0) -> Bank:
    """The epochs that an app's decoder would see, apart by whether the person attended to the flash.

    Parameters
    ----------
    session
        A recording with ``flash`` events that state ``target``.
    graph
        The app, or the name of a shipped one.
    skip
        Seconds of the signal to leave out at the beginning, where filters settle.

    Raises
    ------
    SessionError
        When there are no epochs of either kind.
    """
    epochs, _, _ = cued_epochs(session, load(find("graphs", graph)), skip)
    targets = np.array([bool(data["target"]) for data in epochs.data])
    sound = np.isfinite(epochs.values).all(axis=(1, 2))
    attended, ignored = epochs.values[sound & targets], epochs.values[sound & ~targets]
    if not len(attended) or not len(ignored):
        raise SessionError("the recording gives no epochs of attended, or none of other flashes")
    return Bank(attended, ignored, epochs.channels, epochs.rate, epochs.start, epochs.unit[0])
