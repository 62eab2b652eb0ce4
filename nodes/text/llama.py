"""A language model from a GGUF file, on llama.cpp's C functions.

The completion class of llama-cpp-python is not used: what is needed here is one prompt whose evaluation is
kept between calls, and many short branches from its end. Importing this module loads no native code.
"""

from __future__ import annotations

import codecs
import ctypes
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from volition.core import LoadError, NodeError
from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.native import CancelFlag, forget_log, last_log, library, repacking_is_safe
from volition.nodes.text.steering import Steering, Wheel

__all__ = ["LanguageModel", "Steering", "Utf8Stream", "Vocabulary", "default_threads", "log_softmax"]

_BATCH = 64
_MEMO = 96 << 20
"""Bytes of remembered log-probabilities."""

_ABORTED = 2
_NO_ROOM = 1

Path_ = tuple[int, ...]


def default_threads() -> int:
    """All processors but one, at most four: spinning threads stall when they outnumber the cores."""
    return max(1, min(4, (os.cpu_count() or 2) - 1))


class Utf8Stream:
    """Turns the bytes of tokens into text as they come; a character may be split over several tokens."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, piece: bytes, final: bool = False) -> str:
        """The characters that ``piece`` completes."""
        return self._decoder.decode(piece, final)


class Vocabulary:
    """The tokens of a model: text to tokens and back.

    Attributes
    ----------
    n_vocab
        How many tokens there are.
    pieces
        The bytes of every token, by number; empty for control tokens.
    special
        Numbers of the tokens that end a text or control the model, int64.
    opening
        The tokens that the model wants before any text.
    """

    def __init__(self, api: Any, model: Any):
        self._api = api
        self._vocabulary = api.llama_model_get_vocab(model)
        self.n_vocab = int(api.llama_vocab_n_tokens(self._vocabulary))
        self.pieces = [self._piece(token) for token in range(self.n_vocab)]
        self.special = np.array(
            [
                token
                for token in range(self.n_vocab)
                if api.llama_vocab_is_control(self._vocabulary, token)
                or api.llama_vocab_is_eog(self._vocabulary, token)
            ],
            dtype=np.int64,
        )
        wanted = api.llama_vocab_get_add_bos(self._vocabulary)
        self.opening = [int(api.llama_vocab_bos(self._vocabulary))] if wanted else []

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        size = self._api.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = self._api.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        return buffer.raw[:size]

    def tokenise(self, text: str) -> list[int]:
        """Tokens of ``text``; words that look like control tokens are taken as text."""
        data = text.encode()
        room = len(data) + 2
        buffer = (self._api.llama_token * room)()
        size = self._api.llama_tokenize(self._vocabulary, data, len(data), buffer, room, False, False)
        if size < 0:
            raise NodeError(f"the model's tokeniser needs {-size} tokens for {len(data)} bytes")
        return list(buffer[:size])

    def detokenise(self, tokens: Sequence[int]) -> str:
        """Text of ``tokens``; what is no UTF-8 becomes the replacement character."""
        return b"".join(self.pieces[token] for token in tokens).decode(errors="replace")


class LanguageModel:
    """Log-probabilities of the next token after a prompt, and after paths of tokens from its end.

    What is evaluated is kept: of the next prompt only what differs is evaluated, and asking for a path
    again is free.

    The prompt is given in segments. A segment of several tokens is evaluated whole, in batches counted from
    its own start; segments of one token that follow each other go together.

    Not safe for use from two threads at once.

    Parameters
    ----------
    path
        A GGUF file.
    threads
        Of llama.cpp; 0 takes ``default_threads()``.
    context
        Longest prompt, in tokens.
    sequences
        Most paths kept alive at a time.
    cancel
        Raised to cut an evaluation short.

    Raises
    ------
    LoadError
        When llama-cpp-python is missing or cannot read the file.
    """

    def __init__(
        self,
        path: str | Path,
        threads: int = 0,
        context: int = 1024,
        sequences: int = 32,
        cancel: CancelFlag | None = None,
    ):
        self._api = api = library()
        self._model: Any = None
        self._context: Any = None
        self.path = Path(path)
        self.context = context
        self.sequences = sequences
        self.threads = threads or default_threads()
        forget_log()
        settings = api.llama_model_default_params()
        settings.n_gpu_layers = 0
        settings.use_extra_bufts = repacking_is_safe()
        self._model = api.llama_model_load_from_file(str(self.path).encode(), settings)
        if not self._model:
            raise LoadError(f"model {str(path)!r} cannot be read: {last_log()}")
        self.vocabulary = Vocabulary(api, self._model)
        if not api.llama_model_n_embd(self._model) or not api.llama_model_n_layer(self._model):
            raise LoadError(f"model {str(path)!r} holds a vocabulary and no weights")
        self.pieces, self.special, self.opening = (
            self.vocabulary.pieces,
            self.vocabulary.special,
            self.vocabulary.opening,
        )
        self.n_vocab = self.vocabulary.n_vocab
        self.tokenise, self.detokenise = self.vocabulary.tokenise, self.vocabulary.detokenise
        self._batch = api.llama_batch_init(_BATCH, 0, 1)
        self._open_context()
        self.cancel = cancel
        if cancel is not None:
            self._abort, data = cancel.callback()  # the callback must live as long as the context
            api.llama_set_abort_callback(self._context, self._abort, data)
        self._wheel = Wheel(api, self._model, self._context)
        self._memo: OrderedDict[tuple[Any, Path_], np.ndarray] = OrderedDict()
        self._forget()

    def _open_context(self) -> None:
        api = self._api
        settings = api.llama_context_default_params()
        settings.n_ctx = self.context + 8 * self.sequences
        settings.n_batch = settings.n_ubatch = _BATCH
        settings.n_seq_max = self.sequences + 1
        settings.kv_unified = True  # without it a copy of part of a sequence aborts the process
        # Off: evaluating five paths in one step takes 0.6 of the time, the prompt 1.1 of it.
        settings.flash_attn_type = 0
        settings.n_threads = settings.n_threads_batch = self.threads
        settings.no_perf = True
        self._context = api.llama_init_from_model(self._model, settings)
        if not self._context:
            reason = last_log()
            self.close()
            raise LoadError(f"model {str(self.path)!r} gives no context: {reason}")
        self._memory = api.llama_get_memory(self._context)

    def close(self) -> None:
        """Free the model; may be called twice."""
        if self._context:
            self._api.llama_free(self._context)
            self._context = None
        if self._model:
            self._api.llama_batch_free(self._batch)
            self._api.llama_model_free(self._model)
            self._model = None

    # Steering

    @property
    def steering(self) -> Steering:
        """The adapters and the control vector that are in force."""
        return self._wheel.steering

    def steer(self, steering: Steering) -> None:
        """Put adapters and a control vector in force, and take others out.

        What was evaluated under other ones is forgotten: a prompt's cache holds only under the weights that
        made it.

        Raises
        ------
        LoadError
            When a file cannot be read or does not fit the model; what was in force stays.
        """
        if steering.weights != self._wheel.steering.weights:
            self._wheel.turn(steering)
            self._api.llama_memory_clear(self._memory, True)
            self._forget()

    # Evaluation

    def _forget(self) -> None:
        self._segments: list[Path_] = []
        self._prompt: tuple[Any, ...] = ()
        self._live: OrderedDict[Path_, int] = OrderedDict()  # sequence of each path, the last used last
        self._free = list(range(self.sequences, 0, -1))

    def prefill(self, segments: Sequence[Sequence[int]]) -> np.ndarray:
        """Evaluate a prompt; what it shares with the last one is kept.

        Parameters
        ----------
        segments
            Tokens; an empty segment counts for nothing. Fixed parts (a frame, a turn) are a segment each;
            text that grows is a segment a token.

        Returns
        -------
        Log-probabilities of the next token, float32, shape (n_vocab,), read-only.

        Raises
        ------
        NodeError
            When the prompt is empty or too long, or llama.cpp fails.
        Cancelled
            When the flag was raised; what was evaluated until then is kept.
        """
        wanted = [tuple(segment) for segment in segments if len(segment)]
        total = sum(map(len, wanted))
        if not 0 < total <= self.context:
            raise NodeError(f"a prompt has 1 to {self.context} tokens, this one {total}")
        self._prompt = (self._wheel.steering.weights, tuple(wanted))
        known = self._recall(())
        if known is not None and wanted == self._segments:
            return known
        self.release()
        kept = 0
        while kept < min(len(wanted), len(self._segments)) and wanted[kept] == self._segments[kept]:
            kept += 1
        if kept == len(wanted) and known is None:
            kept -= 1  # its logits are gone
        start = self._cut(kept)
        for piece in _pieces(wanted[kept:]):
            logits = self._evaluate([token for segment in piece for token in segment], start)
            start += sum(map(len, piece))
            self._segments += piece
        return known if known is not None else self._remember((), log_softmax(logits))

    def _cut(self, kept: int) -> int:
        """Keep the first segments only; how many tokens those are."""
        start = sum(map(len, self._segments[:kept]))
        if not self._api.llama_memory_seq_rm(self._memory, 0, start, -1):
            self._api.llama_memory_clear(self._memory, True)  # a memory that cannot be cut: start over
            kept = start = 0
        del self._segments[kept:]
        return start

    def _evaluate(self, tokens: Sequence[int], start: int) -> np.ndarray:
        last = np.empty(0, dtype=np.float32)
        for begin in range(0, len(tokens), _BATCH):
            piece = tokens[begin : begin + _BATCH]
            where = range(start + begin, start + begin + len(piece))
            final = begin + len(piece) == len(tokens)
            try:
                rows = self._decode(piece, where, [0] * len(piece), [len(piece) - 1] if final else [])
            except Cancelled:
                self._api.llama_memory_seq_rm(self._memory, 0, start, -1)
                raise
            last = rows[0] if final else last
        return last

    def after(self, paths: Sequence[Path_]) -> list[np.ndarray]:
        """Log-probabilities of the next token after the prompt followed by each path.

        Parameters
        ----------
        paths
            Tokens from the end of the prompt; ``()`` is the prompt itself.

        Returns
        -------
        One row a path: float32, shape (n_vocab,), read-only.

        Raises
        ------
        NodeError
            When there are more paths than sequences, or llama.cpp fails.
        Cancelled
            When the flag was raised.
        """
        rows = {path: self._recall(path) for path in paths}
        missing = [path for path, row in rows.items() if row is None]
        if () in missing:
            rows[()] = self.prefill(self._prompt[1])
            missing.remove(())
        if missing:
            rows.update(zip(missing, self._grow(missing), strict=True))
        return [row for path in paths if (row := rows[path]) is not None]

    def _grow(self, paths: list[Path_]) -> list[np.ndarray]:
        if len(paths) > self.sequences:
            raise NodeError(f"{len(paths)} paths asked for at once, the model was opened for {self.sequences}")
        stems = [self._stem(path) for path in paths]
        self._make_room(len(paths), set(stems))
        base = sum(map(len, self._segments))
        tokens: list[int] = []
        where: list[int] = []
        sequences: list[int] = []
        ends: list[int] = []
        grown: dict[Path_, int] = {}
        for path, stem in zip(paths, stems, strict=True):
            sequence = grown[path] = self._free.pop()
            self._api.llama_memory_seq_cp(self._memory, self._live.get(stem, 0), sequence, -1, -1)
            rest = path[len(stem) :]
            tokens += rest
            where += range(base + len(stem), base + len(path))
            sequences += [sequence] * len(rest)
            ends.append(len(tokens) - 1)
        try:
            rows = self._decode(tokens, where, sequences, ends)
        except Cancelled:
            for sequence in grown.values():
                self._api.llama_memory_seq_rm(self._memory, sequence, -1, -1)
                self._free.append(sequence)
            raise
        self._live.update(grown)
        return [self._remember(path, log_softmax(row)) for path, row in zip(paths, rows, strict=True)]

    def _stem(self, path: Path_) -> Path_:
        """The longest part of a path that is alive."""
        for length in range(len(path) - 1, 0, -1):
            if path[:length] in self._live:
                self._live.move_to_end(path[:length])
                return path[:length]
        return ()

    def _make_room(self, n: int, needed: set[Path_]) -> None:
        """Free sequences until there are ``n``, those longest unused first."""
        for path in [path for path in self._live if path not in needed]:
            if len(self._free) >= n:
                return
            self._drop(path)
        if len(self._free) < n:
            raise NodeError(f"{n} new paths from {len(needed)} others are more than {self.sequences} sequences hold")

    def _drop(self, path: Path_) -> None:
        sequence = self._live.pop(path)
        self._api.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self._free.append(sequence)

    def release(self) -> None:
        """Give up all paths; the prompt stays, and so do the log-probabilities."""
        for path in list(self._live):
            self._drop(path)
        self._free.sort(reverse=True)

    def forget(self, prompt: bool = True) -> None:
        """Forget all log-probabilities and paths, and the prompt's evaluation, too, unless told otherwise."""
        self.release()
        self._memo.clear()
        if prompt:
            self._api.llama_memory_clear(self._memory, True)
            self._forget()

    def _recall(self, path: Path_) -> np.ndarray | None:
        row = self._memo.get((self._prompt, path))
        if row is not None:
            self._memo.move_to_end((self._prompt, path))
        return row

    def _remember(self, path: Path_, row: np.ndarray) -> np.ndarray:
        row.flags.writeable = False
        self._memo[self._prompt, path] = row
        while len(self._memo) * row.nbytes > _MEMO:
            self._memo.popitem(last=False)
        return row

    def _decode(
        self, tokens: Sequence[int], where: Sequence[int], sequences: Sequence[int], outputs: Sequence[int]
    ) -> list[np.ndarray]:
        if len(tokens) > _BATCH:
            raise NodeError(f"{len(tokens)} tokens are more than go into one evaluation ({_BATCH})")
        batch = self._batch
        batch.n_tokens = len(tokens)
        for row, (token, position, sequence) in enumerate(zip(tokens, where, sequences, strict=True)):
            batch.token[row] = token
            batch.pos[row] = position
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = sequence
            batch.logits[row] = 0
        for row in outputs:
            batch.logits[row] = 1
        code = 0 if not self.cancel else _ABORTED
        code = code or self._api.llama_decode(self._context, batch)
        if code == _ABORTED:
            raise Cancelled
        if code:
            self._api.llama_memory_clear(self._memory, True)
            self._forget()
            why = "its cache is full" if code == _NO_ROOM else last_log()
            raise NodeError(f"llama.cpp could not evaluate {len(tokens)} tokens (code {code}): {why}")
        return [self._logits(row) for row in outputs]

    def _logits(self, row: int) -> np.ndarray:
        pointer = self._api.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,))  # valid until the next evaluation


def _pieces(segments: Sequence[Path_]) -> list[list[Path_]]:
    """What is evaluated together: a segment of several tokens by itself, runs of single tokens."""
    pieces: list[list[Path_]] = []
    for segment in segments:
        if len(segment) == 1 and pieces and len(pieces[-1][-1]) == 1 and len(pieces[-1]) < _BATCH:
            pieces[-1].append(segment)
        else:
            pieces.append([segment])
    return pieces


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities, float32, of logits, shape (n,); the sum is in float64."""
    shifted = logits - logits.max()
    shifted -= np.float32(np.log(np.exp(shifted).sum(dtype=np.float64)))
    return shifted
