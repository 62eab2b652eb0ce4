"""A language model small enough for brute force: the next token depends on the last one only."""

from itertools import product

import numpy as np

from volition.nodes.text.cancel import Cancelled

PIECES = [b" a", b" ab", b"b", b"ba", b" c", b"a", b" cab", b".", b"\n", b"<end>", b" A"]
SPECIAL = np.array([9])


class ToyModel:
    """Speaks the protocol of a proposal's model; ``table[t]`` are the probabilities after token t.

    Rows are float64, so that the arithmetic on them can be held to 1e-9. ``patience`` is how many paths it
    evaluates before it is cancelled.
    """

    def __init__(self, seed: int, sharpness: float = 0.5, pieces=PIECES, special=SPECIAL, patience: float = np.inf):
        rng = np.random.default_rng(seed)
        n = len(pieces)
        self.pieces = pieces
        self.special = special
        self.table = rng.dirichlet(np.full(n, sharpness), size=n + 1) * 0.999 + 0.001 / n
        self.patience = patience
        self.asked: list[int] = []
        self._rows: dict[tuple[int, ...], np.ndarray] = {}

    def after(self, paths):
        new = [path for path in paths if path not in self._rows]
        if new:
            self.asked.append(len(new))
        if len(self._rows) + len(new) > self.patience:
            raise Cancelled
        for path in new:
            row = np.log(self.table[path[-1] if path else len(self.pieces)])
            row.flags.writeable = False
            self._rows[path] = row
        return [self._rows[path] for path in paths]

    def row(self, tokens: tuple[int, ...]) -> np.ndarray:
        return np.log(self.table[tokens[-1] if tokens else len(self.pieces)])

    def probability(self, tokens: tuple[int, ...]) -> float:
        return float(np.exp(sum(self.row(tokens[:n])[token] for n, token in enumerate(tokens))))

    def sequences(self, length: int):
        """All token sequences of a length."""
        return product(range(len(self.pieces)), repeat=length)
