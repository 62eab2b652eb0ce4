"""Train the embedded model: ``python -m models.train --data FOLDER --out FOLDER --hours H``.

The schedule is warm-up, then constant, then (``--decay``) linearly to nothing, so that a run can be continued for as
long as there is time and finished from any checkpoint; with ``--decay`` a finished run begins again, at ``--peak``. A
run resumes exactly: what a step learns from depends on its number only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models import corpus
from volition.core import LoadError
from volition.nodes.text.prompt import EVERYDAY, EVERYDAY_RU

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from models.network import Network

END = "<|endoftext|>"
"""Stands before each document."""

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What Qwen2 splits text by before byte pairs are merged; llama.cpp knows it as "qwen2"."""

LOWER = 0.7
"""Share of the documents in lower case: what is written with the embedded model is mostly that."""

SHAPE = {"width": 256, "heads": 4, "inner": 768}
"""What is not ``Shape``'s own default."""

BATCH = 4096
"""Tokens a step."""

SHARD = 1024
"""Steps for which text is prepared at a time."""

LONG = 8
"""One step in so many learns from windows of 1,024 tokens, the others from 256: as good, and half the attention."""

MUON, ADAM, DECAY_OF_WEIGHTS = 0.02, 0.003, 0.05
"""Learning rates of the matrices and of all else, and the weight decay of the matrices."""

WARM_UP = 100
"""Steps."""


def train_tokeniser(texts: Iterable[str], size: int) -> Tokenizer:
    """A byte-level BPE of ``size`` tokens, the first of them ``END``."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokeniser = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokeniser.pre_tokenizer = pre_tokenizers.Sequence([pieces, to_bytes])
    tokeniser.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=10,
        show_progress=False,
    )
    tokeniser.train_from_iterator(texts, trainer)
    return tokeniser


def first(texts: Iterable[str], characters: int) -> Iterator[str]:
    """Texts until they have so many characters."""
    for text in texts:
        yield text
        characters -= len(text)
        if characters <= 0:
            return


def load_tokeniser(data: Path, out: Path, size: int) -> Tokenizer:
    """The tokeniser of this run, trained when it is not there."""
    from tokenizers import Tokenizer

    path = out / "tokenizer.json"
    if not path.is_file():
        print("training the tokeniser", flush=True)
        train_tokeniser(first(corpus.documents(data, seed=-1, lower=LOWER), 24_000_000), size).save(str(path))
    return Tokenizer.from_file(str(path))


def shard(data: Path, out: Path, tokeniser: Tokenizer, number: int) -> np.ndarray:
    """The tokens of ``SHARD`` steps, and one more, as uint16; prepared when they are not there."""
    path = out / f"shard-{number:04d}.npy"
    need = SHARD * BATCH + 1
    if not path.is_file():
        print(f"preparing shard {number}", flush=True)
        tokens = np.empty(need, np.uint16)
        filled = 0
        documents = corpus.documents(data, seed=number, lower=LOWER)
        while filled < need:
            texts = [END + text for text in itertools.islice(documents, 512)]
            for encoding in tokeniser.encode_batch_fast(texts):
                ids = encoding.ids[: need - filled]
                tokens[filled : filled + len(ids)] = ids
                filled += len(ids)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, tokens)
        partial.replace(path)
    return np.load(path, mmap_mode="r")


class Muon:
    """Momentum, made orthogonal: each update of a matrix has all its singular values near 1.

    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the five Newton-Schulz steps and
    their coefficients are theirs. torch.optim.Muon always casts to bfloat16, which some processors are slow with.
    """

    def __init__(self, parameters: dict[str, torch.Tensor], decay: float, dtype: torch.dtype, momentum: float = 0.95):
        self.parameters, self.dtype = parameters, dtype
        self.buffers = {name: parameter.detach() * 0 for name, parameter in parameters.items()}
        self.decay, self.momentum = decay, momentum

    def step(self, rate: float) -> None:
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                buffer, gradient = self.buffers[name], parameter.grad
                buffer.lerp_(gradient, 1 - self.momentum)
                update = orthogonal(gradient.lerp_(buffer, self.momentum).to(self.dtype))
                scale = rate * math.sqrt(max(1.0, buffer.shape[0] / buffer.shape[1]))
                parameter.mul_(1 - rate * self.decay).add_(update, alpha=-scale)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """U V^T, roughly, of the singular value decomposition U S V^T of a matrix."""
    import torch

    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        gram = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, gram, x, beta=3.4445)
    return x.T if tall else x


class Decay(NamedTuple):
    """The end of a schedule: from a share of the highest learning rate linearly to nothing."""

    begin: int
    steps: int
    peak: float = 1.0

    @property
    def end(self) -> int:
        return self.begin + self.steps


def rate_at(step: int, decay: Decay | None) -> float:
    """The learning rate, as a share of the highest, of a step counted from 0."""
    rate = min(1.0, (step + 1) / WARM_UP)
    if decay is not None:
        rate *= decay.peak * max(0.0, 1 - (step - decay.begin) / decay.steps)
    return rate


class Run:
    """A model in training: the weights, the optimisers, and where it stands."""

    def __init__(self, data: Path, out: Path, shape: dict[str, Any], compiled: bool):
        import torch

        from models.network import Network, Shape
        from models.precision import quick_dtype

        self.data, self.out = data, out
        self.network: Network = Network(Shape(**shape))
        self.network.initialise(seed=0)
        self.tokeniser = load_tokeniser(data, out, self.network.shape.vocabulary)
        matrices = {n: p for n, p in self.network.named_parameters() if p.ndim == 2 and "embed" not in n}
        self.others = {n: p for n, p in self.network.named_parameters() if n not in matrices}
        self.dtype = quick_dtype()
        self.muon = Muon(matrices, DECAY_OF_WEIGHTS, self.dtype)
        self.adam = torch.optim.AdamW(self.others.values(), lr=ADAM, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
        self.forward = torch.compile(self.network, dynamic=False) if compiled else self.network
        self.step = 0
        self.seconds = 0.0
        self.decay: Decay | None = None
        self._shard: tuple[int, np.ndarray] | None = None

    def batch(self) -> torch.Tensor:
        """Token ids [windows, length + 1] of this step."""
        import torch

        number, n = divmod(self.step, SHARD)
        if self._shard is None or self._shard[0] != number:
            self._shard = number, shard(self.data, self.out, self.tokeniser, number)
        tokens = torch.from_numpy(self._shard[1][n * BATCH : (n + 1) * BATCH + 1].astype(np.int64))
        length = 1024 if self.step % LONG == 0 else 256
        return tokens.unfold(0, length + 1, length)

    def learn(self, micro: int) -> float:
        """One step; its loss in nats a token."""
        import torch

        from models.loss import loss_of

        tokens = self.batch()
        weight = self.network.embed_tokens.weight
        mixed = torch.autocast("cpu", self.dtype, enabled=self.dtype is not torch.float32)
        per = max(1, micro // (tokens.shape[1] - 1))
        total = 0.0
        for part in tokens.split(per):
            with mixed:
                hidden = self.forward(part[:, :-1].contiguous())
            share = part.shape[0] / tokens.shape[0]
            loss = loss_of(hidden, weight.to(hidden.dtype), part[:, 1:]) * share
            loss.backward()
            total += float(loss.detach())
        rate = rate_at(self.step, self.decay)
        self.muon.step(MUON * rate)
        for group in self.adam.param_groups:
            group["lr"] = ADAM * rate
        self.adam.step()
        self.network.zero_grad(set_to_none=True)
        self.step += 1
        return total

    def save(self) -> None:
        import torch

        state = {
            "shape": asdict(self.network.shape),
            "network": self.network.state_dict(),
            "muon": self.muon.buffers,
            "adam": {name: self.adam.state[parameter] for name, parameter in self.others.items()},
            "step": self.step,
            "seconds": self.seconds,
            "decay": tuple(self.decay or ()),
        }
        partial = self.out / "checkpoint.partial"
        torch.save(state, partial)
        partial.replace(self.out / "checkpoint.pt")

    def load(self) -> None:
        """Go on from the checkpoint; layers that it does not have come between its own and start as nothing."""
        import torch

        if not (self.out / "checkpoint.pt").is_file():
            raise LoadError(f"{self.out} holds no checkpoint.pt to go on from; leave out --resume to begin")
        state = torch.load(self.out / "checkpoint.pt", weights_only=True)
        layers = state["shape"]["layers"], self.network.shape.layers
        named = dict(self.network.named_parameters())
        with torch.no_grad():
            for name, weight in state["network"].items():
                named[moved(name, *layers)].copy_(weight)
        self.muon.buffers.update({moved(name, *layers): buffer for name, buffer in state["muon"].items()})
        for name, moments in state["adam"].items():
            self.adam.state[named[moved(name, *layers)]] = moments
        self.step, self.seconds = state["step"], state["seconds"]
        self.decay = Decay(*state["decay"]) if state["decay"] else None


def moved(name: str, layers: int, now: int) -> str:
    """The name of a parameter in a model of more layers, among which the old ones are spread evenly.

    >>> moved("layers.3.mlp.up_proj.weight", 4, 8)
    'layers.6.mlp.up_proj.weight'
    """
    if not name.startswith("layers."):
        return name
    head, number, rest = name.split(".", 2)
    return f"{head}.{int(number) * now // layers}.{rest}"


def bits_per_character(network: Network, tokeniser: Tokenizer, frame: str, phrases: list[str]) -> float:
    """Bits a character of phrases after a frame, each by itself; no end symbol, spaces counted."""
    import torch

    before = tokeniser.encode(END + frame).ids
    encoded = [tokeniser.encode(phrase).ids for phrase in phrases]
    bits = 0.0
    with torch.no_grad():
        for start in range(0, len(encoded), 16):
            group = encoded[start : start + 16]
            longest = max(map(len, group))
            ids = torch.tensor([before + ids + [0] * (longest - len(ids)) for ids in group])
            hidden = network(ids)[:, len(before) - 1 : -1]
            targets = ids[:, len(before) :]
            logp = torch.log_softmax(network.logits(hidden), -1).gather(-1, targets[..., None])[..., 0]
            lengths = torch.tensor([len(ids) for ids in group])
            bits -= float(logp[torch.arange(longest) < lengths[:, None]].sum()) / math.log(2)
    return bits / sum(map(len, phrases))


def development_set(data: Path) -> dict[str, tuple[str, list[str]]]:
    """A frame and phrases of each language, none of which a model is trained or finally judged on."""
    english = [
        line
        for name in ("aac_crowdsourced_lower.txt", "specialists_lower.txt")
        for line in (data / "phrases" / name).read_text(encoding="utf-8").splitlines()
    ]
    russian = corpus.held_out_lines(data, "ru_sent_short_koziev")
    return {
        "en": (EVERYDAY.lower, english[::5]),
        "ru": (EVERYDAY_RU.lower, [corpus.plain(line) for line in russian[:200]]),
    }


def train(run: Run, hours: float, micro: int) -> None:
    """Steps until the time is over, the decay has ended or a signal asks to stop.

    A checkpoint every 5 minutes, the development bits every 10.
    """
    sets = development_set(run.data)
    began = saved = logged = time.monotonic()
    before = run.seconds
    losses: list[float] = []
    asked: list[int] = []  # to stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.append(number))
    done = False
    while not done:
        losses.append(run.learn(micro))
        now = time.monotonic()
        run.seconds = before + now - began
        ended = run.decay is not None and run.step >= run.decay.end
        done = ended or bool(asked) or now - began > hours * 3600
        if done or now - saved > 300:
            run.save()
            saved = now
        if done or now - logged > 600 or run.step == WARM_UP:
            bits = {name: bits_per_character(run.network, run.tokeniser, *pair) for name, pair in sets.items()}
            record = {
                "step": run.step,
                "tokens": run.step * BATCH,
                "hours": round(run.seconds / 3600, 3),
                "tokens_per_second": round(len(losses) * BATCH / (now - logged)),
                "loss": round(float(np.mean(losses)), 4),
                **{f"{name}_bits_per_character": round(value, 4) for name, value in bits.items()},
            }
            with (run.out / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(record, flush=True)
            losses, logged = [], time.monotonic()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.train", description="Train the embedded model.")
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the packed texts")
    add("--out", type=Path, required=True, help="folder for the checkpoint, the log and the tokens")
    add("--hours", type=float, default=1.0, help="stop after so many hours; 0 trains nothing")
    add("--threads", type=int, default=1)
    add("--micro", type=int, default=1024, help="tokens that go through the model at a time")
    add("--compile", action="store_true", help="let torch compile the model: a seventh faster; needs a C++ compiler")
    add("--resume", action="store_true", help="go on from the checkpoint")
    add("--layers", type=int, default=4, help="with --resume, more than before make the model grow")
    add("--decay", type=int, metavar="STEPS", help="finish: lower the learning rate to 0 in so many steps")
    add("--peak", type=float, default=1.0, help="of --decay: what share of the full learning rate it begins at")
    add("--export", type=Path, metavar="FILE", help="afterwards, write the model as GGUF")
    add("--kind", default="q8_0", help="how the matrices in it are stored: f32, f16, q8_0 ...")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    import torch

    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        run = Run(arguments.data, arguments.out, {**SHAPE, "layers": arguments.layers}, arguments.compile)
        if arguments.resume:
            run.load()
        if arguments.decay and (run.decay is None or run.step >= run.decay.end):
            run.decay = Decay(run.step, arguments.decay, arguments.peak)
        print(f"{sum(p.numel() for p in run.network.parameters()):,} parameters, step {run.step}", flush=True)
        if arguments.hours > 0:
            train(run, arguments.hours, arguments.micro)
        if arguments.export:
            from models.export import write_gguf

            write_gguf(arguments.export, run.network, run.tokeniser, arguments.kind)
    except LoadError as error:
        raise SystemExit(f"models.train: {error}") from None


if __name__ == "__main__":
    main()
