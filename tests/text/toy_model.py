"""A language model small enough for brute force: the next token depends on the last one only."""

from itertools import product

import numpy as np

PIECES = [b" a", b" ab", b"b", b"ba", b" c", b"a", b" cab", b".", b"\n", b"<end>", b" A"]
SPECIAL = np.array([9])


class ToyModel:
    """Speaks the protocol of a proposal's model; ``table[t]`` are the probabilities after token t."""

    def __init__(self, seed: int, sharpness: float = 0.5):
        rng = np.random.default_rng(seed)
        n = len(PIECES)
        self.pieces = PIECES
        self.special = SPECIAL
        self.table = rng.dirichlet(np.full(n, sharpness), size=n + 1) * 0.999 + 0.001 / n
        self.free = 1000
        self.branches: dict[int, tuple[int, ...]] = {0: ()}

    def after(self, tokens: tuple[int, ...]) -> np.ndarray:
        return np.log(self.table[tokens[-1] if tokens else len(PIECES)])

    def extend(self, parents, tokens):
        new = []
        for parent, token in zip(parents, tokens, strict=True):
            branch = len(self.branches)
            self.branches[branch] = (*self.branches[parent], int(token))
            new.append(branch)
        return new, np.stack([self.after(self.branches[branch]) for branch in new])

    def probability(self, tokens: tuple[int, ...]) -> float:
        return float(np.exp(sum(self.after(tokens[:n])[token] for n, token in enumerate(tokens))))

    def sequences(self, length: int):
        """All token sequences of a length."""
        return product(range(len(PIECES)), repeat=length)
