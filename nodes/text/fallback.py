"""Next words without a language model: a small table of what people say, for when there is none.

Written by hand and tiny on purpose: it keeps a person able to write while the model loads, fails or is
missing.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from volition.nodes.text.proposals import P_NONE_BOUNDS, Proposal, normalised, split

_COMMON = """
the to i you a it is that and of in my me what for do have this on can be we so not are with like go
want need was at he just know your she they would how good get please here help when up if out no yes
one will but there all time now see more about him her them some day going today home water come back
very think tell thank make feel did where who why food again could let or from an too take then well
right love look much call really am work eat something down off say give by later people family sleep
over drink night wait thing tomorrow bed morning doctor mother father friend house watch read listen
music hot cold pain open close door light turn stop start tired happy sorry hello bye maybe okay never
always soon little big new
"""
COMMON = tuple(_COMMON.split())

FOLLOWERS = {
    "": "i what can how you the do we where thank please is it are yes no my that when could who did why",
    "a": "little lot good drink glass cup few bit nice new moment",
    "about": "it that the this you my",
    "am": "not so going sorry very fine tired happy hungry cold here in thirsty",
    "are": "you we they there going not",
    "bring": "me the my it",
    "can": "you i we not have get go",
    "could": "you i we not have",
    "did": "you not he she they it",
    "do": "you not i we it that",
    "feel": "like better sick good tired cold so",
    "for": "me you the a my dinner lunch",
    "get": "me up out the a some it",
    "give": "me it him her the",
    "go": "to home out back for now",
    "going": "to on out home",
    "good": "morning night to idea day",
    "have": "a to you some the been",
    "he": "is was said will has",
    "help": "me you with",
    "how": "are do much is about was long",
    "i": "am need want would have do think feel can will love like was don't know",
    "in": "the my a pain bed",
    "is": "it the that there a not my this",
    "it": "is was hurts will would",
    "let": "me us him",
    "like": "to a some it that the this",
    "me": "a the to some my with up",
    "my": "mother father head back friend phone family bed glasses",
    "need": "to a help some you my the",
    "of": "the my it water",
    "on": "the my it tv",
    "please": "help turn bring give call come open get",
    "she": "is was said will has",
    "thank": "you",
    "that": "is was would i you",
    "the": "doctor door light bathroom window tv same other nurse",
    "there": "is are was",
    "this": "is one morning",
    "to": "go the be see eat get sleep drink do have you my",
    "turn": "on off the it",
    "want": "to a some you it the",
    "was": "a so not it the good",
    "we": "are can have will need go",
    "what": "is time do are did about happened",
    "when": "are is do will can",
    "where": "is are do did",
    "who": "is are was",
    "why": "is are do did not",
    "will": "you be not it call",
    "would": "you like be",
    "you": "are can have want like know for very do",
}

_FOLLOWING = 0.75  # of the mass, when something is known of the word before
_COVERED = 0.6  # of the mass: the rest are words that are not in the table


def distribution(previous: str) -> dict[str, float]:
    """P(next word | word before): two Zipf laws over the table, mixed; sums to less than one."""
    weights: dict[str, float] = {}
    following = FOLLOWERS.get(previous, "").split()
    share = _FOLLOWING if following else 0.0
    for words, mass in ((following, share), (COMMON, (1.0 - share) * _COVERED)):
        norm = sum(1.0 / rank for rank in range(1, len(words) + 1))
        for rank, word in enumerate(words, 1):
            weights[word] = weights.get(word, 0.0) + mass / (rank * norm)
    return weights


def fallback(
    text: str,
    k: int = 5,
    half_typed: bool = False,
    refused: Collection[str] = (),
    banned: Collection[str] = (),
) -> tuple[list[Proposal], float]:
    """Options after ``text``, one word each, and the probability that none fits.

    The same promises as ``propose``: none refused or banned, no two alike, ``text`` inserted as it is.
    """
    where = split(text, half_typed)
    begun = where.need.decode().lstrip() if half_typed else ""
    line = where.base.rsplit("\n", 1)[-1].split()
    weights = distribution(line[-1].casefold() if line else "")
    # What is refused begins where the text ends: the rest of a half-typed word, or a word.
    out = {normalised(begun + option if begun else option) for option in refused}
    fitting = {
        word: p
        for word, p in weights.items()
        if word.startswith(begun) and word != begun and word not in out and word not in banned
    }
    norm = sum(p for word, p in weights.items() if word.startswith(begun)) if begun else 1.0
    best = sorted(fitting.items(), key=lambda item: (-item[1], item[0]))[:k]
    space = "" if begun or where.typed or not line else " "
    options = [Proposal(space + word[len(begun) :], math.log(p / norm)) for word, p in best]
    total = sum(p / norm for _, p in best)
    return options, min(max(1.0 - total, P_NONE_BOUNDS[0]), P_NONE_BOUNDS[1])
