"""Whether a model works here, tried in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from volition.core import LoadError, NodeError
from volition.core.places import PACKAGE
from volition.nodes.text.llama import LanguageModel


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
    command = [sys.executable, "-m", "volition.nodes.text.probe", str(path)]
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
