"""The logit mask: what the person's signals say about options, as a bias on next-token log-probabilities.

Candidates are arranged in a trie of tokens. With V_j the evidence ratio of candidate j and V_0 that of
anything else,

    Lambda(u) = sum_j P(c_j | u) V_j + P(other | u) V_0      over the candidates that start with u
    Lambda(u) = V_j                                          at and beyond the end of c_j
    P(v | u, evidence) = P(v | u) Lambda(uv) / Lambda(u)

which is Bayes' rule over token sequences: nothing is approximated, and the model is not evaluated again.
"""

from __future__ import annotations

from bisect import bisect_left
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
        Of each token given the context and the tokens before it.
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


class TrieMask:
    """The exact posterior of token sequences, given evidence about some of them.

    Parameters
    ----------
    candidates
        None a prefix of another (see ``prefix_free``).
    log_v_none
        Log V_0.
    """

    def __init__(self, candidates: Sequence[Candidate], log_v_none: float = 0.0):
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
            remaining = float(np.sum(candidate.log_probabilities))
            for length, log_p in enumerate(candidate.log_probabilities):
                inside.setdefault(candidate.tokens[:length], []).append((remaining, candidate.log_v))
                remaining -= log_p
            ends[candidate.tokens] = candidate.log_v
        self._log_lambda = {prefix: self._mix(terms) for prefix, terms in inside.items()} | ends
        self._children: dict[tuple[int, ...], list[int]] = {}
        for prefix in self._log_lambda:
            if prefix:
                self._children.setdefault(prefix[:-1], []).append(prefix[-1])

    def _mix(self, terms: Sequence[tuple[float, float]]) -> float:
        other = max(0.0, 1.0 - sum(np.exp(log_p) for log_p, _ in terms))
        with np.errstate(divide="ignore"):
            parts = [log_p + log_v for log_p, log_v in terms] + [float(np.log(other)) + self.log_v_none]
        return float(np.logaddexp.reduce(parts))

    def log_lambda(self, prefix: Sequence[int]) -> float:
        """Log Lambda at ``prefix``."""
        tokens = tuple(prefix)
        for length in range(len(tokens), -1, -1):
            known = self._log_lambda.get(tokens[:length])
            if known is not None:
                on_trie = length == len(tokens) or tokens[:length] not in self._children
                return known if on_trie else self.log_v_none
        raise AssertionError("the empty prefix is always known")

    def bias(self, prefix: Sequence[int], n_vocab: int) -> np.ndarray | None:
        """What to add to the log-probabilities after ``prefix``, float64, shape (n_vocab,); None for nothing.

        The sum is normalised already, as far as the candidates' log-probabilities are those of the same
        model.
        """
        tokens = tuple(prefix)
        children = self._children.get(tokens)
        here = self.log_lambda(tokens)
        if not children or np.isinf(here):
            return None  # off the trie or beyond an end Lambda is constant; all forbidden would leave nothing
        bias = np.full(n_vocab, self.log_v_none - here)
        for token in children:
            branch = (*tokens, token)
            bias[token] = self._log_lambda[branch] - here
        return bias


def biased(log_p: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """``log_p + bias``, normalised; ``log_p`` itself when the bias would leave nothing possible."""
    if bias is None:
        return log_p
    total = log_p + bias
    best = total.max()
    if np.isneginf(best):
        return log_p
    normalised: np.ndarray = total - (best + np.log(np.exp(total - best).sum()))
    return normalised


def restricted(log_p: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """``log_p`` with -inf outside the tokens ``allowed``, normalised; as it is when none is possible."""
    bias = np.full(len(log_p), -np.inf)
    bias[allowed] = 0.0
    return biased(log_p, bias)


def without(log_p: np.ndarray, banned: np.ndarray) -> np.ndarray:
    """``log_p`` with -inf at the tokens ``banned``, normalised; as it is when none would be left."""
    bias = np.zeros(len(log_p))
    bias[banned] = -np.inf
    return biased(log_p, bias)


class PieceIndex:
    """Finds the tokens that agree with bytes that the text must go on with.

    Parameters
    ----------
    pieces
        Bytes of every token, by number; tokens without bytes are never found.
    """

    def __init__(self, pieces: Sequence[bytes]):
        order = sorted((piece, token) for token, piece in enumerate(pieces) if piece)
        self._sorted = [piece for piece, _ in order]
        self._tokens = np.array([token for _, token in order], dtype=np.int64)

    def extending(self, prefix: bytes) -> np.ndarray:
        """Numbers of the tokens whose bytes begin with ``prefix``."""
        begin = bisect_left(self._sorted, prefix)
        top = prefix.rstrip(b"\xff")
        if not top:
            return self._tokens[begin:]
        return self._tokens[begin : bisect_left(self._sorted, top[:-1] + bytes([top[-1] + 1]))]

    def inside(self, prefix: bytes) -> np.ndarray:
        """Numbers of the tokens that ``prefix`` begins with, and is longer than."""
        found: list[int] = []
        for size in range(1, len(prefix)):
            piece = prefix[:size]
            place = bisect_left(self._sorted, piece)
            while place < len(self._sorted) and self._sorted[place] == piece:
                found.append(int(self._tokens[place]))
                place += 1
        return np.array(found, dtype=np.int64)
