"""Follows a person through menus and texts, and learns what they take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from volition.core import LoadError, NodeError
from volition.nodes.text import choicelog
from volition.nodes.text.profile import Profile, find_profile
from volition.nodes.text.proposals import covered_by, none_of
from volition.nodes.text.requests import Proposals

_STEPS = ("undo", "redo", "cleared", "start")
"""Reasons of texts that answer no menu."""

_SAVED = 20
"""Sentences between two saves of what was learned; after a crash these are read from the log."""


def explore(shown: Proposals, rate: float, rng: np.random.Generator) -> tuple[Proposals, tuple[float, ...]]:
    """A menu whose last place may hold something else, and the probability that each option was shown in its place.

    Without it, what is never shown is never taken, and no log could say whether it should have been.

    Parameters
    ----------
    rate
        The probability that the last place goes to one of the ``rest``, drawn by its probability.
    """
    options = shown.options
    if not rate or not shown.rest or len(options) < 2:
        return shown, (1.0,) * len(options)
    if rng.random() >= rate:
        return shown, (*(1.0,) * (len(options) - 1), 1.0 - rate)
    p = np.array([math.exp(option.log_probability) for option in shown.rest])
    total = float(p.sum())
    if not total > 0.0:
        return shown, (1.0,) * len(options)
    drawn = min(int(np.searchsorted(np.cumsum(p), rng.random() * total, side="right")), len(p) - 1)
    moved = (*options[:-1], shown.rest[drawn])
    covered = covered_by(moved)
    propensities = (*(1.0,) * (len(options) - 1), rate * float(p[drawn]) / total)
    return replace(shown, options=moved, covered_mass=covered, p_none=none_of(covered)), propensities


class Learner:
    """Writes each answer to a menu into a profile, and what was learned when a sentence is finished.

    Parameters
    ----------
    name
        Of the profile.

    Attributes
    ----------
    trouble
        Why something was not written just now; writing goes on without it, and it is tried again.

    Raises
    ------
    LoadError
        When it cannot be read.
    """

    def __init__(self, name: str):
        self.profile = Profile(find_profile(name))
        self.trouble = ""
        self._shown: Proposals | None = None
        self._propensities: tuple[float, ...] = ()
        self._text = ""
        self._time = 0
        self._saved = self.profile.learned.sentences
        if self.profile.pending:  # a run that was torn off in a sentence: it is as it was left
            last = self.profile.pending[-1]
            self._finish(choicelog.result(last), last["time"])
            self.flush()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        try:
            yield
        except (LoadError, NodeError) as error:  # a full disk must not stop a person from writing
            self.trouble = str(error)

    @property
    def version(self) -> int:
        """Of what was learned."""
        return self.profile.version

    def lesson(self, known: int) -> dict[str, Any]:
        """What was learned since a version, for the model's process: the newest sentence, or all of it."""
        newest = self.profile.newest
        if newest is not None and known == self.version - 1 > 0:
            return {"rows": newest[0], "text": newest[1]}
        return {"learned": self.profile.learned.pack()}

    def show(self, shown: Proposals, propensities: tuple[float, ...]) -> None:
        """A menu has been shown."""
        self._shown, self._propensities = shown, propensities

    def hear(self, text: str, reason: str, time: int, log_v: Mapping[str, float]) -> None:
        """Take the next text, its time in ns UTC, and log V of the options shown until then."""
        with self._trying():
            self.profile.refresh()
        shown = self._shown
        if shown is not None and shown.request.text == self._text:
            self._answer(shown, text, reason, time, log_v)
        if reason == "cleared":
            self._finish(self._text, time)
        if shown is not None and (reason == "none" or text != shown.request.text):
            self._shown = None  # the next answer is to another menu
        self._text, self._time = text, time

    def _answer(self, shown: Proposals, text: str, reason: str, time: int, log_v: Mapping[str, float]) -> None:
        taken = None
        if reason == "none":
            outcome = choicelog.NONE
        elif reason in _STEPS or text == shown.request.text:
            return
        else:
            ways = [shown.request.text + option.text for option in shown.options]
            taken = ways.index(text) if reason == "choice" and text in ways else None
            outcome = choicelog.TYPED if taken is None else choicelog.CHOICE
        style = self.profile.taste.style
        self.profile.take(choicelog.choice(shown, outcome, taken, time, log_v, self._propensities, style))

    def _finish(self, text: str, time: int) -> None:
        if text.strip() or self.profile.pending:
            self.profile.take(choicelog.sentence(text, time, self.profile.taste.style))

    def flush(self) -> None:
        """Write what was learned."""
        with self._trying():
            self.profile.flush()
            if self.profile.learned.sentences - self._saved >= _SAVED:
                self._save()

    def _save(self) -> None:
        self._saved = self.profile.learned.sentences
        self.profile.save()

    def close(self) -> None:
        """The person leaves: the text is finished as it is. May be called twice."""
        self._finish(self._text, self._time)
        self._text, self._shown = "", None
        with self._trying():
            self.profile.flush()
            self._save()
