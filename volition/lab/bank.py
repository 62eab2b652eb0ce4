"""A bank of a person's epochs, from a cued recording, for people who are simulated with real EEG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from volition.core.errors import SessionError
from volition.core.places import find
from volition.engine.load import load
from volition.engine.replay import replay
from volition.lab.erp import decoder_of
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
        Seconds to leave out at the beginning, where filters settle.

    Raises
    ------
    SessionError
        When there are no epochs of either kind.
    """
    session = Session.open(session) if isinstance(session, (str, Path)) else session
    app = load(find("graphs", graph))
    decoder, cutter = decoder_of(app)
    frames: list[Any] = replay(app, session, taps=[(cutter, "o")], upto=decoder.id, digest=False).taps[cutter, "o"]
    if not frames:
        raise SessionError("the recording gives no epochs: are there flashes in it?")
    begin = min(int(frame.times[0]) for frame in frames) + round(skip * 1e9)
    values = np.concatenate([frame.values[frame.times >= begin] for frame in frames])
    targets = np.array([bool(d["target"]) for f in frames for t, d in zip(f.times, f.data, strict=True) if t >= begin])
    sound = np.isfinite(values).all(axis=(1, 2))
    first = frames[0]
    bank = Bank(
        values[sound & targets], values[sound & ~targets], first.channels, first.rate, first.start, first.unit[0]
    )
    if not len(bank.attended) or not len(bank.ignored):
        raise SessionError("the recording gives no epochs of attended, or none of other flashes")
    return bank
