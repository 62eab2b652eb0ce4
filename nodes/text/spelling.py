"""How words are written: where a word begins in a text, its case, and what makes two words alike."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_WORD = re.compile(r"[^\W_][\w'’-]*")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*$")
_OPENING = re.compile(r"(?:[(\[{«“]|(?:^|\s)[\"'‘])$")  # a word follows without a space
_CYRILLIC = re.compile("[\u0400-\u052f]")

_SHORT = """
a i am an as at be by do go he hi if in is it me my no of oh ok on or so to up us we all and any are ask bad bed
big but buy can car cat cup cut dad day did dog dry due eat end eye far fat few fix for fun get god got had has
her hey him his hot how its job joy key kid let lie lot low mad man may men mom mum new nor not now off old one
our out own pay pen put ran red run sad saw say see she sit six son sun tea ten the tie too try two use war was
way wet who why win won yes yet you
а в и к о с у я бы вы да до ее её ей ему ещё же за из им их ли мы на не ни но ну об он от по со та те то ты уж
без бог вам вас вот все всё где год дай дал дед для дня дом его идёт иду или как кто мне мой моя над нам нас нет
них ним она они оно при про раз сам сил так там тем тот три тут туда уже ухо чай час чем что эта эти это
"""
SHORT = frozenset(_SHORT.split())
"""Words so short that they could be the beginning of any other."""

_GRAMMAR = """
a an the this that these those i you he she it we they me him her us them my your his its our their mine yours and
or but if so as than then not no nor to of in on at by for with from into about over under up down out off is am
are was were be been being do does did done have has had can could will would shall should may might must don't
doesn't didn't isn't aren't wasn't can't won't i'm it's that's i'll you're he's she's we're they're i've there here
what who which when where why how just very too also there's let's
а и но или что чтобы как так же ли бы не ни да нет в во на с со к ко у о об от из за по для до под над при про без
я ты он она оно мы вы они меня тебя его её ее нас вас их мне тебе ему ей нам вам им мой твой свой наш ваш это этот
эта эти тот та те то все всё был была было были есть будет вот уже ещё еще там тут здесь если когда где кто
"""
_FUNCTION_WORDS = frozenset(_GRAMMAR.split())


@dataclass(frozen=True)
class Split:
    """A text as the model gets it: what is before the word to propose, and how that word begins.

    ``need`` are the bytes that the continuation of ``base`` must begin with; the first ``typed`` of them
    are in the text already. ``cased`` is the style of the options: True with capitals where they belong,
    False without, None as the model has it.
    """

    base: str
    need: bytes
    typed: int
    cased: bool | None = None

    @property
    def begins_sentence(self) -> bool:
        """Whether the word to propose is the first of its sentence."""
        line = self.base.rsplit("\n", 1)[-1].rstrip()
        return not line or bool(_SENTENCE_END.search(line))

    def inserted(self, found: bytes) -> str:
        """What is to be added to the text for a continuation of ``base``, in the style that is asked for."""
        typed = self.need[: self.typed].decode()
        text = found.decode(errors="replace")
        written = styled(text, self.cased, self.begins_sentence)
        return (written if len(written) == len(text) else text)[len(typed) :]


def split(text: str, half_typed: bool = False, cased: bool | None = None) -> Split:
    """Where a continuation of ``text`` starts for the model.

    Tokens carry the space before a word, and a word's tokens are not those of its letters so far. So a
    trailing space and, with ``half_typed``, the unfinished word at the end go back to what is to be
    continued.
    """
    line = text.rsplit("\n", 1)[-1]
    if half_typed and line and not line[-1].isspace():
        word = re.split(r"\s", line)[-1]
        before = text[: len(text) - len(word)]
        stripped = before.rstrip(" ")
        lead = " " if before.rsplit("\n", 1)[-1].strip() else ""
        need = (lead + word).encode()
        return Split(stripped if lead else before, need, len(need), cased)
    if not line.strip():
        return Split(text[: len(text) - len(line)], b"", 0, cased)
    if _OPENING.search(line):
        return Split(text, b"", 0, cased)
    stripped = text.rstrip(" ")
    return Split(stripped, b" ", 1 if len(stripped) < len(text) else 0, cased)


def normalised(option: str) -> str:
    """What makes two options the same: their words without case.

    >>> normalised(" Don’t  go")
    "don't go"
    """
    return " ".join(option.casefold().replace("’", "'").split())


def styled(text: str, cased: bool | None, begins_sentence: bool = False) -> str:
    """Words in the case that a writer gives them who uses capitals, or none.

    The English pronoun keeps its capital, where it has one, in a text without capitals too.

    >>> styled(" the doctor said i", True, begins_sentence=True), styled(" The doctor said I", False)
    (' The doctor said I', ' the doctor said I')
    """
    if cased is None:
        return text
    first = begins_sentence

    def write(match: re.Match[str]) -> str:
        nonlocal first
        word = match[0]
        pronoun = word in ("i", "I") or word[:2] in ("i'", "I'", "i’", "I’")
        if not cased:
            return word if pronoun and word[0] == "I" else word.lower()
        begins, first = first, False
        return word[0].upper() + word[1:] if begins or pronoun else word

    return _WORD.sub(write, text)


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """What the inflections of a word have in common (Snowball; Russian for Cyrillic letters, else English).

    >>> stem("wanted") == stem("wants"), stem("хочет"), stem("want")
    (True, 'хочет', 'want')
    """
    word = normalised(word)
    return str(_stemmer("russian" if _CYRILLIC.search(word) else "english").stemWord(word))


@lru_cache(maxsize=2)
def _stemmer(language: str) -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer(language)


def looks_whole(word: str) -> bool:
    """Whether a word is hardly the beginning of another one: four letters or more, or a known short word."""
    word = normalised(word)
    return len(word) > 3 or word in SHORT


def is_function_word(word: str) -> bool:
    """Whether a word belongs to the grammar of English or Russian and says little about the topic."""
    return normalised(word) in _FUNCTION_WORDS
