"""Options: the likeliest next words as they are offered, and where their probabilities come from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from volition.nodes.text.mask import Candidate, TrieMask, prefix_free
from volition.nodes.text.mixing import Mixing
from volition.nodes.text.rows import Rows
from volition.nodes.text.search import Limits, Model, Option, Search
from volition.nodes.text.spelling import Split, normalised, split
from volition.nodes.text.words import Tilt, Words

__all__ = ["P_NONE_BOUNDS", "Limits", "Model", "Outcome", "Proposal", "Split", "normalised", "propose", "split"]

P_NONE_BOUNDS = (0.05, 0.95)

SHARES = ("model", "bias", "focus", "mask")
"""Where an option's log-probability comes from; they are added in this order."""


@dataclass(frozen=True)
class Proposal:
    """One option.

    Attributes
    ----------
    text
        Is inserted as it is.
    log_probability
        Of the text going on with it, and its last word ending there.
    tokens
        From the end of the prompt.
    log_probabilities
        Of each token, without evidence.
    variants
        Other tokens that make the same words, in another case or cut otherwise, likewise; they count with
        the first.
    why
        Shares of ``log_probability``, in nats, whose sum it is: ``model`` by itself; what the token ``bias``,
        the ``focus`` and the ``mask`` (evidence, and the masks that forbid: what is typed, a script) add; with a
        profile also what the person's own counts (``cache``) and the ``rank`` by earlier choices add.
    features
        What ranks it, see ``rerank.FEATURES``; with a profile only.
    """

    text: str
    log_probability: float
    tokens: tuple[int, ...] = ()
    log_probabilities: tuple[float, ...] = ()
    variants: tuple[Candidate, ...] = ()
    why: dict[str, float] = field(default_factory=dict, hash=False)
    features: tuple[float, ...] = ()

    def candidate(self, log_v: float) -> Candidate:
        """The option's own tokens as evidence speaks about them."""
        return Candidate(self.tokens, self.log_probabilities, log_v)

    def candidates(self, log_v: float) -> tuple[Candidate, ...]:
        """The option in all its variants as evidence speaks about it."""
        if not self.tokens:
            return ()
        others = (Candidate(v.tokens, v.log_probabilities, log_v) for v in self.variants)
        return self.candidate(log_v), *others


@dataclass(frozen=True)
class Outcome:
    """What a search gave.

    Attributes
    ----------
    options
        Likeliest first, no two beginning with the same word.
    p_none
        1 - ``covered_mass``, within ``P_NONE_BOUNDS``.
    covered_mass
        The sum of their probabilities.
    complete
        Whether the search came to its end. If not, the probability of a word whose end was not seen yet is
        an upper bound.
    rest
        Words that were found and are less likely than the options, likeliest first; with ``mixing`` only.
    """

    options: tuple[Proposal, ...]
    p_none: float
    covered_mass: float
    complete: bool
    rest: tuple[Proposal, ...] = ()


def propose(
    model: Model,
    words: Words,
    where: Split,
    limits: Limits,
    candidates: Sequence[Candidate] = (),
    refused: Collection[str] = (),
    tilt: Tilt | None = None,
    mixing: Mixing | None = None,
) -> Outcome:
    """Options after a prompt, and the probability that none of them fits.

    Parameters
    ----------
    model
        Holds the evaluated prompt.
    where
        How the text was split; the prompt ends with its ``base``.
    candidates
        What evidence speaks about; tokens follow the same prompt.
    refused
        Options that are not offered again, nor what begins with them.
    tilt
        What is added to log-probabilities at every step.
    mixing
        The person's own counts.
    """
    # Options begin where the text ends, and what the search finds begins where the prompt ends.
    spoken = {where.need[: where.typed].decode() + option for option in refused}
    rows = Rows(words, TrieMask(prefix_free(candidates)), tilt or Tilt.of(), limits.script)
    search = Search(model, rows, where, limits, spoken, mixing)
    found, complete = search.run()
    mixed = mixing is not None
    options, rest = (
        tuple(sorted((_proposal(search, option, where, mixed) for option in part), key=lambda o: -o.log_probability))
        for part in (found, search.rest)
    )
    covered = covered_by(options)
    return Outcome(options, none_of(covered), covered, complete, rest)


def covered_by(options: Sequence[Proposal]) -> float:
    """The sum of the options' probabilities, at most 1."""
    return min(1.0, math.fsum(math.exp(option.log_probability) for option in options))


def none_of(covered: float) -> float:
    """The probability that no option fits, within ``P_NONE_BOUNDS``, where options cover so much."""
    return float(np.clip(1.0 - covered, *P_NONE_BOUNDS))


def _proposal(search: Search, option: Option, where: Split, mixed: bool) -> Proposal:
    model, bias, focus, _, evidence = search.stages(option)
    norm = search.log_norm if math.isfinite(search.log_norm) else 0.0
    log_p = min(0.0, evidence - norm)
    shares = dict(zip(SHARES, (model, bias - model, focus - bias, log_p - focus), strict=True))
    if mixed:
        alone, log_p = log_p, min(0.0, evidence + option.gained - search.log_norm_mixed)
        shares["cache"] = log_p - alone
    first, *others = option.word.paths
    added = option.path[len(first) :]
    grown = search.prior(option.path)
    variants = () if added else tuple(Candidate(path, search.prior(path)) for path in others)
    return Proposal(
        where.inserted(option.text),
        log_p,
        option.path,
        grown,
        variants,
        shares,
    )
