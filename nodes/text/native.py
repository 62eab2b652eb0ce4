"""llama.cpp's C functions, its log, and a flag that cuts an evaluation short. Importing loads no native code."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from volition.core import LoadError

_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_LOG: deque[str] = deque(maxlen=8)
_LOADING = threading.Lock()
_loaded: list[Any] = []


def library() -> Any:
    """The C functions, with llama.cpp's log kept here instead of printed.

    Raises
    ------
    LoadError
        When llama-cpp-python is missing or does not load.
    """
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


def forget_log() -> None:
    """Begin to collect llama.cpp's complaints anew."""
    _LOG.clear()


def last_log() -> str:
    """What llama.cpp complained of last."""
    return "; ".join(_LOG) or "llama.cpp gave no reason"


def repacking_is_safe() -> bool:
    """Whether weights may be re-packed for this processor when they are loaded.

    Re-packed weights go through AMX where it was compiled in and the processor advertises it, and some
    machines that advertise it fault when it is used.
    """
    return b"AMX" not in library().llama_print_system_info()


class CancelFlag:
    """Cuts a running evaluation short, from this process or another one.

    llama.cpp asks an abort callback hundreds of times in an evaluation. A callback in Python would take the
    interpreter's lock each time; here it is ``strlen`` of the C library over two shared bytes: 0, not to
    abort, while the first one is null.

    Parameters
    ----------
    path
        A file of two bytes to share the flag through; None for a flag of this process.
    """

    def __init__(self, path: str | Path | None = None):
        if path is None:
            self._bytes = mmap.mmap(-1, 2)
        else:
            with Path(path).open("r+b") as file:
                self._bytes = mmap.mmap(file.fileno(), 2)
        self._view = (ctypes.c_char * 2).from_buffer(self._bytes)

    @staticmethod
    def create(path: str | Path) -> None:
        """Make the file of a shared flag."""
        Path(path).write_bytes(b"\0\0")

    def raise_(self) -> None:
        """Cut short what runs, and what is begun before ``lower``."""
        self._bytes[0] = 1

    def lower(self) -> None:
        """Let evaluations run again."""
        self._bytes[0] = 0

    def __bool__(self) -> bool:
        return self._bytes[0] != 0

    def callback(self) -> tuple[Any, ctypes.c_void_p]:
        """The abort callback of llama.cpp and its data."""
        c = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        function = library().ggml_abort_callback(ctypes.cast(c.strlen, ctypes.c_void_p).value)
        return function, ctypes.c_void_p(ctypes.addressof(self._view))
