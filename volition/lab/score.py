"""Log-probabilities of whole phrases under a language model, many phrases in one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from volition.core import LoadError, NodeError
from volition.nodes.text.llama import LanguageModel, log_softmax
from volition.nodes.text.native import library
from volition.nodes.text.steering import Wheel

Progress = Callable[[float], None]

LONGEST_PROMPT = 1000
LONGEST_PHRASE = 400
"""In tokens."""

_WINDOW = 2048
_BATCH = 64
_SEQUENCES = 32


class OwnContext:
    """Another llama.cpp context for a model, under the weights and adapters that the model has when this is made.

    ``model`` must outlive it.

    Parameters
    ----------
    model
        Whose weights and tokens are used.
    n_ctx, n_batch
        Tokens that it holds, and that it evaluates in one go.
    sequences
        Most sequences that one token belongs to.
    settings
        Further fields of ``llama_context_params``.

    Raises
    ------
    LoadError
        When llama.cpp gives none.
    """

    def __init__(self, model: LanguageModel, n_ctx: int, n_batch: int, sequences: int, **settings: Any):
        self._api = api = library()
        given = api.llama_context_default_params()
        given.n_ctx, given.n_batch, given.n_ubatch = n_ctx, n_batch, n_batch
        given.flash_attn_type = 0  # as for menus; with it, results depend on how many rows go together
        given.n_threads = given.n_threads_batch = model.threads
        given.no_perf = True
        for name, value in settings.items():
            setattr(given, name, value)
        self.context: Any = api.llama_init_from_model(model._model, given)
        if not self.context:
            raise LoadError(f"model {str(model.path)!r} gives no context of {n_ctx} tokens")
        Wheel(api, model._model, self.context).turn(model.steering)
        self._memory = api.llama_get_memory(self.context)
        self._batch = api.llama_batch_init(n_batch, 0, sequences)

    def close(self) -> None:
        """Free the context; may be called twice."""
        if self.context:
            self._api.llama_batch_free(self._batch)
            self._api.llama_free(self.context)
            self.context = None


class Scorer(OwnContext):
    """Log-probabilities of whole phrases after one prompt, many phrases in one evaluation.

    Phrases are arranged in a tree of tokens, so that what several begin with is evaluated once.

    Parameters
    ----------
    model
        See ``OwnContext``.
    """

    def __init__(self, model: LanguageModel):
        # Phrases share the prompt and what they begin with.
        super().__init__(model, _WINDOW, _BATCH, _SEQUENCES, n_seq_max=_SEQUENCES + 1, kv_unified=True)
        self._n_vocab = model.n_vocab
        self._length = 0
        self._root = np.empty(0)

    def prompt(self, tokens: Sequence[int]) -> np.ndarray:
        """Take a new prompt; log-probabilities of the next token, shape (n_vocab,)."""
        if not 0 < len(tokens) <= LONGEST_PROMPT:
            raise NodeError(f"a prompt has 1 to {LONGEST_PROMPT} tokens, this one {len(tokens)}")
        self._api.llama_memory_clear(self._memory, True)
        for begin in range(0, len(tokens), _BATCH):
            piece = tokens[begin : begin + _BATCH]
            last = len(piece) - 1
            rows = self._decode(
                [(token, begin + n, (0,), n == last and begin + n + 1 == len(tokens)) for n, token in enumerate(piece)]
            )
        self._length = len(tokens)
        self._root = log_softmax(rows[last])
        return self._root

    def __call__(self, phrases: Sequence[Sequence[int]], progress: Progress | None = None) -> list[np.ndarray]:
        """Natural log-probabilities of the tokens of each phrase, given the prompt and the tokens before.

        Parameters
        ----------
        phrases
            Tokens; an empty phrase gives an empty array.

        Returns
        -------
        One float64 array a phrase, in their order.
        """
        if not len(self._root):
            raise NodeError("phrases are scored after a prompt, and there is none yet")
        longest = max(map(len, phrases), default=0)
        if longest > LONGEST_PHRASE:
            raise NodeError(
                f"a phrase has at most {LONGEST_PHRASE} tokens, one has {longest}: put one sentence on a line"
            )
        order = sorted(range(len(phrases)), key=lambda n: tuple(phrases[n]))
        scores: list[np.ndarray] = [np.empty(0)] * len(phrases)
        for done, group in _groups(order, [len(phrase) for phrase in phrases], _WINDOW - self._length):
            known = self._tree([tuple(phrases[n]) for n in group])
            for n in group:
                phrase = tuple(phrases[n])
                scores[n] = np.array([known[phrase[: k + 1]] for k in range(len(phrase))], dtype=np.float64)
            if progress is not None:
                progress(done / len(order))
        return scores

    def _tree(self, phrases: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
        """The log-probability of the last token of each beginning of a phrase."""
        below: dict[tuple[int, ...], list[int]] = {}  # sequences that go on after a beginning
        after: dict[tuple[int, ...], set[int]] = {(): set()}
        for sequence, phrase in enumerate(phrases, 1):
            self._api.llama_memory_seq_cp(self._memory, 0, sequence, -1, -1)
            for k, token in enumerate(phrase):
                after.setdefault(phrase[:k], set()).add(token)
                if k:
                    below.setdefault(phrase[:k], []).append(sequence)
        known: dict[tuple[int, ...], float] = {(token,): float(self._root[token]) for token in after[()]}
        beginnings = sorted(below, key=len)
        for start in range(0, len(beginnings), _BATCH):
            chunk = beginnings[start : start + _BATCH]
            rows = self._decode([(b[-1], self._length + len(b) - 1, below[b], True) for b in chunk])
            for beginning, row in zip(chunk, rows, strict=True):
                norm = float(row.max()) + float(np.log(np.exp(row - row.max()).sum(dtype=np.float64)))
                known |= {(*beginning, token): float(row[token]) - norm for token in after[beginning]}
        for sequence in range(1, len(phrases) + 1):
            self._api.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return known

    def _decode(self, rows: Sequence[tuple[int, int, Sequence[int], bool]]) -> list[np.ndarray]:
        """Evaluate tokens, each with its position, its sequences, and whether its logits are wanted."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for row, (token, position, sequences, wanted) in enumerate(rows):
            batch.token[row] = token
            batch.pos[row] = position
            batch.n_seq_id[row] = len(sequences)
            for k, sequence in enumerate(sequences):
                batch.seq_id[row][k] = sequence
            batch.logits[row] = wanted
        code = self._api.llama_decode(self.context, batch)
        if code:
            raise NodeError(f"llama.cpp could not evaluate {len(rows)} tokens (code {code})")
        return [self._logits(row) if wanted else np.empty(0) for row, (*_, wanted) in enumerate(rows)]

    def _logits(self, row: int) -> np.ndarray:
        pointer = self._api.llama_get_logits_ith(self.context, row)
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))  # good until the next evaluation


def _groups(order: Sequence[int], lengths: Sequence[int], room: int) -> Iterable[tuple[int, list[int]]]:
    """Neighbours in ``order`` that fit into a context together, with how many are done after them."""
    group: list[int] = []
    used = 0
    for done, n in enumerate(order):
        if group and (len(group) == _SEQUENCES or used + lengths[n] > room):
            yield done, group
            group, used = [], 0
        group.append(n)
        used += lengths[n]
    if group:
        yield len(order), group
