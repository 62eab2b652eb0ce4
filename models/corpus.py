"""The texts that the language models learn from, as an endless stream of short documents.

A document is a handful of lines: neighbouring lines of a dialogue or a story, or unrelated everyday sentences.
Half of the documents are rewritten as a person types who saves every keystroke: lower case, no punctuation. In
half of those in English the contractions are written out, since some writers use them and some do not.
"""

from __future__ import annotations

import hashlib
import heapq
import lzma
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from volition.core import LoadError

HELD_OUT = 0.005
"""Share of the lines that no model is trained on, for validation."""

LINES = (4, 16)
"""Fewest and most lines that a document aims at."""

OWN = Path(__file__).parent / "text"
"""Where the sentences lie that were written for this."""

SHARES = {"en": 0.65, "ru": 0.35}
"""Share of the characters."""


@dataclass(frozen=True)
class Source:
    """One packed text file: its weight among the texts of its language, and whom to thank for it."""

    name: str
    weight: float
    licence: str
    attribution: str = ""
    own: bool = False  # whether it lies beside this module

    @property
    def language(self) -> str:
        return self.name[:2]

    @property
    def blocks(self) -> bool:
        """Whether neighbouring lines belong together."""
        return "_sent_" not in self.name


_CC0 = "CC0-1.0"
_PUBLIC = "public domain"

# Measured: a character 7-gram of each source (at most 1 MB of it, plain, contractions written out; Witten-Bell
# smoothing), bits a character on the two development sets of phrases (for Russian, on the held-out short sentences),
# then the weights with which the mixture of all of them is best (EM). Tatoeba 1.88 alone, our own sentences
# 1.93-2.05, Common Voice 1.99, stories and fiction 2.2, self-dialogues 2.24, requests to an assistant 2.4-2.6,
# banking 3.2; all mixed 1.583, and half of that mixture is our own (1.611 with half of them). The weights below are
# those of the mixture, with a little less for our own, which are read too often when a training is long, and more for
# large dialogues. Left out: what got no weight (SNIPS, MultiWOZ, the narrative of English fiction), and the four
# share-alike texts, without which the mixture is no worse (by .003 bits at most).
SOURCES = (
    Source("en_sent_everyday", 40, _CC0, "this project", own=True),
    Source("en_sent_tatoeba", 24, "CC-BY 2.0 FR", '"Tatoeba" (tatoeba.org) and manythings.org/anki'),
    Source("en_dialog_self_dialogue", 8, "BSD-3-Clause", '"The Self-dialogue Corpus" (Fainberg et al., 2018)'),
    Source("en_sent_common_voice", 6, _CC0),
    Source("en_fiction_dialogue", 4, _PUBLIC, "the Standard Ebooks volumes named in the data's README"),
    Source("en_sent_clinc150", 6, "CC-BY 3.0", '"CLINC150" (Larson et al., 2019)'),
    Source("en_story_pratham_books", 3, "CC-BY 4.0", '"StoryWeaver", Pratham Books, and its authors'),
    Source("en_dialog_synthetic_persona_chat", 3, "CC-BY 4.0", '"Synthetic-Persona-Chat" (Jandaghi et al., 2023)'),
    Source("en_sent_nlu_home_assistant", 3, "CC-BY 4.0", '"NLU Evaluation Data" (Liu et al., 2019)'),
    Source("en_fiction_plays", 1, _PUBLIC, "the Standard Ebooks volumes named in the data's README"),
    Source("en_dialog_multidogo_customer", 2, "CDLA-Permissive-1.0", '"MultiDoGO" (Peskov et al., 2019), Amazon'),
    Source("en_dialog_topical_chat", 1, "CDLA-Sharing-1.0", '"Topical-Chat", Amazon.com, Inc. or its affiliates'),
    Source("en_dialog_taskmaster4", 1, "CC-BY 4.0", '"Taskmaster-4", Bill Byrne, Saravanan Ganesh, Google LLC'),
    Source("en_story_african_storybook", 1, "CC-BY", '"African Storybook" (africanstorybook.org) and its authors'),
    Source("en_sent_banking77", 0.5, "CC-BY 4.0", '"Banking77" (Casanueva et al., 2020), PolyAI'),
    Source("en_dialog_chatterbot", 0.1, "BSD-3-Clause", '"ChatterBot Corpus", Gunther Cox'),
    Source("ru_sent_short_koziev", 58, _CC0),
    Source("ru_dialog_jokes_koziev", 12, _CC0),
    Source("ru_fiction_dialogue", 9, _PUBLIC),
    Source("ru_drama_rusdracor", 8, _CC0, "DraCor (doi:10.5281/zenodo.4284002), to be cited"),
    Source("ru_sent_common_voice", 6, _CC0),
    Source("ru_fiction_narrative", 6, _PUBLIC),
    Source("ru_story_african_storybook", 0.2, "CC-BY", '"Global African Storybook Project" and its authors'),
    Source("ru_dialog_chatterbot", 0.1, "BSD-3-Clause", '"ChatterBot Corpus", Gunther Cox'),
)

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")

_WHOLE = {
    "ain't": "is not",
    "can't": "cannot",
    "gonna": "going to",
    "let's": "let us",
    "shan't": "shall not",
    "wanna": "want to",
    "won't": "will not",
    "y'all": "you all",
}
_ENDINGS = {"n't": " not", "'m": " am", "'re": " are", "'ve": " have", "'ll": " will"}
# Before these, 's after a pronoun is "has"; before all others it is nearly always "is".
_HAS = {"been", "got", "gone", "had", "done", "become", "taken", "made"}
_IS = {"he", "here", "how", "it", "she", "that", "there", "what", "when", "where", "who", "why"}
# Before these, 'd is "would"; elsewhere it may be "had" and is left alone.
_WOULD = frozenset(
    {"like", "love", "rather", "prefer", "be", "have", "want", "go", "say", "need", "never", "hate", "do", "get"}
    | {"give", "take", "make", "see", "call", "come", "think"}
)


def plain(line: str) -> str:
    """A line in lower case without punctuation; apostrophes and hyphens inside words stay.

    >>> plain("No -- I DON'T want the sugar-free one, thanks!")
    "no i don't want the sugar-free one thanks"
    """
    return " ".join(_WORD.findall(line.lower().replace("’", "'")))


def soft(line: str) -> str:
    """A line in lower case without its last punctuation; commas inside it stay.

    >>> soft("Здравствуй, как ты?")
    'здравствуй, как ты'
    """
    return ", ".join(filter(None, (plain(part) for part in line.split(","))))


def written_out(line: str) -> str:
    """A plain English line with its contractions written out, where it is clear for what they stand.

    >>> written_out("i don't think it's been tom's but i'd like to know")
    "i do not think it has been tom's but i would like to know"
    """
    if "'" not in line and "nna" not in line:
        return line
    words = line.split(" ")
    return " ".join(_long(word, after) for word, after in zip(words, [*words[1:], ""], strict=True))


def _long(word: str, after: str) -> str:
    if word in _WHOLE:
        return _WHOLE[word]
    stem, mark, ending = word.partition("'")
    if not mark:
        return word
    if word.endswith("n't"):
        return word[:-3] + _ENDINGS["n't"]
    if ending == "s" and stem in _IS:
        return stem + (" has" if after in _HAS else " is")
    if ending == "d" and after in _WOULD:
        return stem + " would"
    return stem + _ENDINGS.get("'" + ending, "'" + ending)


def same(line: str) -> str:
    """What two lines share that differ only in case, punctuation, contractions and ё."""
    return written_out(plain(line)).replace("ё", "е")


def held_out(line: str) -> bool:
    """Whether no model is ever trained on this line: about 0.5 % of all lines, in whatever form they come."""
    return _kept_back(same(line))


def _kept_back(key: str) -> bool:
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < HELD_OUT * 2**64


def held_out_lines(folder: str | Path, name: str) -> list[str]:
    """The lines of a source that are kept back for validation, as found, without those of an evaluation set."""
    banned = _phrases(Path(folder))
    with lzma.open(Path(folder) / f"{name}.txt.xz", "rt", encoding="utf-8") as file:
        return [line.strip() for line in file if held_out(line) and same(line) not in banned]


def documents(
    folder: str | Path, languages: Sequence[str] = ("en", "ru"), seed: int = 0, lower: float = 0.5
) -> Iterator[str]:
    """An endless stream of documents, the same for the same seed.

    Each source gives its share of the characters (``SHARES`` and ``Source.weight``), in a new order each time
    it has been read to its end. No held-out line and no line of an evaluation set is among them.

    Parameters
    ----------
    folder : path
        Where the packed text files lie, and in ``phrases`` the evaluation sets.
    languages : sequence of str
        Of "en" and "ru"; their shares are scaled to 1.
    seed : int
        Of everything that is drawn.
    lower : float
        Share of the documents in lower case without punctuation.

    Yields
    ------
    str
        Lines, each with a line feed at its end.

    Raises
    ------
    LoadError
        When a language or a file of it is not there.
    """
    return _documents(Path(folder), list(_chosen(Path(folder), languages)), seed, lower)


def attributions(languages: Sequence[str] = ("en", "ru")) -> list[dict[str, str]]:
    """The texts used: ``name``, ``licence`` and, where one is due or kind, ``attribution``."""
    return [
        {"name": source.name, "licence": source.licence, "attribution": source.attribution}
        for source in SOURCES
        if source.language in languages
    ]


def _chosen(folder: Path, languages: Sequence[str]) -> Iterator[tuple[Source, float]]:
    """The sources of the languages and their shares of the characters."""
    for language in languages:
        if language not in SHARES:
            raise LoadError(f"language {language!r}: there are texts in {' and '.join(SHARES)} only")
        sources = [source for source in SOURCES if source.language == language]
        for source in sources:
            if not _path(folder, source).is_file():
                raise LoadError(f"{_path(folder, source)}: no such file; name the folder that holds the packed texts")
            yield source, SHARES[language] * source.weight / sum(other.weight for other in sources)


def _path(folder: Path, source: Source) -> Path:
    return OWN / f"{source.name}.txt" if source.own else folder / f"{source.name}.txt.xz"


def _lines(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as file:
        yield from file


def _documents(folder: Path, chosen: list[tuple[Source, float]], seed: int, lower: float) -> Iterator[str]:
    banned = _phrases(folder)
    rng = random.Random(f"{seed} style")
    streams = [_pieces(folder, source, banned, random.Random(f"{seed} {source.name}")) for source, _ in chosen]
    # The source that is furthest behind its share comes next.
    queue = [(0.0, n) for n in range(len(chosen))]
    while True:
        given, n = heapq.heappop(queue)
        source, share = chosen[n]
        text = "".join(line + "\n" for line in _styled(next(streams[n]), source.language, rng, lower) if line)
        heapq.heappush(queue, (given + len(text) / share, n))
        if text:
            yield text


def _styled(lines: list[str], language: str, rng: random.Random, lower: float) -> Iterator[str]:
    if rng.random() >= lower:
        return iter(lines)
    second = rng.random() < 0.5
    if language == "en":
        return (written_out(plain(line)) if second else plain(line) for line in lines)
    return (soft(line) if second else plain(line) for line in lines)


def _phrases(folder: Path) -> set[str]:
    """The lines of the evaluation sets, as ``same`` gives them."""
    return {
        same(line)
        for path in sorted((folder / "phrases").glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
    }


def _pieces(folder: Path, source: Source, banned: set[str], rng: random.Random) -> Iterator[list[str]]:
    """The lines of one document after the other, for ever."""
    units = _units(folder, source, banned)
    lines: list[str] = []
    target = rng.randint(*LINES)
    while True:
        rng.shuffle(units)
        for unit in units:
            lines += unit
            if len(lines) >= target:
                yield lines
                lines, target = [], rng.randint(*LINES)


def _units(folder: Path, source: Source, banned: set[str]) -> list[list[str]]:
    """What must stay together: single sentences, or blocks, long ones cut."""
    units: list[list[str]] = []
    block: list[str] = []
    for line in _lines(_path(folder, source)):
        text = line.strip()
        key = same(text)
        if key and not _kept_back(key) and key not in banned:
            block.append(text)
        if block and (not text or not source.blocks or len(block) == LINES[1]):
            units.append(block)
            block = []
    return [*units, block] if block else units
