"""Bits per character under a character n-gram with backoff, read from an ARPA file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from volition.core import LoadError

BEGIN = "<s>"
SPACE = "<sp>"

_NOTHING = -99.0
"""Log10 with which an ARPA file says that something never happens."""


class Ngram:
    """A backoff model of symbols (Katz 1987): what the longest known context says, less its backoff weight.

    log10 p(w | h) is that of hw where the file holds hw, and otherwise backoff(h) + log10 p(w | h'), with h' the
    context h without its first symbol, and a backoff of 0 where the file gives none.

    Parameters
    ----------
    path
        A text file in ARPA's format: sections of n-grams, each line a log10 probability, the symbols, and perhaps
        a log10 backoff weight.

    Raises
    ------
    LoadError
        When the file cannot be read as one.
    """

    def __init__(self, path: str | Path):
        self.order = 0
        self._log_p: dict[tuple[str, ...], float] = {}
        self._backoff: dict[tuple[str, ...], float] = {}
        for gram, log_p, backoff in _grams(Path(path)):
            self.order = max(self.order, len(gram))
            self._log_p[gram] = log_p
            self._backoff[gram] = backoff
        if not self.order:
            raise LoadError(f"{path}: no n-grams; a file in ARPA's format has sections such as \\1-grams:")

    @property
    def parameters(self) -> int:
        """How many numbers the model holds: probabilities, and backoff weights that are not 0."""
        return len(self._log_p) + sum(weight != 0.0 for weight in self._backoff.values())

    def log10(self, symbol: str, context: tuple[str, ...]) -> float:
        """Log10 of the probability of a symbol after others; of one that the model does not know, -inf."""
        given = context[max(0, len(context) - self.order + 1) :]
        weight = 0.0
        while (log_p := self._log_p.get((*given, symbol))) is None:
            if not given:
                return -math.inf
            weight += self._backoff.get(given, 0.0)
            given = given[1:]
        return weight + log_p if log_p > _NOTHING else -math.inf

    def bits(self, phrase: str) -> list[float]:
        """-log2 P of each character of a phrase, from its start; no end symbol."""
        symbols = (BEGIN, *(SPACE if character == " " else character for character in phrase))
        return [-self.log10(symbols[n], symbols[:n]) / math.log10(2) for n in range(1, len(symbols))]


def _grams(path: Path) -> Iterator[tuple[tuple[str, ...], float, float]]:
    order = 0
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"{path}: cannot be read as text: {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("\\"):
            order = int(line[1 : line.index("-")]) if line.endswith("-grams:") else 0
        elif order and line.strip():
            fields = line.split()
            if len(fields) not in (order + 1, order + 2):
                raise LoadError(f"{path}:{number}: expected {order} symbols between two numbers")
            try:
                backoff = float(fields[order + 1]) if len(fields) == order + 2 else 0.0
                yield tuple(fields[1 : order + 1]), float(fields[0]), backoff
            except ValueError:
                raise LoadError(f"{path}:{number}: expected numbers at both ends of the line") from None


def arpa_bits_per_char(path: str | Path, phrases: Sequence[str]) -> float:
    """Bits per character of phrases under the model of an ARPA file; inf when it lacks one of the characters."""
    model = Ngram(path)
    return sum(sum(model.bits(phrase)) for phrase in phrases) / sum(map(len, phrases))
