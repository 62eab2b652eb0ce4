"""What makes a menu: the language model where it works, the small table of words where it does not."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from volition.core import LoadError, NodeError
from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.explain import Explainer
from volition.nodes.text.fallback import fallback
from volition.nodes.text.find import find_model
from volition.nodes.text.focus import focus_tilt, neighbours
from volition.nodes.text.learned import Learned
from volition.nodes.text.letters import NextCharacters, frequencies, letter_options
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.mask import TrieMask, prefix_free
from volition.nodes.text.mixing import Mixing
from volition.nodes.text.native import CancelFlag
from volition.nodes.text.prompt import EVERYDAY, find_frame, segments
from volition.nodes.text.proposals import (
    P_NONE_BOUNDS,
    Limits,
    Outcome,
    Proposal,
    Split,
    covered_by,
    none_of,
    normalised,
    propose,
    split,
)
from volition.nodes.text.requests import Proposals, Request
from volition.nodes.text.rerank import features, ranked
from volition.nodes.text.rows import Rows
from volition.nodes.text.steering import Steering, prove
from volition.nodes.text.words import Tilt, Words

FALLBACK = "fallback"
_WARM = ("", " i", " i would", " i would like")


@dataclass(frozen=True)
class Settings:
    """What a proposer is opened with.

    Attributes
    ----------
    model
        As ``find_model`` takes it.
    limits
        How much to propose.
    threads
        Of llama.cpp; 0 for a number that suits the machine.
    context
        Longest prompt, in tokens.
    frame
        What the prompt begins with, as ``find_frame`` takes it.
    steering
        What the first requests are expected to ask for: the prompt is ready under it when the model is.
    explain
        Whether an option's ``why`` tells base, memory and adapter apart; takes about as long as the menu.
    """

    model: str
    limits: Limits = field(default_factory=Limits)
    threads: int = 0
    context: int = 1000
    frame: str = EVERYDAY.name
    explain: bool = False
    steering: Steering = field(default_factory=Steering)


class Proposer:
    """Answers requests, one at a time, in the calling thread and process.

    Parameters
    ----------
    settings
        What to open; the model is loaded at once.
    cancel
        Raised to cut an answer short.

    Raises
    ------
    LoadError
        When the model cannot be loaded.
    """

    def __init__(self, settings: Settings, cancel: CancelFlag | None = None):
        self.settings = settings
        self._frame = find_frame(settings.frame)
        self.model = LanguageModel(find_model(settings.model), settings.threads, settings.context, cancel=cancel)
        self.words = Words(self.model.pieces, self.model.special)
        self._letters = NextCharacters(self.words)
        self._explainer = Explainer(self.model, self.words)
        self._learned: Learned | None = None
        self._version = 0
        self.idle: list[str] = []
        """Settings of the last steering that changed nothing, a sentence each."""

    def learn(self, version: int, lesson: Mapping[str, Any]) -> None:
        """Take what was learned from the person, whole or the newest of it; requests name it by its version."""
        if "learned" in lesson:
            self._learned = Learned.unpack(lesson["learned"])
        elif self._learned is not None:
            self._learned.learn(lesson["rows"], lesson["text"])
        self._version = version

    def _taught(self, request: Request) -> Learned | None:
        if request.learned and request.learned != self._version:
            raise NodeError(f"the model was taught version {self._version} of the profile, not {request.learned}")
        return self._learned if request.learned else None

    def __call__(self, request: Request) -> Proposals:
        """Options for a request; cut short, what was ready, and then the small table.

        Raises
        ------
        LoadError, NodeError
            When the steering's files or the request do not fit the model.
        """
        begin = time.perf_counter()
        model, settings = self.model, self.settings
        if request.steering.weights != model.steering.weights:
            self.idle = prove(model, request.steering)
        where = split(request.text, request.half_typed)
        learned = self._taught(request)
        try:
            model.prefill(self.prompt(request))
        except Cancelled:
            return without_model(request, settings.limits, "the time was up before the prompt was read")
        tilt = self._tilt(request, learned)
        if request.letters:
            spelling = self._next_letters(request, where, tilt)
            model.release()
            return replace(spelling, milliseconds=1e3 * (time.perf_counter() - begin))
        mixing = Mixing(learned.cache, where, learned.taste.lambda_max, self._spell) if learned is not None else None
        outcome = propose(model, self.words, where, settings.limits, request.candidates, request.refused, tilt, mixing)
        if learned is not None:
            outcome = personal(outcome, where, learned, request.memory, settings.limits.k)
        options = outcome.options
        if settings.explain and outcome.complete and options:
            bare = self.prompt(replace(request, memory=()))
            options = self._explainer(options, self.prompt(request), bare)
        model.release()
        proposals = Proposals(
            request,
            tuple(options),
            outcome.p_none,
            outcome.covered_mass,
            settings.model,
            "" if outcome.complete else "the time was up before the search was over",
            outcome.complete,
            rest=outcome.rest,
        )
        if not outcome.complete:
            proposals = filled(proposals, settings.limits)
        return replace(proposals, milliseconds=1e3 * (time.perf_counter() - begin))

    def _next_letters(self, request: Request, where: Split, tilt: Tilt | None) -> Proposals:
        mask = TrieMask(prefix_free(request.candidates))
        rows = Rows(self.words, mask, tilt or Tilt.of(), self.settings.limits.script)
        p, complete = self._letters(self.model, rows, where, request.letters)
        problem = "" if complete else "the time was up before the search was over"
        return letters(request, p, self.settings.limits, self.settings.model, problem)

    def prompt(self, request: Request) -> list[list[int]]:
        """The tokens that the model continues, in segments."""
        where = split(request.text, request.half_typed)
        model, settings = self.model, self.settings
        return segments(
            where.base,
            request.turns,
            model.tokenise,
            model.opening,
            settings.context,
            self._frame,
            request.memory,
        )

    def _tilt(self, request: Request, learned: Learned | None) -> Tilt | None:
        looked_at = neighbours(request.focus, (request.text, *request.turns, *request.memory))
        bias = (*request.steering.bias, *(learned.bias.nats if learned is not None else ()))
        return focus_tilt(looked_at.items(), bias, self.words, self.model.tokenise)

    def _spell(self, text: str) -> tuple[int, ...]:
        """The tokens of a text with its space, () when the tokeniser changes it."""
        data = text.encode()
        tokens = self.words.index.exactly(data)[:1] or self.model.tokenise(text)
        return tuple(tokens) if b"".join(self.words.pieces[token] for token in tokens) == data else ()

    def warm_up(self) -> float:
        """Answer a few requests; the median of the cached ones, in milliseconds."""
        steering = self.settings.steering
        try:
            self(Request(steering=steering))
        except (LoadError, NodeError):
            steering = Steering()  # each request will say what is wrong with the other
        times = [self(Request(text, steering=steering)).milliseconds for text in _WARM]
        return float(np.median(times[1:]))

    def timed(self, request: Request) -> dict[str, float]:
        """Milliseconds of a menu from nothing (``cold``) and with its prompt evaluated (``cached``)."""
        self.model.forget()
        cold = self(request).milliseconds
        self.model.forget(prompt=False)
        return {"cold": cold, "cached": self(request).milliseconds}

    def close(self) -> None:
        """Free the model; may be called twice."""
        self._explainer.close()
        self.model.close()


def personal(outcome: Outcome, where: Split, learned: Learned, memory: tuple[str, ...], k: int) -> Outcome:
    """An outcome with its options and the rest ranked by earlier choices, and the k best as options."""
    pool = [
        replace(option, features=features(option, option.log_probability, where, learned.cache, memory))
        for option in (*outcome.options, *outcome.rest)
    ]
    pool = ranked(pool, learned.weights)
    options, rest = tuple(pool[:k]), tuple(pool[k:])
    covered = covered_by(options)
    return replace(outcome, options=options, rest=rest, covered_mass=covered, p_none=none_of(covered))


def without_model(request: Request, limits: Limits, problem: str) -> Proposals:
    """Options from the small table of words, or of letters."""
    if request.letters:
        p = frequencies(request.letters, not request.half_typed)
        return letters(request, p, limits, FALLBACK, problem)
    options, p_none = fallback(request.text, limits.k, request.half_typed, request.refused, limits.banned)
    covered = sum(math.exp(option.log_probability) for option in options)
    return Proposals(request, tuple(options), p_none, covered, FALLBACK, problem, False)


def letters(request: Request, p: dict[str, float], limits: Limits, model: str, problem: str) -> Proposals:
    """A menu of letters, or groups of them, of which ``p`` says how likely each is."""
    options, kind = letter_options(p, limits.k, request.group, request.refused)
    covered = min(1.0, math.fsum(math.exp(option.log_probability) for option in options))
    p_none = float(np.clip(1.0 - covered, *P_NONE_BOUNDS))
    return Proposals(request, tuple(options), p_none, covered, model, problem, not problem, kind=kind)


def filled(proposals: Proposals, limits: Limits) -> Proposals:
    """An answer that was cut short, with words of the small table in the places that are left."""
    table = without_model(proposals.request, limits, proposals.problem)
    left = max(0.0, 1.0 - proposals.covered_mass)
    taken = {normalised(option.text).split(" ")[0] for option in proposals.options}
    options = list(proposals.options)
    for option in table.options:
        if len(options) < limits.k and normalised(option.text).split(" ")[0] not in taken:
            log_p = option.log_probability + math.log(max(left, 1e-9))
            options.append(Proposal(option.text, log_p))
    covered = min(1.0, sum(math.exp(option.log_probability) for option in options))
    p_none = float(np.clip(1.0 - covered, *P_NONE_BOUNDS))
    model = proposals.model if proposals.options else FALLBACK
    return replace(proposals, options=tuple(options), covered_mass=covered, p_none=p_none, model=model)
