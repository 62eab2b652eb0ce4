"""What a person's choices say beyond probabilities: weights of features, and a bias of words.

An option's utility is u_j = log p_j + w . x_j, that of none of them u_0 = log p_0, and

    P_j = exp(u_j) / sum_i exp(u_i)        i over the options and none

is a conditional logit (McFadden 1974) that is the menu's own probabilities where w = 0. An acceptance can be read in
three ways, each a loss over w:

    choice          -log P_taken, where none counts as taken when nothing was
    accepted-only   -log s_taken             s_j = 1 / (1 + exp(-(logit p_j + w . x_j)))
    mask            -sum_j log s_j (taken) or log(1 - s_j) (not taken)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from volition.nodes.text.cache import WordCache, history
from volition.nodes.text.proposals import Proposal
from volition.nodes.text.spelling import Split, is_function_word, normalised

Reading = Literal["choice", "accepted-only", "mask"]

FEATURES = (
    "any",  # 1 for each option: none of them has no features
    "log_probability",
    "words",
    "characters",
    "cached",  # what the person's own counts say of the first word
    "recent",
    "unused",  # a word this person never wrote
    "remembered",  # the share of content words that stand in a remembered line of the prompt
    "function_word",
    "grown",
    "completes",  # a word that is half typed
    "repeats",  # the last word
    "again",  # a content word of the sentence so far
    "place",  # on the menu: only in learning, where it takes on what the eye does with the first place
)
"""Each about -1..1."""

BOUND = 2.0
"""Largest weight, in nats for a feature of 1."""

_BIASED = 64  # words whose bias is put on tokens

_DIGITS = 9  # to which weights are rounded, so that another processor's last bit changes nothing


def first_word(where: Split, option: str) -> str:
    """The first word of the text from the prompt's end on, without case: the whole of one that is half typed."""
    words = (where.need[: where.typed].decode() + option).split()
    return normalised(words[0]) if words else ""


def features(
    option: Proposal, log_p: float, where: Split, cache: WordCache, memory: Sequence[str] = ()
) -> tuple[float, ...]:
    """What ranks an option, see ``FEATURES``; the place is 0.

    Parameters
    ----------
    log_p
        Its log-probability before it is ranked.
    where
        How the text before it was split.
    cache
        What the person wrote.
    memory
        Remembered lines of the prompt.
    """
    half_typed = where.typed > 0 and where.need != b" "
    words = normalised(option.text).split()
    first = first_word(where, option.text)
    whole = [first, *words[1:]]
    content = [word for word in whole if not is_function_word(word)]
    lines = {word for line in memory for word in normalised(line).split()}
    so_far = history(where.base)
    sentence = set(normalised(where.base).split()[-12:])
    values = {
        "any": 1.0,
        "log_probability": max(-1.0, log_p / 5.0),
        "words": (len(whole) - 1) / 2.0,
        "characters": min(2.0, len(option.text.strip()) / 10.0),
        "cached": cache.after(so_far).of(first),
        "recent": cache.recency(first),
        "unused": float(not cache.recency(first)),
        "remembered": sum(word in lines for word in content) / len(content) if content else 0.0,
        "function_word": float(is_function_word(first)),
        "grown": float(len(whole) > 1),
        "completes": float(half_typed),
        "repeats": float(first == so_far[-1]),
        "again": float(any(word in sentence for word in content)),
        "place": 0.0,
    }
    return tuple(round(values[name], 6) for name in FEATURES)


def utilities(log_p: np.ndarray, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """u_j = log p_j + w . x_j, shape (n_options,); log_p (n_options,), x (n_options, n_features), w (n_features,)."""
    values: np.ndarray = log_p + (x * w).sum(axis=1)  # no matrix product: BLAS differs between machines
    return values


def shares(u: np.ndarray, log_p_none: float) -> np.ndarray:
    """P_j of each option and, last, of none; shape (n_options + 1,)."""
    every = np.append(u, log_p_none)
    weights = np.exp(every - every.max())
    p: np.ndarray = weights / weights.sum()
    return p


def loss(
    reading: Reading, w: np.ndarray, log_p: np.ndarray, log_p_none: float, x: np.ndarray, taken: int | None
) -> tuple[float, np.ndarray]:
    """The loss of one acceptance and its gradient, shape (n_features,); ``taken`` None is none of them."""
    chosen = np.zeros(len(log_p))
    if taken is not None:
        chosen[taken] = 1.0
    if reading == "choice":
        p = shares(utilities(log_p, x, w), log_p_none)
        value = -math.log(max(p[-1 if taken is None else taken], 1e-300))
        return value, ((p[:-1] - chosen)[:, None] * x).sum(axis=0)
    limited = np.minimum(log_p, -1e-9)
    logit = utilities(limited - np.log(-np.expm1(limited)), x, w)
    s = 0.5 * (1.0 + np.tanh(0.5 * logit))
    counts = chosen if reading == "accepted-only" else np.ones(len(log_p))
    each = np.logaddexp(0.0, np.where(chosen > 0, -logit, logit))
    return float((counts * each).sum()), ((counts * (s - chosen))[:, None] * x).sum(axis=0)


class Ranker:
    """Weights that follow a person's choices: AdaGrad (Duchi et al. 2011, JMLR 12), pulled to 0.

    Parameters
    ----------
    reading
        Which loss.
    rate
        Of learning: about how far a weight goes with the first choices.
    pull
        Weight of the squared weights in the loss.
    steps
        Down the gradient at each choice.
    """

    def __init__(
        self,
        reading: Reading = "choice",
        rate: float = 0.1,
        pull: float = 0.002,
        steps: int = 2,
        n_features: int = len(FEATURES),
    ):
        self.reading: Reading = reading
        self.rate, self.pull, self.steps = rate, pull, steps
        self.w = np.zeros(n_features)
        self.squares = np.ones(n_features)  # not 0: the first choice does not decide on its own

    def learn(self, log_p: np.ndarray, log_p_none: float, x: np.ndarray, taken: int | None) -> None:
        """Take one choice; shapes as in ``utilities``."""
        if self.reading == "accepted-only" and taken is None:
            return
        for _ in range(self.steps):
            _, gradient = loss(self.reading, self.w, log_p, log_p_none, x, taken)
            gradient = gradient + self.pull * self.w
            self.squares = np.round(self.squares + gradient**2, _DIGITS)
            w = self.w - self.rate * gradient / np.sqrt(self.squares)
            self.w = np.round(np.clip(w, -BOUND, BOUND), _DIGITS)


def ranked(pool: Sequence[Proposal], w: np.ndarray) -> list[Proposal]:
    """Options with their probabilities after ranking, likeliest first; as they are where ``w`` is 0.

    Parameters
    ----------
    pool
        All that were found, with their ``features``; the rest of the probability is that of none of them.
    """
    if not pool or not w.any():
        return list(pool)
    log_p = np.array([option.log_probability for option in pool])
    none = math.log(max(1e-9, 1.0 - float(np.exp(log_p).sum())))
    u = utilities(log_p, np.array([option.features for option in pool]), w)
    p = shares(u, none)[:-1]
    moved = [
        replace(
            option,
            log_probability=min(0.0, math.log(max(value, 1e-300))),
            why={**option.why, "rank": math.log(max(value, 1e-300)) - option.log_probability},
        )
        for option, value in zip(pool, p.tolist(), strict=True)
    ]
    return sorted(moved, key=lambda option: -option.log_probability)


class WordBias:
    """What is added to the log-probability of words that were taken more or less often than was expected.

    Each time a word is on a menu with the probability p, its bias moves by rate (taken - p), within ``bound``, and
    all biases shrink: they fade in a few hundred menus.
    """

    def __init__(self, values: Mapping[str, float] | None = None, rate: float = 0.1, bound: float = 1.0):
        self.values = dict(values or {})
        self.rate, self.bound = rate, bound

    def learn(self, words: Sequence[str], p: Sequence[float], taken: int | None) -> None:
        """Take one choice among options that begin with ``words``."""
        self.values = {word: kept for word, value in self.values.items() if abs(kept := value * 0.998) > 0.001}
        for place, (word, expected) in enumerate(zip(words, p, strict=True)):
            if word:
                moved = self.values.get(word, 0.0) + self.rate * (float(place == taken) - expected)
                self.values[word] = round(min(self.bound, max(-self.bound, moved)), _DIGITS)

    @property
    def nats(self) -> tuple[tuple[str, float], ...]:
        """The words with the strongest biases and what is added to each, in the alphabet's order."""
        strong = sorted((-abs(value), word) for word, value in self.values.items() if abs(value) >= 0.05)
        return tuple(sorted((word, self.values[word]) for _, word in strong[:_BIASED]))
