"""Best-first search for the likeliest words after a prompt, each grown while what follows is likely.

A word is a run of letters, digits, apostrophes and hyphens; it is complete when the next token starts
something else. Its probability is that of its tokens times that of such a boundary after them: exactly
P(the text goes on with this word and the word ends here), or, for several words, with all of them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.mixing import Continued, Mixing, leanings
from volition.nodes.text.rows import Row, Rows, Stages
from volition.nodes.text.spelling import Split, looks_whole, normalised, stem
from volition.nodes.text.words import INNER, STARTS

Path = tuple[int, ...]

_NEGLIGIBLE = math.log(1e-4)
_WIDTH = 6  # continuations of an unfinished word that are looked at
_FIRST = 24  # first tokens that are looked at
_MARKS = (b".", b"?", b"!")


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

    def after(self, paths: Sequence[Path]) -> list[np.ndarray]:
        """Log-probabilities of the next token after the prompt and each path, float32, shape (n_vocab,).

        () is the prompt itself. Rows are normalised, read-only and kept: asking again is free.

        Raises
        ------
        Cancelled
            When the time is up.
        """
        ...


@dataclass(frozen=True)
class Limits:
    """How much to propose, and what not.

    Attributes
    ----------
    k
        Most options.
    n_words
        Most words of an option.
    grow
        A next word is added while it is likelier than this, given the option so far ...
    floor
        ... and the longer option still has this share of the likeliest one's probability.
    gain
        A further word is looked for while it may be likelier than the last option by this much; each look
        costs the model an evaluation.
    steps
        Most evaluations of the model, each of several paths.
    same_stem
        Most options whose first words are inflections of one word.
    banned
        Words that no option holds.
    script
        "latin" or "cyrillic": no letters of another script; None for any.
    punctuation
        Whether the end of the sentence may be an option.
    """

    k: int = 5
    n_words: int = 3
    grow: float = 0.5
    floor: float = 0.02
    gain: float = 0.0
    steps: int = 6
    same_stem: int = 2
    banned: tuple[str, ...] = ()
    script: str | None = None
    punctuation: bool = False


@dataclass(order=True)
class _Branch:
    """A path that begins a word and is not evaluated yet; ordered by falling probability."""

    rank: float
    number: int
    path: Path = field(compare=False)
    text: bytes = field(compare=False)


@dataclass(frozen=True)
class Word:
    """A complete word: ``log_p`` is that of all its ``paths``, ``text`` that of the first, the likeliest.

    ``ended`` says that a boundary follows without being looked for: a mark that ends a sentence. ``gained`` is what
    the person's own counts add to ``log_p``.
    """

    paths: tuple[Path, ...]
    text: bytes
    log_p: float
    ended: bool = False
    gained: float = 0.0

    @property
    def rank(self) -> float:
        """The word's log-probability with all that counts."""
        return self.log_p + self.gained


@dataclass(frozen=True)
class Option:
    """A word and what was added to it; ``path``, ``text`` and ``gained`` are those of all of it."""

    word: Word
    path: Path
    text: bytes
    gained: float = 0.0


class Search:
    """The likeliest words after a prompt.

    Parameters
    ----------
    model
        Holds the evaluated prompt.
    rows
        Shifts the model's log-probabilities.
    where
        How the text was split; the prompt ends with its ``base``.
    limits
        How much to look for.
    refused
        Options, from the end of the prompt on, that nothing found may begin with.
    mixing
        The person's own counts; None for none.
    """

    def __init__(
        self,
        model: Model,
        rows: Rows,
        where: Split,
        limits: Limits,
        refused: Collection[str] = (),
        mixing: Mixing | None = None,
    ):
        self._model = model
        self._make = rows
        self._words = rows.words
        self._where = where
        self._need = where.need
        self._half_typed = where.need not in (b"", b" ")
        self._limits = limits
        self._refused = {tuple(normalised(option).split()) for option in refused}
        self._banned = {normalised(word) for word in limits.banned}
        self._queue: list[_Branch] = []
        self._count = 0
        self._found: list[Word] = []
        self._mixing = mixing
        self._leanings, self._otherwise = leanings(rows.mask, rows.words.pieces) if mixing else ({}, 0.0)
        self._brought: set[Path] = set()
        self._highest = -math.inf
        self.rest: list[Option] = []
        """Words that were found and are no options, likeliest first."""
        self.rows: dict[Path, Row] = {}
        self.log_norm = -math.inf if self._half_typed else 0.0
        """Log of the probability that the text agrees with what is typed."""

    def run(self) -> tuple[list[Option], bool]:
        """The options, likeliest first, and whether the search came to its end."""
        try:
            self._evaluate([_Branch(0.0, 0, (), b"")], [])
            self._bring()
            for _ in range(self._limits.steps):
                best = self._best(self._found)
                branches = self._next(best)
                growing = [path for _, path in map(self._grown, best) if path is not None]
                if not branches and not growing:
                    break
                self._evaluate(branches, growing)
            found, complete = self._found, True
        except Cancelled:
            found, complete = [*self._found, *self._unevaluated()], False
        options = [self._grown(word)[0] for word in self._best(found)]
        below = self._best(found, 2 * self._limits.k)[len(options) :] if self._mixing else ()
        self.rest = [Option(word, word.paths[0], word.text, word.gained) for word in below]
        return options, complete

    @cached_property
    def log_norm_mixed(self) -> float:
        """``log_norm`` with the sum of all that the person's own counts add; of a search that is over."""
        if self._mixing is None:
            return self.log_norm
        # A brought word may begin with tokens that the search did not look at: what is typed is as likely at least.
        found = [word.log_p for word in self._found] if self._half_typed else []
        alone = max(self.log_norm, float(np.logaddexp.reduce(found)) if found else -math.inf)
        return float(np.logaddexp(alone, self._mixing.log_total(self._leanings, self._otherwise)))

    # Words

    def _next(self, best: list[Word]) -> list[_Branch]:
        """Branches that may still become one of the best words."""
        k = self._limits.k
        floor = _log(math.exp(best[-1].rank) + self._limits.gain) if len(best) == k else -math.inf
        chosen: list[_Branch] = []
        while self._queue and len(chosen) < k and -self._queue[0].rank > floor:
            chosen.append(heapq.heappop(self._queue))
        return chosen

    def _evaluate(self, branches: list[_Branch], growing: list[Path]) -> None:
        paths = [*(branch.path for branch in branches), *growing]
        try:
            evaluated = self._model.after(paths)
        except Cancelled:
            for branch in branches:
                heapq.heappush(self._queue, branch)
            raise
        for path, log_p in zip(paths, evaluated, strict=True):
            self.rows[path] = self._make(path, log_p)
        for branch in branches:
            row = self.rows[branch.path]
            whole = branch.path and branch.text.startswith(self._need) and branch.path not in self._brought
            if whole and not self._refuses(branch.text):
                self._found.append(Word((branch.path,), branch.text, -branch.rank + row.ends))
            self._push(branch, row)
        if branches and not branches[0].path and self._limits.punctuation:
            self._found.extend(self._marks())

    def _bring(self) -> None:
        """Find the words that the person's own counts hold likely, wherever they stand in the model's order."""
        brought = self._mixing.brought(self._limits.k) if self._mixing else ()
        words = {path: text for text, path in brought if not self._refuses(text)}
        if not words:
            return
        self._evaluate([], sorted({path[:n] for path in words for n in range(1, len(path) + 1)}))
        for path, text in words.items():
            log_p = sum(self._step(path[:n], token) for n, token in enumerate(path)) + self.rows[path].ends
            if math.isfinite(log_p):
                self._found.append(Word((path,), text, log_p))
                self._brought.add(path)

    def _step(self, path: Path, token: int) -> float:
        return float(self.rows[path].values(np.array([token], dtype=np.int64))[0])

    def _push(self, branch: _Branch, row: Row) -> None:
        """Queue what ``branch`` may go on with."""
        rest = self._need[len(branch.text) :] if self._need.startswith(branch.text) else b""
        whole, part = self._words.agreeing(rest) if rest not in (b"", b" ") else (None, None)
        if whole is not None and rest:
            self.log_norm = float(np.logaddexp(self.log_norm, -branch.rank + row.mass(whole)))
        least = _NEGLIGIBLE + self.log_norm + branch.rank
        width = _WIDTH if branch.text else _FIRST
        if whole is None or part is None:
            found = row.top(STARTS if rest else INNER, width, least)
            if self._half_typed and branch.text == self._need:
                found += row.top(STARTS, width, least)  # the word may be complete as it is typed
        else:
            found = [*row.top(whole, width, least), *row.top(part, 2, least)]
        for token, log_p in found:
            text = branch.text + self._words.pieces[token]
            if (normalised(text.decode(errors="replace")),) not in self._refused:
                self._count += 1
                heapq.heappush(self._queue, _Branch(branch.rank - log_p, self._count, (*branch.path, token), text))

    def _marks(self) -> list[Word]:
        """Ends of the sentence, where a word stands before."""
        if self._need != b" " or self._where.typed or not self._where.base[-1:].isalnum():
            return []
        row = self.rows[()]
        found = []
        for mark in _MARKS:
            tokens = [t for t in self._words.index.extending(mark).tolist() if not self._words.pieces[t][1:].strip()]
            values = row.values(np.array(tokens, dtype=np.int64))
            order = np.argsort(-values, kind="stable").tolist()
            if tokens and values.max() > _NEGLIGIBLE and (mark.decode(),) not in self._refused:
                log_p = float(np.logaddexp.reduce(values))
                found.append(Word(tuple((tokens[n],) for n in order), mark, log_p, ended=True))
        return found

    def _unevaluated(self) -> list[Word]:
        """Likely first words of which the time did not suffice to see where they end.

        Only what hardly is a part of another word counts (see ``looks_whole``). The probability is that of
        the tokens, an upper bound: a boundary is taken for certain.
        """
        words = []
        for branch in sorted(self._queue)[:_FIRST]:
            text = branch.text
            if text.startswith(self._need) and not self._refuses(text) and looks_whole(text.decode()):
                words.append(Word((branch.path,), text, -branch.rank, ended=True))
        return words

    def _refuses(self, text: bytes) -> bool:
        """Whether ``text`` begins with a refused option, holds a banned word, or is no words."""
        try:
            found = tuple(normalised(text.decode()).split())
        except UnicodeDecodeError:
            return True
        again = any(found[: len(option)] == option for option in self._refused)
        proper = bool(found) and all(word[0].isalnum() and word[-1] != "-" for word in found)
        return not proper or again or not self._banned.isdisjoint(found)

    def _best(self, found: Sequence[Word], n: int | None = None) -> list[Word]:
        """The n likeliest words; variants of one word (case, tokens) count together, under the likeliest."""
        n = self._limits.k if n is None else n
        merged: dict[str, Word] = {}
        for word in sorted(found, key=lambda word: -word.log_p):
            if self._half_typed and word.text == self._need:
                continue  # what is typed already is a word: nothing to insert
            key = normalised(word.text.decode())
            first = merged.get(key)
            if first is None:
                merged[key] = word
            elif not word.ended or first.ended:
                log_p = float(np.logaddexp(first.log_p, word.log_p))
                merged[key] = Word((*first.paths, *word.paths), first.text, log_p, first.ended)
        if self._mixing is not None:
            merged = {key: self._mixed(key, word) for key, word in merged.items()}
            self._highest = max((word.rank for word in merged.values()), default=-math.inf)
        best: list[Word] = []
        stems: dict[str, int] = {}
        for key, word in sorted(merged.items(), key=lambda item: -item[1].rank):
            stems[stem(key)] = stems.get(stem(key), 0) + 1
            if stems[stem(key)] <= self._limits.same_stem and len(best) < n:
                best.append(word)
        return best

    def _mixed(self, key: str, word: Word) -> Word:
        bonus = self._mixing.log_bonus(key, self._leanings.get(key, self._otherwise)) if self._mixing else -math.inf
        return replace(word, gained=float(np.logaddexp(word.log_p, bonus)) - word.log_p)

    # Growth

    def _grown(self, word: Word) -> tuple[Option, Path | None]:
        """A word with all that is known to follow it, and the path that is to be evaluated to know more."""
        whole = Option(word, word.paths[0], word.text, word.gained)
        log_p = word.rank
        while not word.ended and len(whole.text.split()) < self._limits.n_words:
            following, given, path = self._following(whole, log_p)
            if following is None:
                return whole, path
            whole, log_p = following, log_p + given
        return whole, None

    def _following(self, whole: Option, log_p: float) -> tuple[Option | None, float, Path | None]:
        """An option with its next word and P(the word | the option), or the path that is not evaluated yet."""
        limits = self._limits
        highest = max((word.log_p for word in self._found), default=log_p)
        least = max(math.log(limits.grow), max(highest, self._highest) + _log(limits.floor) - log_p)
        spoken = self._mixing.then(whole.text.decode()) if self._mixing else None
        if spoken is not None and spoken.tokens:
            own = self._own(whole, spoken, least)
            if own is not None:
                return own
        path, text, row = whole.path, whole.text, self.rows[whole.path]
        given = -row.ends  # the option is complete
        among = STARTS
        while True:
            step = row.top(among, 1, least - given)
            if not step or given + step[0][1] <= least:
                return None, 0.0, None
            token, log_next = step[0]
            path, text, given = (*path, token), text + self._words.pieces[token], given + log_next
            if path not in self.rows:
                return None, 0.0, path
            row = self.rows[path]
            alone = given + row.ends
            word = normalised(text[len(whole.text) :].decode(errors="replace"))
            mixed = alone if spoken is None else spoken.log_mixed(word, alone)
            if mixed > least and not self._refuses(text):
                return Option(whole.word, path, text, whole.gained + mixed - alone), mixed, None
            among = INNER

    def _own(self, whole: Option, spoken: Continued, least: float) -> tuple[Option | None, float, Path | None] | None:
        """As ``_following``, with the word that the person's own counts hold likeliest; None when it is not likely."""
        path, given = whole.path, -self.rows[whole.path].ends
        for token in spoken.tokens:
            given += self._step(path, token)
            if spoken.log_mixed(spoken.word, min(0.0, given)) <= least:
                return None
            path = (*path, token)
            if path not in self.rows:
                return None, 0.0, path
        given += self.rows[path].ends
        mixed = spoken.log_mixed(spoken.word, given)
        text = whole.text + spoken.spelled
        if mixed <= least or not math.isfinite(given) or self._refuses(text):
            return None
        return Option(whole.word, path, text, whole.gained + mixed - given), mixed, None

    # Shares

    def stages(self, option: Option) -> Stages:
        """Log-probability of an option under each of ``STAGES``, not conditioned on what is typed."""
        word = option.word
        each = [np.array(self._along(path, 0, not word.ended)) for path in word.paths]
        total = np.logaddexp.reduce(np.stack(each)) if len(each) > 1 else each[0]
        first = word.paths[0]
        if len(option.path) > len(first):
            total = total + self._along(option.path, len(first), True) - np.array(self.rows[first].boundary)
        model, bias, focus, hard, evidence = total.tolist()
        return model, bias, focus, hard, evidence

    def _along(self, path: Path, begin: int, to_boundary: bool) -> np.ndarray:
        """The sum of the stages of a path's tokens from ``begin`` on, and of the boundary after them."""
        steps = [self.rows[path[:n]].stages(path[n]) for n in range(begin, len(path))]
        if to_boundary:
            steps.append(self.rows[path].boundary)
        return np.array(steps).sum(axis=0)

    def prior(self, path: Path) -> tuple[float, ...]:
        """Log-probabilities of a path's tokens without evidence."""
        return tuple(self.rows[path[:n]].stages(token)[-2] for n, token in enumerate(path))


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf
