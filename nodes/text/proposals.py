"""Options: the likeliest next words, each grown while what follows is likely.

A word is a run of letters, digits, apostrophes and hyphens; it is complete when the next token starts
something else. The probability of an option is that of its tokens times that of such a boundary after them:
exactly P(the text goes on with this word and the word ends here), or, for several words, with all of them.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from volition.nodes.text.mask import Candidate, PieceIndex, TrieMask, biased, prefix_free, restricted, without

_WORD = re.compile(rb"^[0-9A-Za-z'\x80-\xff-]+$")
_STARTS = re.compile(rb"^ [0-9A-Za-z\x80-\xff][0-9A-Za-z'\x80-\xff-]*$")
_LINE_END = re.compile(rb"^\s*[\r\n]")
_NEGLIGIBLE = math.log(1e-4)
_WIDTH = 6  # continuations of an unfinished word that are looked at

P_NONE_BOUNDS = (0.05, 0.95)


class Model(Protocol):
    """What a proposal needs of a language model; ``LanguageModel`` has it."""

    @property
    def pieces(self) -> Sequence[bytes]:
        """Bytes of every token."""
        ...

    @property
    def special(self) -> np.ndarray:
        """Tokens that end a text or control the model."""
        ...

    @property
    def free(self) -> int:
        """How many more branches there may be."""
        ...

    def extend(self, parents: Sequence[int], tokens: Sequence[int]) -> tuple[list[int], np.ndarray]:
        """Branch by one token each; see ``LanguageModel.extend``."""
        ...


@dataclass(frozen=True)
class Proposal:
    """One option: ``text`` is inserted as it is."""

    text: str
    log_probability: float
    tokens: tuple[int, ...] = ()
    log_probabilities: tuple[float, ...] = ()

    def candidate(self, log_v: float) -> Candidate:
        """The option as evidence speaks about it."""
        return Candidate(self.tokens, self.log_probabilities, log_v)


@dataclass(frozen=True)
class Split:
    """A text as the model gets it: what is before the word to propose, and how that word begins.

    ``need`` are the bytes that the continuation of ``base`` must begin with; the first ``typed`` of them
    are in the text already.
    """

    base: str
    need: bytes
    typed: int


def split(text: str, half_typed: bool = False) -> Split:
    """Where a continuation of ``text`` starts for the model.

    Tokens carry the space before a word, and a word's tokens are not those of its letters so far. So a
    trailing space and, with ``half_typed``, the unfinished word at the end go back to what is to be
    continued.
    """
    line = text.rsplit("\n", 1)[-1]
    if half_typed and line and not line[-1].isspace():
        word = re.split(r"\s", line)[-1]
        before = text[: len(text) - len(word)]
        stripped = before.rstrip(" ")
        lead = " " if before.rsplit("\n", 1)[-1].strip() else ""
        need = (lead + word).encode()
        return Split(stripped if lead else before, need, len(need))
    if not line.strip():
        return Split(text[: len(text) - len(line)], b"", 0)
    stripped = text.rstrip(" ")
    return Split(stripped, b" ", 1 if len(stripped) < len(text) else 0)


def normalised(option: str) -> str:
    """What makes two options the same: their words without case."""
    return " ".join(option.casefold().split())


class Words:
    """Which tokens of a vocabulary begin, continue or end a word."""

    def __init__(self, pieces: Sequence[bytes], special: np.ndarray):
        self.n_vocab = len(pieces)
        self.index = PieceIndex(pieces)
        control = set(special.tolist())
        usual = [t not in control for t in range(len(pieces))]
        self.inner = _numbers(usual[t] and bool(_WORD.match(p)) for t, p in enumerate(pieces))
        self.starting = _numbers(usual[t] and bool(_STARTS.match(p)) for t, p in enumerate(pieces))
        goes_on = [usual[t] and bool(p) and bool(_WORD.match(p[:1])) for t, p in enumerate(pieces)]
        self.boundary = _numbers(not g for g in goes_on)
        self.ends_line = _numbers(not usual[t] or bool(_LINE_END.match(p)) for t, p in enumerate(pieces))
        self._proper = np.zeros(len(pieces), dtype=bool)
        self._proper[self.inner] = self._proper[self.starting] = True

    def agreeing(self, need: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Tokens that fulfil ``need``, and those that fulfil a part of it."""
        if not need:
            return self.inner, np.empty(0, dtype=np.int64)
        whole = self.index.extending(need)
        part = self.index.inside(need)
        return whole[self._proper[whole]], part


def _numbers(flags: object) -> np.ndarray:
    return np.flatnonzero(np.fromiter(flags, dtype=bool))  # type: ignore[call-overload]


@dataclass(order=True)
class _Path:
    """Tokens from the end of the prompt, not evaluated yet; ordered by falling probability."""

    rank: float
    number: int
    parent: int = field(compare=False)
    tokens: tuple[int, ...] = field(compare=False)
    log_probabilities: tuple[float, ...] = field(compare=False)
    text: bytes = field(compare=False)

    @property
    def log_p(self) -> float:
        return -self.rank


@dataclass
class _Word:
    """A complete word or several: ``log_p`` includes the boundary at the end."""

    branch: int
    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    text: bytes
    log_p: float
    after: np.ndarray


class Search:
    """Best-first search for the likeliest words after a prompt.

    Parameters
    ----------
    model
        Holds the evaluated prompt as branch 0.
    words
        Of the model's vocabulary.
    mask
        Evidence about candidates whose tokens follow the same prompt.
    refused
        Options that nothing found may begin with.
    banned
        Words that nothing found may hold.
    """

    def __init__(
        self,
        model: Model,
        words: Words,
        mask: TrieMask,
        refused: Collection[str] = (),
        banned: Collection[str] = (),
    ):
        self.model = model
        self.words = words
        self.mask = mask
        self.refused = {tuple(normalised(option).split()) for option in refused}
        self.banned = {word.casefold() for word in banned}
        self._queue: list[_Path] = []
        self._count = 0
        self._need = b""
        self._found: list[_Word] = []
        self.log_norm = -math.inf  # log of the probability that the text agrees with what is typed

    def run(self, root: np.ndarray, need: bytes, k: int, steps: int = 4) -> list[_Word]:
        """The ``k`` likeliest complete words after the prompt, whose log-probabilities are ``root``."""
        self._need = need
        root = self._with_evidence(without(root, self.words.ends_line), ())
        if need in (b"", b" "):
            self.log_norm = 0.0
        else:
            root = restricted(root, np.concatenate(self.words.agreeing(need)))
        self._push(0, (), (), b"", root)
        for _ in range(steps):
            chosen = self._next(k)
            if not chosen:
                break
            self._evaluate(chosen)
        return self._best(k)

    def _with_evidence(self, log_p: np.ndarray, tokens: tuple[int, ...]) -> np.ndarray:
        return biased(log_p, self.mask.bias(tokens, self.words.n_vocab))

    def _next(self, k: int) -> list[_Path]:
        """Unfinished paths that may still be among the best ``k``."""
        best = self._best(k)
        floor = best[-1].log_p if len(best) == k else -math.inf
        chosen: list[_Path] = []
        while self._queue and len(chosen) < min(k, self.model.free) and self._queue[0].log_p > floor:
            chosen.append(heapq.heappop(self._queue))
        return chosen

    def _evaluate(self, paths: list[_Path]) -> None:
        branches, rows = self.model.extend([p.parent for p in paths], [p.tokens[-1] for p in paths])
        for path, branch, row in zip(paths, branches, rows, strict=True):
            after = self._with_evidence(row, path.tokens)
            if path.text.startswith(self._need):
                log_p = path.log_p + _log_mass(after, self.words.boundary)
                word = _Word(branch, path.tokens, path.log_probabilities, path.text, log_p, after)
                if not self.refuses(word.text):
                    self._found.append(word)
            self._push(branch, path.tokens, path.log_probabilities, path.text, after)

    def _push(
        self, parent: int, tokens: tuple[int, ...], before: tuple[float, ...], text: bytes, after: np.ndarray
    ) -> None:
        log_p = float(sum(before))
        rest = self._need[len(text) :] if self._need.startswith(text) else b""
        whole, part = self.words.agreeing(rest)
        if rest and rest != b" ":
            self.log_norm = float(np.logaddexp(self.log_norm, log_p + _log_mass(after, whole)))
        width = 4 * _WIDTH if not text else _WIDTH
        for token in (*_top(after, whole, width), *_top(after, part, 2)):
            rank = log_p + float(after[token])
            if rank < _NEGLIGIBLE + self.log_norm:
                continue
            self._count += 1
            piece = self.model.pieces[token]
            path = _Path(
                -rank,
                self._count,
                parent,
                (*tokens, int(token)),
                (*before, float(after[token])),
                text + piece,
            )
            heapq.heappush(self._queue, path)

    def refuses(self, text: bytes) -> bool:
        """Whether ``text`` begins with a refused option, holds a banned word, or is no text."""
        try:
            found = tuple(normalised(text.decode()).split())
        except UnicodeDecodeError:
            return True
        again = any(found[: len(option)] == option for option in self.refused)
        return not found or again or not self.banned.isdisjoint(found)

    def _best(self, k: int) -> list[_Word]:
        """The likeliest words; variants of one word (case, tokens) count together, under the likeliest."""
        merged: dict[str, _Word] = {}
        for word in sorted(self._found, key=lambda w: -w.log_p):
            if word.text == self._need and self._need not in (b"", b" "):
                continue  # what is typed already is a word: nothing to insert
            key = normalised(word.text.decode())
            if key in merged:
                first = merged[key]
                log_p = float(np.logaddexp(first.log_p, word.log_p))
                merged[key] = _Word(first.branch, first.tokens, first.log_probabilities, first.text, log_p, first.after)
            else:
                merged[key] = word
        return sorted(merged.values(), key=lambda w: -w.log_p)[:k]

    def grow(self, found: list[_Word], least: float, n_words: int, steps: int = 4) -> list[_Word]:
        """Add words to each option while the next is likelier than ``least``, up to ``n_words`` in all."""
        results = list(found)
        # Of each option that still grows: its place, the last whole words, and the tokens since.
        growing = [(place, word, word, 0.0) for place, word in enumerate(found)]
        for _ in range(steps):
            requests = [r for r in map(lambda g: self._reach(g, least, n_words), growing) if r][: self.model.free]
            if not requests:
                break
            branches, rows = self.model.extend([r[2].branch for r in requests], [r[4] for r in requests])
            growing = []
            for (place, whole, tip, log_p, token), branch, row in zip(requests, branches, rows, strict=True):
                step = self._advance(whole, tip, log_p, token, branch, row)
                done = log_p + _log_mass(step.after, self.words.boundary)
                if done > math.log(least) and not self.refuses(step.text):
                    step.log_p = whole.log_p + done
                    results[place] = step
                    growing.append((place, step, step, 0.0))
                else:
                    growing.append((place, whole, step, log_p))
        return results

    def _reach(
        self, growing: tuple[int, _Word, _Word, float], least: float, n_words: int
    ) -> tuple[int, _Word, _Word, float, int] | None:
        """The next token of an option, with log P(next word begins with these tokens | it is complete)."""
        place, whole, tip, log_p = growing
        fresh = tip is whole
        if fresh and len(whole.text.split()) >= n_words:
            return None
        tokens = self.words.starting if fresh else self.words.inner
        token = int(tokens[np.argmax(tip.after[tokens])])
        given = _log_mass(tip.after, self.words.boundary) if fresh else 0.0
        log_p += float(tip.after[token]) - given
        return (place, whole, tip, log_p, token) if log_p > math.log(least) else None

    def _advance(self, whole: _Word, tip: _Word, log_p: float, token: int, branch: int, row: np.ndarray) -> _Word:
        tokens = (*tip.tokens, token)
        return _Word(
            branch,
            tokens,
            (*tip.log_probabilities, float(tip.after[token])),
            tip.text + self.model.pieces[token],
            whole.log_p + log_p,
            self._with_evidence(row, tokens),
        )


def _log_mass(log_p: np.ndarray, tokens: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(np.exp(log_p[tokens]).sum())) if len(tokens) else -math.inf


def _top(log_p: np.ndarray, tokens: np.ndarray, n: int) -> np.ndarray:
    """The ``n`` likeliest of ``tokens``, ties in the order of their numbers."""
    if len(tokens) > n:
        bound = np.partition(log_p[tokens], len(tokens) - n)[len(tokens) - n]
        tokens = tokens[log_p[tokens] >= bound]
    order = np.argsort(-log_p[tokens], kind="stable")[:n]
    best: np.ndarray = tokens[order]
    return best


@dataclass(frozen=True)
class Limits:
    """How much to propose: ``k`` options of ``n_words`` words at most, added ones likelier than ``grow``."""

    k: int = 5
    n_words: int = 3
    grow: float = 0.5
    steps: int = 4
    banned: tuple[str, ...] = ()


def propose(
    model: Model,
    words: Words,
    root: np.ndarray,
    where: Split,
    limits: Limits,
    candidates: Sequence[Candidate] = (),
    refused: Collection[str] = (),
) -> tuple[list[Proposal], float]:
    """Options after a prompt, and the probability that none of them fits.

    Parameters
    ----------
    root
        Log-probabilities after the prompt, shape (n_vocab,).
    where
        How the text was split; the prompt ends with its ``base``.
    candidates
        What evidence speaks about; tokens follow the same prompt.
    refused
        Options that are not offered again, nor what begins with them.

    Returns
    -------
    Options, likeliest first, no two beginning with the same word; 1 - their sum, within ``P_NONE_BOUNDS``.
    """
    # Options begin where the text ends, and what the search finds begins where the prompt ends.
    spoken = {where.need[: where.typed].decode() + option for option in refused}
    search = Search(model, words, TrieMask(prefix_free(candidates)), spoken, limits.banned)
    found = search.run(root, where.need, limits.k, limits.steps)
    found = search.grow(found, limits.grow, limits.n_words, limits.steps)
    norm = search.log_norm if np.isfinite(search.log_norm) else 0.0
    options = [
        Proposal(
            word.text[where.typed :].decode(errors="replace"),
            min(0.0, word.log_p - norm),
            word.tokens,
            word.log_probabilities,
        )
        for word in found
    ]
    options.sort(key=lambda option: -option.log_probability)
    total = sum(math.exp(option.log_probability) for option in options)
    return options, float(np.clip(1.0 - total, *P_NONE_BOUNDS))
