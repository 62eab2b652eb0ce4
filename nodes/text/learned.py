"""All that menus draw on of what a person taught: counts, biases, weights, as one value that other processes can hold.

It is a function of the log of choices and of nothing else: sentence by sentence, in their order. So it can be made
anew from what is left of the log when something is forgotten, and two processes that took the same steps agree to
the last bit. A sentence is learned from when it is finished: until then any of it may be undone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter

from volition.nodes.text.cache import HALF_LIFE, WordCache
from volition.nodes.text.choicelog import Row, stands
from volition.nodes.text.rerank import FEATURES, Ranker, Reading, WordBias, first_word
from volition.nodes.text.spelling import split


@dataclass(frozen=True)
class Taste:
    """How a person's choices are learned from.

    Attributes
    ----------
    lambda_max
        What their own counts may take from the model at most.
    half_life
        Words after which a count weighs half.
    reading
        How an acceptance is read; see ``rerank``.
    rank, bias
        Whether options are ranked by earlier choices, and words biased.
    style
        A word of the person's about how they write; written into the log.
    """

    lambda_max: Annotated[float, Field(ge=0.0, le=0.95)] = 0.5
    half_life: Annotated[float, Field(ge=10.0, le=1e9)] = HALF_LIFE
    reading: Reading = "choice"
    rank: bool = True
    bias: bool = True
    style: str = ""


TASTE = TypeAdapter(Taste)


class Learned:
    """What was learned from finished sentences.

    Parameters
    ----------
    taste
        How it is learned.
    """

    def __init__(self, taste: Taste | None = None):
        self.taste = taste or Taste()
        self.cache = WordCache(self.taste.half_life)
        self.ranker = Ranker(self.taste.reading)
        self.bias = WordBias()
        self.sentences = 0
        self.choices = 0

    def learn(self, rows: Sequence[Row], text: str) -> None:
        """Take in a finished text, and the answers to menus that it was made with; those that were undone are not."""
        self.sentences += 1
        for row in rows:
            if stands(row, text) and row["options"] and all(option["features"] for option in row["options"]):
                self.choices += 1
                self._answer(row)
        self.cache.add(text)

    def _answer(self, row: Row) -> None:
        options, taken = row["options"], row["taken"]
        if self.taste.rank:
            log_p = np.array([option["unranked"] for option in options], dtype=np.float64)
            none = math.log(max(1e-9, 1.0 - math.fsum(math.exp(value) for value in log_p.tolist())))
            x = np.array([option["features"] for option in options], dtype=np.float64)
            x[:, FEATURES.index("place")] = np.arange(len(options)) / max(1, len(options) - 1)
            self.ranker.learn(log_p, none, x, taken)
        if self.taste.bias:
            where = split(row["text"], row["half_typed"])
            words = [first_word(where, option["text"]) for option in options]
            self.bias.learn(words, [math.exp(option["log_p"]) for option in options], taken)

    @property
    def weights(self) -> np.ndarray:
        """Of the features, shape (n_features,); that of the place is 0: menus are ranked by what they say."""
        w = self.ranker.w.copy() if self.taste.rank else np.zeros(len(FEATURES))
        w[FEATURES.index("place")] = 0.0
        return w

    def pack(self) -> dict[str, Any]:
        """As plain dicts, lists, numbers and strings."""
        return {
            "taste": asdict(self.taste),
            "cache": self.cache.pack(),
            "w": self.ranker.w.tolist(),
            "squares": self.ranker.squares.tolist(),
            "bias": self.bias.values,
            "sentences": self.sentences,
            "choices": self.choices,
        }

    @classmethod
    def unpack(cls, data: Mapping[str, Any]) -> Learned:
        """What ``pack`` made, the same to the last bit.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it is something else.
        """
        learned = cls(TASTE.validate_python(data["taste"]))
        learned.cache = WordCache.unpack(data["cache"])
        for name in ("w", "squares"):
            values = np.array(data[name], dtype=np.float64)
            if values.shape != (len(FEATURES),) or not np.isfinite(values).all():
                raise ValueError(f"{name} are {len(FEATURES)} finite numbers")
            setattr(learned.ranker, name, values)
        learned.bias = WordBias({str(word): float(nats) for word, nats in data["bias"].items()})
        learned.sentences, learned.choices = int(data["sentences"]), int(data["choices"])
        return learned
