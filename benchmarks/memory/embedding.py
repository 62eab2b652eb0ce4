"""Texts as vectors of the language model itself, and the lines whose vectors point the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from volition.core import NodeError
from volition.lab.score import OwnContext
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.native import library

_LONGEST = 512
"""In tokens; llama.cpp averages over what is evaluated in one go."""


class Embedder(OwnContext):
    """The mean of a text's last hidden states.

    llama.cpp evaluates the logits of each token, too: up to a fifth of the time goes there.

    Parameters
    ----------
    model
        See ``OwnContext``.
    """

    def __init__(self, model: LanguageModel):
        pooling = library().LLAMA_POOLING_TYPE_MEAN
        super().__init__(model, _LONGEST, _LONGEST, 1, n_seq_max=1, embeddings=True, pooling_type=pooling)
        self._model = model
        self._width = int(self._api.llama_model_n_embd(model._model))

    def __call__(self, text: str) -> np.ndarray:
        """The vector of a text of a token or more, float64, shape (width,); of a long one, that of its beginning."""
        tokens = [*self._model.opening, *self._model.tokenise(text)][:_LONGEST]
        if not tokens:
            raise NodeError("an empty text has no embedding")
        self._api.llama_memory_clear(self._memory, True)
        batch = self._batch
        batch.n_tokens = len(tokens)
        for n, token in enumerate(tokens):
            batch.token[n] = token
            batch.pos[n] = n
            batch.n_seq_id[n] = 1
            batch.seq_id[n][0] = 0
            batch.logits[n] = True
        code = self._api.llama_decode(self.context, batch)
        if code:
            raise NodeError(f"llama.cpp could not evaluate {len(tokens)} tokens (code {code})")
        pointer = self._api.llama_get_embeddings_seq(self.context, 0)
        return np.ctypeslib.as_array(pointer, shape=(self._width,)).astype(np.float64)


class Nearest:
    """Lines by the cosine between their vectors and that of a query.

    The mean of all lines is taken from every vector first: hidden states share a large part that tells nothing.

    Parameters
    ----------
    lines
        What is searched.
    embed
        The vector of a text, shape (width,).
    """

    def __init__(self, lines: Sequence[str], embed: Callable[[str], np.ndarray]):
        self._embed = embed
        vectors = np.stack([embed(line) for line in lines])
        self._mean = vectors.mean(axis=0)
        self._vectors = _unit(vectors - self._mean)

    def __call__(self, query: str, k: int) -> list[int]:
        """The numbers of the ``k`` nearest lines, the nearest first; of equals, the older one."""
        cosines = self._vectors @ _unit(self._embed(query) - self._mean)
        return [int(n) for n in np.argsort(-cosines, kind="stable")[:k]]


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
