"""Next-token log-probabilities after a path, under everything that shifts them.

What shifts them is sparse: a tilt adds to a few tokens, evidence adds one constant and values at a few tokens,
hard masks take whole classes of tokens out. So nothing of the size of the vocabulary is written: sums over the
model's own probabilities are taken once a row and kept, and each shift corrects them at its few tokens,

    Z' = Z + sum_t p_t (e^b_t - 1).

The stages, in the order of ``STAGES``, each normalised: the model alone; with the token bias; with the focus;
with the hard masks (the prior that evidence speaks about); with the evidence.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from volition.nodes.text.mask import TrieMask
from volition.nodes.text.words import BOUNDARY, ENDS_LINE, SCRIPTS, Tilt, Words

STAGES = ("model", "bias", "focus", "hard", "evidence")

Stages = tuple[float, float, float, float, float]
"""A log-probability under each of the stages."""

_FEW = 1e-4
"""A remainder below this is summed anew instead of found as a difference."""


class Rows:
    """Makes the rows of one proposal.

    Parameters
    ----------
    words
        Of the model's vocabulary.
    mask
        Evidence about candidates.
    tilt
        What is added at every step.
    script
        A name of ``SCRIPTS``: tokens with letters of another one are forbidden; None for no limit.
    """

    def __init__(self, words: Words, mask: TrieMask, tilt: Tilt, script: str | None = None):
        self.words = words
        self.mask = mask
        self.tilt = tilt
        self.forbidden = SCRIPTS[script] if script else 0
        self.raised = tilt.bias + tilt.focus
        self.factor_bias = np.expm1(tilt.bias)
        self.factor = np.expm1(self.raised)
        self.flags = words.flags[tilt.tokens]
        self.ends_word = self.flags & BOUNDARY > 0
        self.place = {token: n for n, token in enumerate(tilt.tokens.tolist())}

    def __call__(self, path: tuple[int, ...], log_p: np.ndarray) -> Row:
        """The row after ``path``, of the model's normalised log-probabilities, shape (n_vocab,)."""
        return Row(self, path, log_p)


class Row:
    """Log-probabilities of the token after one path; no line ends at once after the prompt."""

    def __init__(self, rows: Rows, path: tuple[int, ...], log_p: np.ndarray):
        self._rows = rows
        self._log_p = log_p
        self._digest = rows.words.digest(log_p)
        self._p = np.exp(log_p[rows.tilt.tokens].astype(np.float64))
        self._z_bias = 1.0 + float(self._p @ rows.factor_bias)
        self._z_tilt = 1.0 + float(self._p @ rows.factor)
        self._forbidden = rows.forbidden | (0 if path else ENDS_LINE)
        allowed = self._allowed(0)
        if self._forbidden and not allowed > 0.0:
            self._forbidden = 0  # nothing would be left
        self._z_hard = allowed if self._forbidden else self._z_tilt
        self._take(path)

    def _allowed(self, required: int) -> float:
        """Sum over the tokens with the flags ``required`` that are not forbidden, tilted, not normalised."""
        rows = self._rows
        if not required and not self._forbidden:
            return self._z_tilt
        fits = ((rows.flags & required) == required) & ((rows.flags & self._forbidden) == 0)
        own = self._digest.mass(self._log_p, required, self._forbidden)
        return max(0.0, own + float((self._p * rows.factor)[fits].sum()))

    def _take(self, path: tuple[int, ...]) -> None:
        """Take in what evidence says after ``path``; nothing, when it would leave nothing possible."""
        rows = self._rows
        self._elsewhere, self._z_evidence = 0.0, 0.0  # logs
        self._shifts: dict[int, float] = {}
        self._children = np.empty(0, dtype=np.int64)
        self._prior = self._posterior = np.empty(0)
        shift = rows.mask.shift(path)
        if shift is not None:
            children, values = shift.tokens, shift.values
            possible = rows.words.flags[children] & self._forbidden == 0
            raised = np.array([self._raised(token) for token in children.tolist()])
            prior = np.exp(self._log_p[children].astype(np.float64) + raised) / self._z_hard * possible
            rest = self._rest(1.0 - float(prior.sum()), children, 0)
            with np.errstate(divide="ignore"):
                parts = [_log(rest) + shift.elsewhere, *(np.log(prior) + values).tolist()]
            best = max(parts)
            if math.isfinite(best):
                self._z_evidence = best + math.log(math.fsum(math.exp(part - best) for part in parts))
                self._elsewhere, self._children, self._prior = shift.elsewhere, children, prior
                self._shifts = dict(zip(children.tolist(), values.tolist(), strict=True))
                self._posterior = np.exp(np.array(parts[1:]) - self._z_evidence)
        self._constant = self._elsewhere - self._z_evidence - math.log(self._z_hard)
        self._adjusted, self._adjustments = self._adjust()

    def _adjust(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens, rising, whose log-probability changes by something else than the constant, and by what."""
        tilted = self._rows.tilt.tokens
        if not self._shifts:
            return tilted, self._rows.raised + self._constant
        tokens = np.union1d(tilted, self._children)
        both = zip(tokens.tolist(), map(self._raised, tokens.tolist()), strict=True)
        own = -self._z_evidence - math.log(self._z_hard)
        changes = [raised + self._shifts.get(token, self._elsewhere) + own for token, raised in both]
        return tokens, np.array(changes)

    def _raised(self, token: int) -> float:
        place = self._rows.place.get(token)
        return 0.0 if place is None else float(self._rows.raised[place])

    def _rest(self, difference: float, children: np.ndarray, required: int) -> float:
        """The prior of the tokens with the flags ``required`` beside ``children``, about ``difference``."""
        if difference > _FEW:
            return difference
        rows = self._rows
        weights = np.exp(self._log_p)
        weights[rows.tilt.tokens] *= 1.0 + rows.factor
        weights[children] = 0.0
        return rows.words.mass(weights, required, self._forbidden) / self._z_hard

    def values(self, tokens: np.ndarray) -> np.ndarray:
        """Log-probabilities of ``tokens``, rising numbers, under everything; float64."""
        values: np.ndarray = self._log_p[tokens].astype(np.float64) + self._constant
        if len(self._adjusted):
            places = np.searchsorted(self._adjusted, tokens)
            places[places == len(self._adjusted)] = 0
            hit = self._adjusted[places] == tokens
            values[hit] = self._log_p[tokens[hit]] + self._adjustments[places[hit]]
        if self._forbidden:
            values[self._rows.words.flags[tokens] & self._forbidden > 0] = -np.inf
        return values

    def stages(self, token: int) -> Stages:
        """Log-probability of one token."""
        rows = self._rows
        place = rows.place.get(token)
        model = float(self._log_p[token])
        bias = model + (float(rows.tilt.bias[place]) if place is not None else 0.0) - math.log(self._z_bias)
        raised = model + self._raised(token)
        forbidden = int(rows.words.flags[token]) & self._forbidden
        hard = -math.inf if forbidden else raised - math.log(self._z_hard)
        evidence = hard + self._shifts.get(token, self._elsewhere) - self._z_evidence
        return model, bias, raised - math.log(self._z_tilt), hard, evidence

    @cached_property
    def boundary(self) -> Stages:
        """Log-probability that a word ends here."""
        rows = self._rows
        model = self._digest.mass(self._log_p, BOUNDARY, 0)
        ends, p = rows.ends_word, self._p
        bias = (model + float((p * rows.factor_bias)[ends].sum())) / self._z_bias
        focus = (model + float((p * rows.factor)[ends].sum())) / self._z_tilt
        hard = evidence = self._allowed(BOUNDARY) / self._z_hard
        if len(self._children):
            ending = rows.words.flags[self._children] & BOUNDARY > 0
            rest = self._rest(hard - float(self._prior[ending].sum()), self._children, BOUNDARY)
            factor = math.exp(min(self._elsewhere - self._z_evidence, 700.0))
            evidence = rest * factor + float(self._posterior[ending].sum())
        model, bias, focus, hard, evidence = (_log(min(1.0, p)) for p in (model, bias, focus, hard, evidence))
        return model, bias, focus, hard, evidence

    @property
    def ends(self) -> float:
        """Log-probability under everything that a word ends here."""
        return self.boundary[-1]

    def mass(self, tokens: np.ndarray) -> float:
        """Log-probability of ``tokens`` together, under everything."""
        return _log(float(np.exp(self.values(tokens)).sum()))

    def top(self, among: int | np.ndarray, width: int, least: float) -> list[tuple[int, float]]:
        """The likeliest tokens and their log-probabilities, best first; of equal ones the lower numbers.

        Parameters
        ----------
        among
            Flags of which a token must have one, or numbers, rising.
        width
            At most so many.
        least
            None that is less likely.
        """
        if isinstance(among, int):
            likely = self._digest.likely(self._log_p, least - self._constant)
            tokens = np.union1d(likely, self._adjusted) if len(self._adjusted) else likely
            tokens = tokens[self._rows.words.flags[tokens] & among > 0]
        else:
            tokens = among
        values = self.values(tokens)
        kept = (values >= least) & np.isfinite(values)
        tokens, values = tokens[kept], values[kept]
        order = np.argsort(-values, kind="stable")[:width]
        return list(zip(tokens[order].tolist(), values[order].tolist(), strict=True))


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf
