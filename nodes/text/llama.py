"""A language model from a GGUF file, on llama.cpp's C functions.

The completion class of llama-cpp-python is not used: what is needed here is one prompt whose evaluation is
kept between calls, and many short branches from its end. Importing this module loads no native code.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from volition.core import LoadError, NodeError
from volition.core.places import PACKAGE
from volition.nodes.text.find import SMOLLM2, find_model

__all__ = [
    "SMOLLM2",
    "LanguageModel",
    "Probe",
    "Utf8Stream",
    "default_threads",
    "find_model",
    "log_softmax",
    "probe",
]

_BATCH = 64
_ERROR = 4  # GGML_LOG_LEVEL_ERROR


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


class LanguageModel:
    """Next-token log-probabilities after a prompt, and after branches from its end.

    The prompt is given in segments. A segment is evaluated in one way only, whatever was evaluated before
    it: whole, in batches counted from its own start, or not at all because it is still in the cache. So a
    cached and a fresh evaluation do the same arithmetic and give the same bits.

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
        Most branches alive at a time.

    Raises
    ------
    LoadError
        When llama-cpp-python is missing or cannot read the file.
    """

    def __init__(self, path: str | Path, threads: int = 0, context: int = 1024, sequences: int = 32):
        self._api = api = _library()
        self._model: Any = None
        self._context: Any = None
        self.path = Path(path)
        self.context = context
        self.sequences = sequences
        _LOG.clear()
        settings = api.llama_model_default_params()
        settings.n_gpu_layers = 0
        # Repacked weights go through AMX where the processor advertises it, and some machines fault there.
        settings.use_extra_bufts = False
        self._model = api.llama_model_load_from_file(str(self.path).encode(), settings)
        if not self._model:
            raise LoadError(f"model {str(path)!r} cannot be read: {_last_log()}")
        self._vocabulary = api.llama_model_get_vocab(self._model)
        self.n_vocab = int(api.llama_vocab_n_tokens(self._vocabulary))
        self._batch = api.llama_batch_init(_BATCH, 0, 1)
        self._open_context(threads or default_threads())
        self._pieces: list[bytes] | None = None
        self._special: np.ndarray | None = None
        self._forget()

    def _open_context(self, threads: int) -> None:
        api = self._api
        settings = api.llama_context_default_params()
        settings.n_ctx = self.context + 8 * self.sequences
        settings.n_batch = settings.n_ubatch = _BATCH
        settings.n_seq_max = self.sequences + 1
        settings.kv_unified = True  # without it a copy of part of a sequence aborts the process
        settings.n_threads = settings.n_threads_batch = threads
        settings.no_perf = True
        self._context = api.llama_init_from_model(self._model, settings)
        if not self._context:
            reason = _last_log()
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

    # The vocabulary

    @property
    def pieces(self) -> list[bytes]:
        """The bytes of every token, by number; empty for control tokens."""
        if self._pieces is None:
            self._pieces = [self._piece(token) for token in range(self.n_vocab)]
        return self._pieces

    @property
    def special(self) -> np.ndarray:
        """Numbers of the tokens that end a text or control the model, int64."""
        if self._special is None:
            api, vocabulary = self._api, self._vocabulary
            self._special = np.array(
                [
                    token
                    for token in range(self.n_vocab)
                    if api.llama_vocab_is_control(vocabulary, token) or api.llama_vocab_is_eog(vocabulary, token)
                ],
                dtype=np.int64,
            )
        return self._special

    @property
    def opening(self) -> list[int]:
        """The tokens that the model wants before any text."""
        api, vocabulary = self._api, self._vocabulary
        if not api.llama_vocab_get_add_bos(vocabulary):
            return []
        return [int(api.llama_vocab_bos(vocabulary))]

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

    # Evaluation

    def _forget(self) -> None:
        self._segments: list[tuple[int, ...]] = []
        self._ends: list[np.ndarray | None] = []
        self._lengths: dict[int, int] = {}  # of each live branch, in tokens
        self._free = list(range(self.sequences, 0, -1))

    @property
    def free(self) -> int:
        """How many more branches there may be."""
        return len(self._free)

    def prefill(self, segments: Sequence[Sequence[int]]) -> np.ndarray:
        """Evaluate a prompt; what it shares with the last one is kept.

        Parameters
        ----------
        segments
            Tokens; an empty segment counts for nothing. Fixed parts (a frame, a turn) are a segment each
            and fast; text that grows is a segment a token.

        Returns
        -------
        Log-probabilities of the next token, float64, shape (n_vocab,).

        Raises
        ------
        NodeError
            When the prompt is empty or too long, or llama.cpp fails.
        """
        wanted = [tuple(segment) for segment in segments if len(segment)]
        total = sum(map(len, wanted))
        if not 0 < total <= self.context:
            raise NodeError(f"a prompt has 1 to {self.context} tokens, this one {total}")
        self.release()
        kept = 0
        while kept < min(len(wanted), len(self._segments)) and wanted[kept] == self._segments[kept]:
            kept += 1
        if kept == len(wanted) and self._ends[kept - 1] is None:
            kept -= 1  # one token, cheaper to evaluate again than to keep its logits
        start = sum(map(len, wanted[:kept]))
        if not self._api.llama_memory_seq_rm(self._memory, 0, start, -1):
            self._api.llama_memory_clear(self._memory, True)  # a memory that cannot be cut: start over
            kept = start = 0
        del self._segments[kept:], self._ends[kept:]
        for segment in wanted[kept:]:
            logits = self._evaluate(segment, start)
            start += len(segment)
            self._segments.append(segment)
            self._ends.append(logits if len(segment) > 1 else None)
        self._lengths = {0: start}
        if kept == len(wanted):
            logits = self._kept_logits()
        return log_softmax(logits)

    def _kept_logits(self) -> np.ndarray:
        logits = self._ends[-1]
        if logits is None:
            raise AssertionError("a segment of one token is evaluated again")
        return logits

    def _evaluate(self, tokens: Sequence[int], start: int) -> np.ndarray:
        last = np.empty(0, dtype=np.float32)
        for begin in range(0, len(tokens), _BATCH):
            piece = tokens[begin : begin + _BATCH]
            where = range(start + begin, start + begin + len(piece))
            final = begin + len(piece) == len(tokens)
            rows = self._decode(piece, where, [0] * len(piece), [len(piece) - 1] if final else [])
            last = rows[0] if final else last
        return last

    def extend(self, parents: Sequence[int], tokens: Sequence[int]) -> tuple[list[int], np.ndarray]:
        """Branch from each parent (0 is the prompt, or a branch) by one token, all in one evaluation.

        Returns
        -------
        The new branches, and log-probabilities of the token after each: float64, shape (n, n_vocab).

        Raises
        ------
        NodeError
            When there are no more free branches, or llama.cpp fails.
        """
        if not parents or len(parents) > min(self.free, _BATCH):
            raise NodeError(f"{len(parents)} new branches asked for, {self.free} are free")
        branches = [self._free.pop() for _ in parents]
        for parent, branch in zip(parents, branches, strict=True):
            self._api.llama_memory_seq_cp(self._memory, parent, branch, -1, -1)
            self._lengths[branch] = self._lengths[parent] + 1
        where = [self._lengths[parent] for parent in parents]
        rows = self._decode(tokens, where, branches, range(len(branches)))
        return branches, np.stack([log_softmax(row) for row in rows])

    def release(self) -> None:
        """Give up all branches; the prompt stays."""
        for branch in self._lengths:
            if branch:
                self._api.llama_memory_seq_rm(self._memory, branch, -1, -1)
                self._free.append(branch)
        self._lengths = {0: self._lengths.get(0, 0)}
        self._free.sort(reverse=True)

    def _decode(
        self, tokens: Sequence[int], where: Sequence[int], sequences: Sequence[int], outputs: Sequence[int]
    ) -> list[np.ndarray]:
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
        code = self._api.llama_decode(self._context, batch)
        if code:
            self._api.llama_memory_clear(self._memory, True)
            self._forget()
            raise NodeError(f"llama.cpp could not evaluate {len(tokens)} tokens (code {code}): {_last_log()}")
        return [self._logits(row) for row in outputs]

    def _logits(self, row: int) -> np.ndarray:
        pointer = self._api.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,)).copy()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities, float64, of logits, shape (n,)."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max()
    shifted -= np.log(np.exp(shifted).sum())
    return shifted


# The native library

_LOG: deque[str] = deque(maxlen=8)
_LOADING = threading.Lock()
_loaded: list[Any] = []


def _library() -> Any:
    """The C functions, with llama.cpp's log kept here instead of printed."""
    with _LOADING:
        if not _loaded:
            try:
                import llama_cpp.llama_cpp as api
            except (ImportError, OSError, RuntimeError) as error:
                raise LoadError(
                    f"llama-cpp-python does not load ({error}): run `pip install llama-cpp-python`"
                ) from None

            def keep(level: int, text: bytes, _: Any) -> None:
                if level == _ERROR:
                    _LOG.append(text.decode(errors="replace").strip())

            callback = api.llama_log_callback(keep)
            api.llama_log_set(callback, None)
            api.llama_backend_init()
            _loaded.extend([api, callback])  # the callback must live as long as the library
        return _loaded[0]


def _last_log() -> str:
    return "; ".join(_LOG) or "llama.cpp gave no reason"


class Probe(NamedTuple):
    """What became of one evaluation in a process of its own."""

    ok: bool
    sentence: str


def probe(path: str | Path, timeout: float = 60.0) -> Probe:
    """Load a model and evaluate once in a child process, so that a crash in native code is a sentence.

    Parameters
    ----------
    timeout
        Seconds to wait for the child.
    """
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE.parent), environment.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "volition.nodes.text.llama", str(path)]
    try:
        child = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(False, f"{path}: no answer within {timeout:g} s")
    return _verdict(path, child.returncode, child.stdout.strip(), child.stderr.strip())


def _verdict(path: str | Path, code: int, output: str, errors: str) -> Probe:
    if code == 0:
        return Probe(True, output)
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return Probe(
            False,
            f"{path}: llama.cpp crashed with {name} in its first evaluation; the processor or the file "
            "is at fault - try another model, or build llama-cpp-python without AMX",
        )
    lines = output.splitlines() or errors.splitlines() or [f"exit code {code}"]
    return Probe(False, lines[-1])


def _main(path: str) -> int:
    try:
        model = LanguageModel(path)
        begin = time.perf_counter()
        model.prefill([[*model.opening, *model.tokenise("i would like to")]])
        elapsed = time.perf_counter() - begin
    except (LoadError, NodeError) as error:
        print(error)
        return 1
    print(f"{Path(path).name}: a vocabulary of {model.n_vocab}, first evaluation {1e3 * elapsed:.0f} ms")
    model.close()
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
