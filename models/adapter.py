"""The conversational adapter: a LoRA that teaches SmolLM2-135M-Instruct how people talk and type.

``python -m models.adapter --data FOLDER --out FOLDER`` trains until it is interrupted; ``--resume`` goes on from
the last checkpoint, ``--decay`` lowers the learning rate to nothing on a copy of it, ``--export`` writes the GGUF file.

The base is the Q4_0 copy of the shipped file, because that is what runs: the adapter also heals what the coarser
weights lost.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from models.corpus import documents
from models.lora_model import (
    Candidates,
    bits_per_char,
    cross_entropy,
    export,
    load_base,
    lora_weights,
    requantised,
    with_lora,
)
from models.lora_text import Tokeniser, frequent_tokens, mix, sequences
from models.precision import quick_dtype
from volition.core import LoadError
from volition.nodes.text.find import SMOLLM2, original_model
from volition.nodes.text.llama import LanguageModel

SAVE_EVERY, MEASURE_EVERY = 300.0, 600.0  # seconds

CHECKPOINT, DECAYED = "checkpoint.safetensors", "decayed.safetensors"

DEVELOPMENT = ("aac_crowdsourced_lower", "specialists_lower")
"""Phrase sets that choices are made on; what is reported comes from another."""


@dataclass(frozen=True)
class Settings:
    """What a run is made of; kept in its checkpoints."""

    rank: int = 16
    alpha: float = 32.0
    rate: float = 5e-4  # of AdamW
    warmup: int = 20  # steps
    length: int = 192  # tokens of a sequence
    rows: int = 12  # sequences of a step
    lower: float = 0.67  # share of documents in lower case
    mixed: float = 0.6  # share of documents whose lines are shuffled with those of others
    frequent: int = 8192  # tokens that are always in the loss; the others are sampled
    sampled: int = 2048
    seed: int = 0


class Trainer:
    """AdamW on the adapter, with everything that a later run needs to go on."""

    def __init__(self, model: Any, settings: Settings, tokenise: Tokeniser, data: Path):
        import torch

        self.model, self.settings = model, settings
        self.weights = lora_weights(model)
        self.optimiser = torch.optim.AdamW(self.weights.values(), lr=settings.rate, betas=(0.9, 0.95), weight_decay=0.0)
        self.step = 0
        self._tokenise, self._data = tokenise, data
        frequent = frequent_tokens(islice(self._sequences(), 2000), settings.frequent)
        self._candidates = Candidates(frequent, model.config.vocab_size, settings.sampled)
        self._stream = self._sequences()

    def _sequences(self) -> Iterator[tuple[list[int], int]]:
        s = self.settings
        stream = documents(self._data, languages=("en",), seed=s.seed, lower=s.lower)
        return sequences(mix(stream, s.mixed, random.Random(s.seed)), self._tokenise, s.length)

    @property
    def tokens(self) -> int:
        """Seen so far."""
        return self.step * self.settings.rows * self.settings.length

    def skip(self) -> None:
        """Pass over the text of the steps already made."""
        seen = self.step * self.settings.rows
        next(islice(self._stream, seen, seen), None)

    def train(self, rate: float) -> float:
        """One step at a learning rate; the loss in nats a token."""
        import torch

        s = self.settings
        rng = np.random.default_rng([s.seed, self.step])
        loss = self._loss(rng)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        return float(loss.detach())

    def _loss(self, rng: np.random.Generator) -> Any:
        import torch

        drawn = list(islice(self._stream, self.settings.rows))
        tokens = np.array([row for row, _ in drawn])
        # What the first line is about cannot be known: nothing is learned from it.
        first = np.array([count for _, count in drawn])
        learned = np.arange(1, tokens.shape[1]) >= first[:, None]
        device, base = self.model.device, self.model.base_model.model
        read = torch.from_numpy(tokens[:, :-1]).to(device)
        states = base.model(read, use_cache=False).last_hidden_state[torch.from_numpy(learned).to(device)]
        chosen, offset, places = self._candidates(tokens[:, 1:][learned], rng)
        parts = (torch.from_numpy(part).to(device) for part in (places, chosen, offset))
        return cross_entropy(states, base.lm_head.weight, *parts)

    def save(self, path: Path) -> None:
        """Write a checkpoint; the one before stays until this one is whole."""
        from safetensors.torch import save_file

        tensors = {f"w {name}": value.detach() for name, value in self.weights.items()}
        for name, value in self.weights.items():
            state = self.optimiser.state.get(value, {})
            tensors |= {f"{key} {name}": state[key] for key in ("exp_avg", "exp_avg_sq") if key in state}
        part = path.with_suffix(".part")
        save_file(tensors, part, {"step": str(self.step), "settings": json.dumps(asdict(self.settings))})
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Take weights, moments and step of a checkpoint; ``skip`` before training on."""
        import torch
        from safetensors import safe_open

        with safe_open(path, "pt") as file, torch.no_grad():
            self.step = int(file.metadata()["step"])
            names = set(file.keys())
            for name, value in self.weights.items():
                value.copy_(file.get_tensor(f"w {name}"))
                if f"exp_avg {name}" in names:
                    moments = {key: file.get_tensor(f"{key} {name}") for key in ("exp_avg", "exp_avg_sq")}
                    moments = {key: moment.to(value.device) for key, moment in moments.items()}
                    self.optimiser.state[value] = {"step": torch.tensor(float(self.step)), **moments}


def saved_settings(path: Path) -> Settings:
    """The settings of the run that left a checkpoint.

    Raises
    ------
    LoadError
        When there is none.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise LoadError(f"{path}: no checkpoint; train without --resume first")
    with safe_open(path, "pt") as file:
        return Settings(**json.loads(file.metadata()["settings"]))


def development_phrases(data: Path, every: int = 1) -> list[str]:
    """The lines of the development sets, or every n-th of them."""
    lines: list[str] = []
    for name in DEVELOPMENT:
        lines += filter(None, (data / "phrases" / f"{name}.txt").read_text(encoding="utf-8").splitlines())
    return lines[::every]


class Run:
    """Training with checkpoints, and a line of the log at each."""

    def __init__(self, trainer: Trainer, out: Path, data: Path, tokenise: Tokeniser):
        self._trainer, self._out, self._tokenise = trainer, out, tokenise
        self._phrases = development_phrases(data, every=3)
        self._stopped = False

    def stop(self, *_: object) -> None:
        """End after the step that is being made; a signal handler."""
        self._stopped = True

    def measure(self) -> float:
        """Bits a character of a third of the development phrases."""
        return bits_per_char(self._trainer.model, self._tokenise, self._phrases)

    def constant(self, hours: float) -> None:
        """Train at the full rate, after a warm-up, until the time is over or it is stopped."""
        rate, warmup = self._trainer.settings.rate, self._trainer.settings.warmup
        self._go(CHECKPOINT, lambda step: rate * min(1.0, (step + 1) / warmup), lambda: True, hours)

    def decay(self, steps: int) -> None:
        """Lower the rate to nothing over some steps."""
        rate, begin = self._trainer.settings.rate, self._trainer.step
        self._go(
            DECAYED,
            lambda step: rate * (1.0 - (step - begin) / steps),
            lambda: self._trainer.step < begin + steps,
            math.inf,
        )

    def _go(self, name: str, rate: Callable[[int], float], more: Callable[[], bool], hours: float) -> None:
        trainer = self._trainer
        start = saved = measured = time.monotonic()
        first, losses = trainer.tokens, []
        while more() and not self._stopped and time.monotonic() - start < hours * 3600:
            losses.append(trainer.train(rate(trainer.step)))
            now = time.monotonic()
            if now - saved >= SAVE_EVERY:
                trainer.save(self._out / name)
                speed = (trainer.tokens - first) / (now - start)
                self._log(f"loss {np.mean(losses):.4f} nats a token, {speed:.0f} tokens/s")
                saved, losses = now, []
            if now - measured >= MEASURE_EVERY:
                self._log(f"{self.measure():.4f} bits/char on development")
                measured = time.monotonic()
        trainer.save(self._out / name)
        self._log(f"{self.measure():.4f} bits/char on development at the end")

    def _log(self, text: str) -> None:
        logging.info("step %d, %.3f M tokens: %s", self._trainer.step, self._trainer.tokens / 1e6, text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, go on, decay or export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed texts")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, log and base model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hours", type=float, default=math.inf)
    parser.add_argument("--rate", type=float, help="learning rate, if it is to change")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--decay", type=int, metavar="STEPS", help="lower the rate to nothing in so many steps")
    parser.add_argument("--export", type=Path, metavar="FILE", help="write the adapter (decayed, if there is one)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the exported adapter: what development likes best")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        _work(options)
    except LoadError as error:
        parser.exit(1, f"{error}\n")


def _work(options: argparse.Namespace) -> None:
    import torch

    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(options.out / "log.txt")],
        force=True,
    )
    torch.set_num_threads(options.threads)
    checkpoint = options.out / CHECKPOINT
    settings = saved_settings(checkpoint) if options.resume or options.decay or options.export else Settings()
    if options.rate is not None:
        settings = replace(settings, rate=options.rate)
    base = requantised(original_model(SMOLLM2), options.out)
    model = with_lora(load_base(base, quick_dtype()), settings.rank, settings.alpha, settings.seed)
    tokenise = LanguageModel(base, threads=1).tokenise
    trainer = Trainer(model.to("cuda" if torch.cuda.is_available() else "cpu"), settings, tokenise, options.data)
    if options.export:
        decayed = options.out / DECAYED
        trainer.load(decayed if decayed.exists() else checkpoint)
        export(model, options.export, settings.alpha * options.scale)
        logging.info("%s: after %.3f M tokens", options.export, trainer.tokens / 1e6)
        return
    run = Run(trainer, options.out, options.data, tokenise)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, run.stop)
    if options.resume or options.decay:
        trainer.load(checkpoint)
        trainer.skip()
    else:
        logging.info("%s; %.4f bits/char on development without adapter", settings, run.measure())
    if options.decay:
        run.decay(options.decay)
    else:
        run.constant(options.hours)


if __name__ == "__main__":
    main()
