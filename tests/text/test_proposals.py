import math
import re

import numpy as np
import pytest

from tests.text.toy_model import PIECES, SPECIAL, ToyModel
from volition.nodes.text.mask import Candidate
from volition.nodes.text.proposals import Limits, Split, normalised, propose, split
from volition.nodes.text.words import Words

WORDS = Words(PIECES, SPECIAL)
ALL = Limits(k=8, n_words=1, grow=1.0, steps=50)
ENDS_LINE = {8, 9}


def brute_force(model: ToyModel, need: bytes = b" ") -> dict[str, float]:
    """P(the first word) over sequences of five tokens, given that the text goes on with ``need``."""
    totals: dict[str, float] = {}
    norm = 0.0
    for tokens in model.sequences(5):
        if tokens[0] in ENDS_LINE:
            continue
        p = model.probability(tokens)
        text = b"".join(PIECES[t] if t not in ENDS_LINE else b"\n" for t in tokens)
        if text.startswith(need) or need == b" ":
            norm += p
        word = re.match(rb" ([a-zA-Z]+)[^a-zA-Z]", text)
        if word and word[0][:-1] == need:  # complete as it is typed: what counts is the word after it
            word = re.match(rb" ([a-zA-Z]+ [a-zA-Z]+)[^a-zA-Z]", text)
        if word and text.startswith(need):
            name = normalised(word[1].decode())
            totals[name] = totals.get(name, 0.0) + p
    return {name: p / norm for name, p in totals.items()}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.slow
def test_probabilities_equal_brute_force(seed):
    model = ToyModel(seed)
    outcome = propose(model, WORDS, Split("", b" ", 0), ALL)
    options, p_none = outcome.options, outcome.p_none
    expected = brute_force(model)
    best = sorted(expected.items(), key=lambda item: -item[1])[: len(options)]
    for option, (word, p) in zip(options, best, strict=True):
        # Words longer than the sequences that were summed, and paths below the search's floor, are missing.
        assert math.exp(option.log_probability) == pytest.approx(p, abs=5e-3)
        assert normalised(option.text) == word or math.isclose(expected[normalised(option.text)], p, abs_tol=5e-3)
    total = sum(math.exp(option.log_probability) for option in options)
    assert p_none == pytest.approx(np.clip(1 - total, 0.05, 0.95))


@pytest.mark.slow
def test_half_typed_word_is_completed_whatever_its_tokens():
    model = ToyModel(5, sharpness=2.0)
    where = split("x ab", half_typed=True)
    assert where == Split("x", b" ab", 3)
    # So many that the search looks at all spellings of the likely ones.
    options = propose(model, WORDS, where, Limits(k=24, n_words=1, grow=1.0, steps=50)).options
    expected = brute_force(model, b" ab")
    assert len(options) >= 3
    for option in options:
        word = normalised("ab" + option.text)
        assert option.text and word.startswith("ab")
        # Spellings in other tokens that the search did not need to look at are missing.
        assert math.exp(option.log_probability) == pytest.approx(expected[word], abs=3e-3)
    assert {option.text[:1] for option in options} >= {" ", "b"}  # as it is typed "ab" is a word, or begins one


def test_no_two_options_are_alike_and_each_begins_with_a_space():
    model = ToyModel(4)
    options = propose(model, WORDS, Split("x", b" ", 0), ALL).options
    first = [normalised(option.text).split()[0] for option in options]
    assert len(set(first)) == len(first) >= 3
    assert all(option.text.startswith(" ") and not option.text.startswith("  ") for option in options)
    log_p = [option.log_probability for option in options]
    assert log_p == sorted(log_p, reverse=True)


def test_after_a_typed_space_options_bring_none():
    model = ToyModel(4)
    given = propose(model, WORDS, split("x"), ALL).options
    typed = propose(model, WORDS, split("x "), ALL).options
    assert [option.text.removeprefix(" ") for option in given] == [option.text for option in typed]


def test_refused_options_do_not_come_back():
    model = ToyModel(6)
    before = propose(model, WORDS, split("x"), Limits(k=3, grow=1.0, n_words=1, steps=9)).options
    refused = [option.text for option in before]
    candidates = [Candidate(o.tokens, o.log_probabilities, -math.inf) for o in before]
    after = propose(
        model,
        WORDS,
        split("x"),
        Limits(k=3, grow=1.0, n_words=1, steps=9),
        candidates,
        refused,
    ).options
    assert after
    assert not {normalised(o.text) for o in after} & {normalised(text) for text in refused}


def test_banned_words_are_never_offered():
    model = ToyModel(6)
    limits = Limits(k=8, n_words=3, grow=0.1, steps=9, banned=("A",))
    options = propose(model, WORDS, split("x"), limits).options
    assert options
    assert not any("a" in normalised(option.text).split() for option in options)


def test_evidence_for_one_option_shapes_the_next_proposal():
    model = ToyModel(7)
    limits = Limits(k=3, n_words=1, grow=1.0, steps=9)
    before = propose(model, WORDS, split("x"), limits).options
    last = before[-1]
    after = propose(model, WORDS, split("x"), limits, [last.candidate(4.0)]).options
    assert normalised(after[0].text) == normalised(last.text)
    assert after[0].log_probability > last.log_probability


def test_options_grow_while_the_next_word_is_likely():
    model = ToyModel(1)
    n = len(PIECES)
    # Always " a", then always " c", then anything.
    model.table[n] = np.eye(n)[0] * 0.9 + 0.1 / n
    model.table[0] = np.eye(n)[4] * 0.9 + 0.1 / n
    model.table[4] = np.full(n, 1 / n)
    options = propose(model, WORDS, split("x"), Limits(k=3, n_words=3, grow=0.5)).options
    assert options[0].text == " a c"
    inside = 0.1 / n
    boundary = [t for t in range(n) if PIECES[t][:1] not in b"ab"]
    # " a" as such, not ended by a line end at the root
    p = (0.9 + inside) / (1 - 2 * inside) * (0.9 + inside) * len(boundary) / n
    assert math.exp(options[0].log_probability) == pytest.approx(p, rel=0.02)
    single = propose(model, WORDS, split("x"), Limits(k=3, n_words=1, grow=0.5)).options
    assert single[0].text == " a"


@pytest.mark.parametrize(
    ("text", "half_typed", "expected"),
    [
        ("", False, Split("", b"", 0)),
        ("i", False, Split("i", b" ", 0)),
        ("i ", False, Split("i", b" ", 1)),
        ("i\n", False, Split("i\n", b"", 0)),
        ("i wo", True, Split("i", b" wo", 3)),
        ("wo", True, Split("", b"wo", 2)),
        ("a\nwo", True, Split("a\n", b"wo", 2)),
        ("i ", True, Split("i", b" ", 1)),
        ("привет ми", True, Split("привет", " ми".encode(), 5)),
    ],
)
def test_split(text, half_typed, expected):
    assert split(text, half_typed) == expected
