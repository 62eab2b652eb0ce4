"""The four curves: against parameters, depth, context, and the number of offered words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.simpler.cut import cut_model
from benchmarks.simpler.heal import healed_path
from benchmarks.simpler.ngram import Ngram
from benchmarks.simpler.prompts import everyday_lines, prompt_of
from benchmarks.store import Row, Store, digest, digest_of
from models.lora_model import requantised
from volition.core import LoadError
from volition.lab.gguf import read_card
from volition.lab.lm import CONTEXT, evaluate, hits, interval, offering, opened, scored
from volition.nodes.text.find import EMBEDDED, SMOLLM2, default_adapters, find_model, original_model
from volition.nodes.text.prompt import EVERYDAY

BLOCKS = (30, 25, 20, 15, 10)
"""Blocks of SmolLM2 that stay."""

TOKENS = (16, 64, 256, CONTEXT)
"""Most tokens of the prompt; the last is the longest that the product has."""

RANKS = (1, 3, 5, 8)
"""Words that are offered."""

_Z = 1.959964  # of 95 % under the normal curve

NGRAM, SMALL, BASE, ADAPTED = "character 12-gram", "embedded", "SmolLM2-135M", "SmolLM2-135M with its adapter"
CUT, HEALED = "first blocks of SmolLM2", "first blocks of SmolLM2, healed"


@dataclass(frozen=True)
class Subject:
    """A model with its adapters, by the name that tables call it."""

    label: str
    path: Path
    adapters: Mapping[str, float] = field(default_factory=dict)

    @property
    def inputs(self) -> Row:
        """What a result of it depends on."""
        adapters = [[Path(path).name, digest(Path(path)), scale] for path, scale in self.adapters.items()]
        return {"model": [self.path.name, digest(self.path)], "adapters": adapters}

    @property
    def parameters(self) -> int:
        """Of the model alone: adapters can be added into its weights."""
        return read_card(self.path).parameters


@dataclass
class Bench:
    """What all curves are measured with.

    Attributes
    ----------
    phrases, asked
        For bits per character, and for hit rates.
    folder
        Where models are written that are measured only.
    healed
        Folder of healed LoRAs; None for none.
    notes
        Sentences on what was left out.
    """

    store: Store
    phrases: list[str]
    asked: list[str]
    arpa: Path
    folder: Path
    healed: Path | None
    threads: int
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.append(text)

    def get(self, key: str, inputs: Row, measure: Callable[[], Row]) -> Iterator[Row]:
        """One row, or none with a note."""
        begin = time.perf_counter()

        def timed() -> Row:
            counts = {"phrases": len(self.phrases), "asked": len(self.asked)}
            return {**measure(), **counts, "seconds": round(time.perf_counter() - begin, 1)}

        row = self.store.get(key, {**inputs, "phrases": digest_of(self.phrases), "asked": digest_of(self.asked)}, timed)
        if row is None:
            self.note(f"Not measured yet: {key}.")
            return
        for note in row.get("notes", []):
            self.note(f"In {key!r}, {note}.")
        yield row

    def product(self) -> list[Subject]:
        """The models that the program offers, each as good as it is: SmolLM2 with its adapter where it has one."""
        found = [*self._embedded(), *self._adapted()]
        return found if found[-1:] and found[-1].label == ADAPTED else [*found, Subject(BASE, find_model(SMOLLM2))]

    def sizes(self) -> list[Subject]:
        """The models that differ in parameters, and SmolLM2 with and without its adapter."""
        return [*self._embedded(), Subject(BASE, find_model(SMOLLM2)), *self._adapted()]

    def _embedded(self) -> Iterator[Subject]:
        try:
            yield Subject(SMALL, find_model(EMBEDDED))
        except LoadError:
            self.note("The embedded model is left out: this installation lacks it.")

    def _adapted(self) -> Iterator[Subject]:
        adapters = default_adapters(SMOLLM2)
        if adapters:
            yield Subject(ADAPTED, find_model(SMOLLM2), adapters)
        else:
            self.note("This installation has no adapter for SmolLM2-135M: figures of that model are without one.")


# Against parameters


def by_parameters(bench: Bench) -> Iterator[Row]:
    """Bits per character and hit rate of models of different size; the n-gram has no hit rate."""
    if bench.arpa.is_file():
        yield from bench.get(
            f"parameters: {NGRAM}", {"model": [bench.arpa.name, digest(bench.arpa)]}, lambda: _ngram(bench)
        )
    else:
        bench.note(f"The {NGRAM} is left out: there is no {bench.arpa.name} (--arpa FILE).")
    for subject in bench.sizes():
        key = f"parameters: {subject.label}"
        yield from bench.get(key, subject.inputs, lambda subject=subject: _evaluated(bench, subject))


def _ngram(bench: Bench) -> Row:
    model = Ngram(bench.arpa)
    bits = np.array([sum(model.bits(phrase)) for phrase in bench.phrases])
    return {"model": NGRAM, "parameters": model.parameters, **_bits(bits, bench.phrases)}


def _bits(bits: np.ndarray, phrases: list[str]) -> Row:
    characters = np.array([len(phrase) for phrase in phrases])
    known = interval(bits, characters, np.random.default_rng(0))
    return {"bits": float(bits.sum() / characters.sum()), "bits_ci95": list(known)}


def _evaluated(bench: Bench, subject: Subject) -> Row:
    def measured(phrases: list[str], n_hits: int) -> Row:
        return evaluate(phrases, str(subject.path), subject.adapters, n_hits=n_hits, threads=bench.threads)

    bits, hit = measured(bench.phrases, 0), measured(bench.asked, len(bench.asked))
    return {
        "model": subject.label,
        "parameters": subject.parameters,
        "bits": bits["bits_per_char"],
        "bits_ci95": bits["bits_per_char_ci95"],
        "hit": hit["hit_rate_at_5"],
        "hit_ci95": wilson(hit["hit_rate_at_5"], hit["hit_words"]),
        "words": hit["hit_words"],
        "notes": bits["notes"],
    }


def wilson(rate: float, n: int) -> list[float]:
    """95 % of a share that was seen in n cases (Wilson 1927, J. Am. Stat. Assoc. 22).

    >>> [round(end, 3) for end in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    middle = (rate + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2))
    return [float(middle - half), float(middle + half)]


# Against depth


def by_depth(bench: Bench) -> Iterator[Row]:
    """SmolLM2 as Q4_0 without its last blocks, alone and with a LoRA that was trained on what is left."""
    for blocks, label, adapters in _depths(bench):
        path = _cut(bench, blocks)
        subject = Subject(label, path, adapters)
        key = f"depth: {label}, {blocks} blocks"
        for row in bench.get(key, subject.inputs, lambda subject=subject: _evaluated(bench, subject)):
            yield {**row, "blocks": blocks}


def _depths(bench: Bench) -> Iterator[tuple[int, str, dict[str, float]]]:
    missing = []
    for blocks in BLOCKS:
        yield blocks, CUT, {}
        path = healed_path(bench.healed, blocks) if bench.healed else None
        if path and path.is_file():
            yield blocks, HEALED, {str(path): 1.0}
        elif blocks < max(BLOCKS):
            missing.append(str(blocks))
    if missing:
        bench.note(f"No healed LoRA for {', '.join(missing)} blocks (--healed FOLDER, see `benchmarks.simpler.heal`).")


def _cut(bench: Bench, blocks: int) -> Path:
    bench.folder.mkdir(parents=True, exist_ok=True)
    whole = requantised(original_model(SMOLLM2), bench.folder)
    if blocks == max(BLOCKS):
        return whole
    path = bench.folder / f"cut-{blocks}.gguf"
    return path if path.is_file() else cut_model(whole, path, blocks)


# Against context


def by_context(bench: Bench) -> Iterator[Row]:
    """Bits per character after prompts of different length."""
    lines = everyday_lines(bench.phrases)
    for subject in bench.product():
        for limit in TOKENS:
            inputs = {**subject.inputs, "lines": digest_of(lines), "limit": limit}
            key = f"context: {subject.label}, {limit} tokens"
            yield from bench.get(key, inputs, lambda s=subject, n=limit: _after(bench, s, lines, n))


def _after(bench: Bench, subject: Subject, lines: list[str], limit: int) -> Row:
    with opened(subject.path, subject.adapters, bench.threads) as (language, notes):
        room = limit - len(language.opening)
        tokens, n_lines = prompt_of(lines, room, language.tokenise)
        scores = scored(language, [*language.opening, *tokens], [language.tokenise(text) for text in bench.phrases])
    bits = np.array([-score.sum() / np.log(2) for score in scores])
    size = {"limit": limit, "tokens": len(tokens) + limit - room, "lines": n_lines}
    return {"model": subject.label, **size, **_bits(bits, bench.phrases), "notes": notes}


# Against the number of words


def by_words(bench: Bench) -> Iterator[Row]:
    """Hit rate of the next word among more or fewer offered ones."""
    for subject in bench.product():
        key = f"words: {subject.label}"
        yield from bench.get(key, subject.inputs, lambda subject=subject: _among(bench, subject))


def _among(bench: Bench, subject: Subject) -> Row:
    with opened(subject.path, subject.adapters, bench.threads) as (language, notes):
        found = hits(bench.asked, offering(language, EVERYDAY, False, max(RANKS)), ranks=RANKS)
    rates = {str(rank): found.hits[rank] / found.words for rank in RANKS}
    ends = [wilson(rate, found.words) for rate in rates.values()]
    return {"model": subject.label, "rates": rates, "rates_ci95": ends, "words": found.words, "notes": notes}


CURVES = {"parameters": by_parameters, "depth": by_depth, "context": by_context, "words": by_words}
