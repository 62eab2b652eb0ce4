"""``python -m benchmarks.simpler.heal --data FOLDER --out FOLDER``: a short LoRA on models without their last blocks.

Each is trained on the text of the conversational adapter (``models/adapter.py``), on SmolLM2 as Q4_0 with only its
first blocks, for a few steps at a rate that falls linearly to nothing. It is written as ``healed-BLOCKS.gguf`` into the
folder; a file that is there already is left as it is, so that an interrupted run can be started again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.simpler.cut import cut_model
from models.adapter import Settings, Trainer
from models.lora_model import export, load_base, requantised, with_lora
from models.precision import quick_dtype
from volition.core import LoadError
from volition.nodes.text.find import SMOLLM2, original_model
from volition.nodes.text.llama import LanguageModel

KEPT = (25, 20, 15, 10)
"""Blocks that stay of SmolLM2's 30."""

STEPS = 250

SETTINGS = Settings(rate=1e-3, rows=6)
"""A cut model has far to go in few steps: a higher rate than the adapter's, and smaller steps."""

_EVERY = 10  # steps from one line of the log to the next


def healed_path(folder: Path, keep: int) -> Path:
    """Where the LoRA for a model of so many blocks is."""
    return folder / f"healed-{keep}.gguf"


def rate_at(step: int, steps: int, settings: Settings) -> float:
    """The learning rate of a step: up to its full height over the warm-up, and linearly to nothing at the end.

    >>> [round(rate_at(step, 4, Settings(rate=1.0, warmup=1)), 2) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    """
    return settings.rate * min(1.0, (step + 1) / settings.warmup) * (1.0 - step / steps)


def heal(base: Path, data: Path, target: Path, steps: int, settings: Settings, report: Callable[[str], None]) -> None:
    """Train a LoRA on a model and write it.

    Parameters
    ----------
    base
        A GGUF file of SmolLM2's kind.
    data
        Folder of the packed texts.
    target
        The GGUF file of the LoRA.
    steps
        Of ``settings.rows`` sequences each.
    """
    model = with_lora(load_base(base, quick_dtype()), settings.rank, settings.alpha, settings.seed)
    language = LanguageModel(base, threads=1)
    try:
        trainer = Trainer(model, settings, language.tokenise, data)
        losses, start = [], time.monotonic()
        for step in range(steps):
            losses.append(trainer.train(rate_at(step, steps, settings)))
            if (step + 1) % _EVERY == 0 or step + 1 == steps:
                seconds = (time.monotonic() - start) / (step + 1)
                mean = sum(losses) / len(losses)
                report(f"step {step + 1} of {steps}: loss {mean:.3f} nats a token, {seconds:.1f} s a step")
                losses = []
    finally:
        language.close()
    export(model, target, settings.alpha)


def heal_all(data: Path, folder: Path, kept: Sequence[int], steps: int, report: Callable[[str], None]) -> None:
    """A healed LoRA for each number of blocks; those that are there already stay.

    Raises
    ------
    LoadError
        When SmolLM2 is not installed, or a number of blocks is out of bounds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = requantised(original_model(SMOLLM2), folder)
    for keep in kept:
        target = healed_path(folder, keep)
        if target.exists():
            report(f"{target.name} is there already")
            continue
        base = cut_model(whole, folder / f"cut-{keep}.gguf", keep)
        try:
            heal(base, data, target, steps, SETTINGS, lambda text, keep=keep: report(f"{keep} blocks, {text}"))
        finally:
            base.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one LoRA after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simpler.heal", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed texts")
    parser.add_argument("--out", type=Path, required=True, help="folder of the LoRAs, and of the base model")
    parser.add_argument("--keep", type=int, nargs="+", default=list(KEPT), help="blocks that stay, of 30")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        _set_threads(given.threads)
        heal_all(given.data, given.out, given.keep, given.steps, lambda text: print(text, file=sys.stderr, flush=True))
    except LoadError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _set_threads(threads: int) -> None:
    try:
        import torch
    except ImportError:
        raise LoadError("healing trains with PyTorch: pip install 'volition[tune]'") from None
    torch.set_num_threads(threads)


if __name__ == "__main__":
    sys.exit(main())
