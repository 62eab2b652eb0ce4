"""What makes a menu: the language model where it works, the small table of words where it does not."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from volition.core import LoadError, NodeError
from volition.nodes.text.fallback import fallback
from volition.nodes.text.llama import LanguageModel, find_model
from volition.nodes.text.mask import Candidate
from volition.nodes.text.prompt import segments
from volition.nodes.text.proposals import Limits, Proposal, Words, propose, split

FALLBACK = "fallback"


@dataclass(frozen=True)
class Request:
    """Everything a menu depends on.

    Attributes
    ----------
    text
        The text so far.
    half_typed
        Whether the last word of the text is being typed.
    turns
        The conversation, oldest first.
    refused
        Options that were offered for this text, and not taken.
    candidates
        What evidence speaks about, in tokens.
    """

    text: str = ""
    half_typed: bool = False
    turns: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Proposals:
    """The answer to a request; ``problem`` says why the model did not give it."""

    request: Request
    options: tuple[Proposal, ...]
    p_none: float
    model: str
    problem: str = ""


class Proposer:
    """Answers requests, one at a time; the model is loaded by the first one.

    Parameters
    ----------
    model
        As ``find_model`` takes it.
    limits
        How much to propose.
    threads
        Of llama.cpp; 0 for a number that suits the machine.
    context
        Longest prompt, in tokens.
    """

    def __init__(self, model: str, limits: Limits, threads: int = 0, context: int = 1000):
        self.name = model
        self.limits = limits
        self.threads = threads
        self.context = context
        self._model: LanguageModel | None = None
        self._words: Words | None = None
        self._broken = ""
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Proposals:
        """Options for a request. A model that cannot be loaded is not tried again."""
        with self._lock:
            if not self._broken:
                try:
                    return self._from_model(request)
                except LoadError as error:
                    self._broken = problem = str(error)
                except NodeError as error:
                    problem = str(error)
            else:
                problem = self._broken
            return self.without_model(request, problem)

    def without_model(self, request: Request, problem: str = "") -> Proposals:
        """Options from the small table of words."""
        options, p_none = fallback(request.text, self.limits.k, request.half_typed, request.refused, self.limits.banned)
        return Proposals(request, tuple(options), p_none, FALLBACK, problem)

    def _from_model(self, request: Request) -> Proposals:
        if self._model is None or self._words is None:
            self._model = LanguageModel(find_model(self.name), self.threads, self.context)
            self._words = Words(self._model.pieces, self._model.special)
        model = self._model
        where = split(request.text, request.half_typed)
        prompt = segments(where.base, request.turns, model.tokenise, model.opening, self.context)
        root = model.prefill(prompt)
        options, p_none = propose(model, self._words, root, where, self.limits, request.candidates, request.refused)
        model.release()
        return Proposals(request, tuple(options), p_none, self.name)

    def close(self) -> None:
        """Free the model, after what is being answered; may be called twice."""
        with self._lock:
            if self._model is not None:
                self._model.close()
            self._model = None
            self._broken = "the model has been closed"
