"""Which of many short texts fit what is being written: by their words (BM25)."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from volition.nodes.text.spelling import is_function_word

LONGEST = 200
"""Most characters of a passage: with 45 tokens, three of the longest fit into a prompt's share."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?…])([\"'”’)»\]]*)\s+(?=[\"'“‘(«\[—–-]*\s*[^\W_a-zа-яё])")
_CLAUSE = re.compile(r"(?<=[,;:—–])\s")


def words(text: str) -> list[str]:
    """The words of a text, without case.

    >>> words("Don't forget: the ёлка, and 2 cups.")
    ["don't", 'forget', 'the', 'елка', 'and', '2', 'cups']
    """
    return _WORD.findall(text.lower().replace("ё", "е").replace("’", "'"))


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """What the forms of a word share, by the Snowball rules for English or Russian.

    >>> stem("walking"), stem("walked"), stem("собаки"), stem("собаку")
    ('walk', 'walk', 'собак', 'собак')
    """
    return _stemmers()["russian" if word[0] >= "а" else "english"](word)


@lru_cache(maxsize=1)
def _stemmers() -> dict[str, Callable[[str], str]]:
    import snowballstemmer

    return {language: snowballstemmer.stemmer(language).stemWord for language in ("english", "russian")}


def terms(text: str) -> list[str]:
    """What two texts are compared by: the stems of their words, without those of the grammar, which all texts share.

    >>> terms("The dogs are barking at me")
    ['dog', 'bark']
    """
    return [stem(word) for word in words(text) if not is_function_word(word)]


def passages(text: str) -> list[str]:
    """A text as passages of a sentence each, the longest cut where a clause ends.

    A single word (a heading, an item of a list) would bring nothing but itself, and is left out.
    """
    lines = (" ".join(line.split()) for line in text.splitlines())
    sentences = (s for line in lines for s in _SENTENCE.sub(r"\1\n", line).split("\n"))
    return [part for s in sentences for part in _parts(s) if len(words(part)) > 1]


def _parts(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST:
        clauses = [found.start() for found in _CLAUSE.finditer(sentence, LONGEST // 2, LONGEST + 1)]
        cut = clauses[-1] if clauses else sentence.rfind(" ", 1, LONGEST + 1)
        cut = cut if cut > 0 else LONGEST
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    yield sentence


class Okapi:
    """BM25 of short texts that come one at a time.

    With f how often a text holds a term, L its length in terms, A the mean length, N the number of texts and n
    how many of them hold the term, a text's score is the sum over the terms of the query of

        weight idf f / (f + k1 (1 - b + b L / A)),     idf = log(1 + (N - n + 1/2) / (n + 1/2))

    after Robertson and Zaragoza (2009, Found. Trends Inf. Retr. 3), with the idf of Lucene, which is never
    negative, and the k1 and b that are usual. Libraries that were looked at index a finished collection: to add
    a line is to begin again.
    """

    def __init__(self, k1: float = 1.5, b: float = 0.75):
        self.k1 = k1
        self.b = b
        self._lengths = array("d")
        self._where: dict[str, tuple[array[int], array[float]]] = {}  # of each term: texts, and how often

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, terms: Sequence[str]) -> None:
        """Take the next text."""
        for term, count in Counter(terms).items():
            texts, counts = self._where.setdefault(term, (array("q"), array("d")))
            texts.append(len(self._lengths))
            counts.append(count)
        self._lengths.append(len(terms))

    def scores(self, query: Mapping[str, float]) -> np.ndarray:
        """The score of every text, shape (n_texts,), for terms with weights."""
        total = np.zeros(len(self))
        if not len(self):
            return total
        lengths = np.frombuffer(self._lengths)
        norm = self.k1 * (1.0 - self.b + self.b * lengths / max(1.0, float(lengths.mean())))
        for term, weight in query.items():
            if term in self._where:
                texts, counts = (np.frombuffer(a, dtype=a.typecode) for a in self._where[term])
                idf = math.log(1.0 + (len(self) - len(texts) + 0.5) / (len(texts) + 0.5))
                total[texts] += weight * idf * counts / (counts + norm[texts])
        return total
