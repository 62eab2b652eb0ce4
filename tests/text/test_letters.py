"""Letters: their probabilities against brute force over tokens, their arrangement against all arrangements."""

import math
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.toy_model import ToyModel
from volition.nodes.text.letters import (
    _COUNTS,
    CYRILLIC,
    LATIN,
    NextCharacters,
    _first_character,
    arranged,
    counts_by_depth,
    frequencies,
    letter_options,
)
from volition.nodes.text.mask import TrieMask
from volition.nodes.text.rows import Rows
from volition.nodes.text.spelling import split
from volition.nodes.text.words import Tilt, Words

PIECES = [b" a", b" ab", b"b", b"ba", b" c", b"a", b" cab", b".", b"\n", b"<end>", b" A", b" ", b"'", b"\xd0", b"\xb0"]


def toy(seed):
    model = ToyModel(seed, pieces=PIECES)
    words = Words([*PIECES[:9], b"", *PIECES[10:]], model.special)
    return model, NextCharacters(words), Rows(words, TrieMask(()), Tilt.of())


def brute(model, need, length):
    """P(next character | need) over all token sequences of a length, by their bytes alone."""
    found = Counter()
    for tokens in model.sequences(length):
        if tokens[0] in (8, 9):
            continue  # no line ends at once
        data = b""
        for n, token in enumerate(tokens):
            data += b"\0" if token == 9 else PIECES[token]
            if len(data) > len(need):
                if not data.startswith(need):
                    break
                name = _first_character(data[len(need) :])
                if name:
                    if set(tokens[n + 1 :]) <= {0}:  # count each prefix once
                        found[name] += model.probability(tokens[: n + 1])
                    break
                if name is None:
                    break
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("need", [b"", b" ", b" a", b" ca"])
def test_masses_are_those_of_all_token_sequences(seed, need):
    model, letters, rows = toy(seed)
    expected = brute(model, need, 4)
    norm = 1.0 - sum(math.exp(model.row(())[t]) for t in (8, 9))
    found, complete = letters.masses(model, rows, need, steps=30, negligible=1e-7)
    assert complete
    for name in set("abc.'а "):
        # Of four tokens and fewer that is all but what longer paths add.
        assert found.get(name, 0.0) >= expected[name] / norm - 1e-9
        assert found.get(name, 0.0) == pytest.approx(expected[name] / norm, abs=2e-3)


def test_a_word_that_is_typed_goes_on_and_after_a_whole_one_the_next_begins():
    model, letters, rows = toy(3)
    within, _ = letters(model, rows, split("ca", True), LATIN)
    direct, _ = letters.masses(model, rows, b"ca")
    assert sum(within.values()) == pytest.approx(1.0)
    assert (within["b"] > within["c"]) == (direct.get("b", 0.0) > direct.get("c", 0.0))
    between, complete = letters(model, rows, split("ab"), LATIN)
    begun, _ = letters.masses(model, rows, b" ")
    now, _ = letters.masses(model, rows, b"", steps=1)
    assert complete and sum(between.values()) == pytest.approx(1.0)
    assert between["a"] / between["."] == pytest.approx(begun["a"] / now["."], rel=0.05)
    assert min(between.values()) > 0.0
    assert between[" "] < 0.01


def test_time_that_is_up_leaves_the_table():
    _, _, rows = toy(1)
    words = rows.words
    p, complete = NextCharacters(words)(ToyModel(1, pieces=PIECES, patience=0), rows, split("a", True), LATIN)
    assert not complete and p == frequencies(LATIN)


@given(st.binary(min_size=1, max_size=6))
def test_first_character_of_any_bytes(data):
    name = _first_character(data)
    if name:
        assert name == "'" or data.decode(errors="replace").lower().startswith(name)


def cheapest(p, k, turning):
    """The least expected number of selections of any menus whatever, by trying all partitions of the letters."""

    @lru_cache(None)
    def menu(letters, turns):
        if len(letters) <= k:
            return math.fsum(p[c] for c in letters)
        found = []
        boxes = k + turns
        # Letters are sorted by probability, which is all that tells them apart, so every assignment is tried.
        for choice in assignments(len(letters), boxes):
            parts = [tuple(c for c, box in zip(letters, choice, strict=True) if box == b) for b in range(boxes)]
            if max(map(len, parts)) == len(letters):
                continue
            cost = math.fsum(p[c] for c in letters)
            for b, part in enumerate(parts):
                if b == k:
                    cost += menu(part, turns)
                elif len(part) > 1:
                    cost += menu(part, 0)
            found.append(cost)
        return min(found)

    return menu(tuple(range(len(p))), int(turning))


def assignments(n, boxes):
    sizes = [[]]
    for _ in range(n):
        sizes = [[*one, b] for one in sizes for b in range(boxes)]
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(3, 2), (5, 2), (6, 2), (5, 3), (7, 3)])
@pytest.mark.parametrize("turning", [True, False])
def test_no_arrangement_needs_fewer_selections(n, k, turning):
    rng = np.random.default_rng(n + k)
    for _ in range(2):
        p = sorted(rng.dirichlet(np.full(n, 0.7)).tolist(), reverse=True)
        counts, cost = counts_by_depth(p, k, turning)
        assert sum(counts) == n
        assert cost == pytest.approx(cheapest(tuple(p), k, turning))


def walk(p, k, letter, group="", refused=(), limit=60):
    """Selections until a letter is there, by its menus alone."""
    options, _ = letter_options(p, k, group, refused)
    texts = [option.text for option in options]
    assert limit and texts
    if letter in texts:
        return 1
    inside = next((text for text in texts if letter in text), None)
    if inside is not None:
        return 1 + walk(p, k, letter, inside, (), limit - 1)
    assert not group, "a group shows all its letters"
    return 1 + walk(p, k, letter, "", (*refused, *texts), limit - 1)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("characters", [LATIN, CYRILLIC])
def test_every_letter_is_reached_at_the_expected_cost(characters, k):
    p = frequencies(characters)
    cost = sum(p[c] * walk(p, k, c) for c in characters)
    _, expected = counts_by_depth(sorted(p.values(), reverse=True), k, True)
    assert cost <= expected + 1e-9


def test_the_arrangement_beats_groups_of_equal_mass():
    p = frequencies(LATIN)
    order = sorted(p, key=lambda c: -p[c])
    edges = np.searchsorted(np.cumsum([p[c] for c in order]), np.arange(1, 5) / 5)
    groups = [order[a:b] for a, b in zip([0, *edges], [*edges, len(order)], strict=True)]
    equal = 0.0
    for group in groups:
        share = [p[c] for c in group]
        equal += sum(share) + (counts_by_depth(share, 5, False)[1] if len(group) > 1 else 0.0)
    assert counts_by_depth([p[c] for c in order], 5, True)[1] < equal - 0.1


def test_menus_say_how_likely_their_groups_are():
    p = frequencies(LATIN)
    options, kind = letter_options(p, 5)
    assert kind == "groups" and len(options) == 5
    masses = [math.exp(option.log_probability) for option in options]
    assert masses == sorted(masses, reverse=True)
    assert masses == pytest.approx([sum(p[c] for c in option.text) for option in options])
    assert letter_options(p, 5, options[0].text)[1] == "letters"
    once_round = letter_options(p, 5, refused=[LATIN])
    assert once_round == (options, kind)
    assert arranged(p, 5) == [option.text for option in options]


def test_the_table_is_the_count_of_the_text_it_names():
    text = (Path(__file__).parents[2] / "models/text/en_sent_everyday.txt").read_text().lower()
    assert {c: text.count(c) for c in _COUNTS} == _COUNTS
    for characters in (LATIN, CYRILLIC, "ab", "q"):
        for begins in (False, True):
            p = frequencies(characters, begins)
            assert sum(p.values()) == pytest.approx(1.0) and min(p.values()) > 0.0
    assert frequencies(LATIN)[" "] > 0.1 > 0.001 > frequencies(LATIN, True)[" "]
