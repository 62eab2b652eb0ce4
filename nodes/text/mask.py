"""The logit mask: what the person's signals say about options, as a bias on next-token log-probabilities.

Candidates are arranged in a trie of tokens. With V_j the evidence ratio of candidate j and V_0 that of
anything else,

    Lambda(u) = sum_j P(c_j | u) V_j + P(other | u) V_0      over the candidates that start with u
    Lambda(u) = V_j                                          at and beyond the end of c_j
    P(v | u, evidence) = P(v | u) Lambda(uv) / Lambda(u)

which is Bayes' rule over token sequences: nothing is approximated, and the model is not evaluated again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """A token sequence that evidence speaks about.

    Attributes
    ----------
    tokens
        Its tokens, at least one.
    log_probabilities
        Of each token given the context and the tokens before it, without evidence.
    log_v
        Log of the evidence ratio V; -inf forbids the candidate.
    """

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    log_v: float = 0.0


def prefix_free(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates without those that begin with another one: the shorter one speaks for both."""
    kept: dict[tuple[int, ...], Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: len(c.tokens)):
        tokens = candidate.tokens
        if not any(tokens[:n] in kept for n in range(1, len(tokens) + 1)):
            kept[tokens] = candidate
    return list(kept.values())


@dataclass(frozen=True)
class Shift:
    """What evidence adds to the log-probabilities of the next token.

    Attributes
    ----------
    elsewhere
        At all tokens but these.
    tokens
        Numbers of the tokens on the trie, rising, int64, shape (n,).
    values
        What is added to each of them, float64, shape (n,).
    """

    elsewhere: float
    tokens: np.ndarray
    values: np.ndarray

    def dense(self, n_vocab: int) -> np.ndarray:
        """What is added to each token, float64, shape (n_vocab,)."""
        values = np.full(n_vocab, self.elsewhere)
        values[self.tokens] = self.values
        return values


class TrieMask:
    """The exact posterior of token sequences, given evidence about some of them.

    Parameters
    ----------
    candidates
        None a prefix of another (see ``prefix_free``).
    log_v_none
        Log V_0.
    """

    def __init__(self, candidates: Sequence[Candidate] = (), log_v_none: float = 0.0):
        if len(prefix_free(candidates)) != len(candidates) or any(not c.tokens for c in candidates):
            raise ValueError("candidates of a mask are not empty, and none is a prefix of another")
        self.candidates = list(candidates)
        self.log_v_none = log_v_none
        self._build()

    def update(self, log_v: Sequence[float]) -> None:
        """Take new evidence, one log V a candidate."""
        self.candidates = [replace(c, log_v=v) for c, v in zip(self.candidates, log_v, strict=True)]
        self._build()

    def _build(self) -> None:
        inside: dict[tuple[int, ...], list[tuple[float, float]]] = {(): []}
        ends: dict[tuple[int, ...], float] = {}
        for candidate in self.candidates:
            remaining = math.fsum(candidate.log_probabilities)
            for length, log_p in enumerate(candidate.log_probabilities):
                inside.setdefault(candidate.tokens[:length], []).append((remaining, candidate.log_v))
                remaining -= log_p
            ends[candidate.tokens] = candidate.log_v
        self._log_lambda = {prefix: self._mix(terms) for prefix, terms in inside.items()} | ends
        self._children: dict[tuple[int, ...], list[int]] = {}
        for prefix in sorted(self._log_lambda):
            if prefix:
                self._children.setdefault(prefix[:-1], []).append(prefix[-1])

    def _mix(self, terms: Sequence[tuple[float, float]]) -> float:
        other = 1.0 - math.fsum(math.exp(log_p) for log_p, _ in terms)
        parts = [log_p + log_v for log_p, log_v in terms]
        if other > 0.0:
            parts.append(math.log(other) + self.log_v_none)
        best = max(parts)
        return best if math.isinf(best) else best + math.log(math.fsum(math.exp(part - best) for part in parts))

    def log_lambda(self, prefix: Sequence[int]) -> float:
        """Log Lambda at ``prefix``."""
        tokens = tuple(prefix)
        for length in range(len(tokens), -1, -1):
            known = self._log_lambda.get(tokens[:length])
            if known is not None:
                on_trie = length == len(tokens) or tokens[:length] not in self._children
                return known if on_trie else self.log_v_none
        raise AssertionError("the empty prefix is always known")

    def shift(self, prefix: Sequence[int]) -> Shift | None:
        """What to add to the log-probabilities after ``prefix``; None for nothing.

        The sum is normalised already, as far as the candidates' log-probabilities are those of the same
        model.
        """
        tokens = tuple(prefix)
        children = self._children.get(tokens)
        here = self._log_lambda.get(tokens, -math.inf)
        if not children or math.isinf(here):
            return None  # off the trie or beyond an end Lambda is constant; all forbidden would leave nothing
        values = [self._log_lambda[branch] - here for branch in ((*tokens, token) for token in children)]
        return Shift(self.log_v_none - here, np.array(children, dtype=np.int64), np.array(values))
