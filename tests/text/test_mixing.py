"""A person's own counts in the search: the mixture against brute force, and the menus that come of it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.text.toy_model import ToyModel
from volition.nodes.text.cache import WordCache
from volition.nodes.text.mask import Candidate
from volition.nodes.text.mixing import Mixing
from volition.nodes.text.proposals import Limits, propose, split
from volition.nodes.text.words import Words

SPOKEN = [
    "call",
    "my",
    "sister",
    "anna",
    "now",
    "please",
    "bring",
    "tea",
    "cup",
    "of",
    "the",
    "one",
    "and",
    "where",
    "is",
    "water",
]
PIECES = [f" {word}".encode() for word in SPOKEN] + [b".", b"\n", b"<end>"]
SPECIAL = np.array([len(SPOKEN) + 2])
WORDS = Words(PIECES, SPECIAL)
LIMITS = Limits(k=5, n_words=1, grow=1.0, steps=30)


def spell(text):
    return tuple(WORDS.index.exactly(text.encode())[:1])


def mixing(cache, text, strength, half_typed=False):
    return Mixing(cache, split(text, half_typed), strength, spell)


def cache_of(*texts, half_life=1e9):
    cache = WordCache(half_life)
    for text in texts:
        cache.add(text)
    return cache


def menu(seed, text, own=None, limits=LIMITS, half_typed=False, **more):
    model = ToyModel(seed, 0.3, PIECES, SPECIAL)
    return propose(model, WORDS, split(text, half_typed), limits, mixing=own, **more)


def table(outcome):
    return {option.text: math.exp(option.log_probability) for option in (*outcome.options, *outcome.rest)}


@given(st.integers(0, 1000), st.floats(0.0, 0.9), st.lists(st.sampled_from(SPOKEN), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_each_probability_is_the_mixture(seed, strength, said):
    cache = cache_of(" ".join(said), "call my sister")
    everything = Limits(k=len(SPOKEN), n_words=1, grow=1.0, steps=60, same_stem=20)
    alone = table(menu(seed, "call my", limits=everything))
    own = mixing(cache, "call my", strength)
    mixed = menu(seed, "call my", own, everything)
    assert mixed.options
    for word, p in table(mixed).items():
        if word in alone:
            expected = (1 - strength * own.known.total()) * alone[word] + strength * own.known.of(word.strip())
            assert p == pytest.approx(expected, abs=1e-6)
    assert math.fsum(math.exp(o.log_probability) for o in mixed.options) <= 1 + 1e-9
    for option in mixed.options:
        assert sum(option.why.values()) == pytest.approx(option.log_probability, abs=1e-9)


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_without_strength_nothing_changes(seed):
    plain = menu(seed, "call my")
    mixed = menu(seed, "call my", mixing(cache_of("call my sister"), "call my", 0.0))
    for one, other in zip(plain.options, mixed.options, strict=True):
        assert (one.text, one.tokens) == (other.text, other.tokens)
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-12)
    assert plain.p_none == pytest.approx(mixed.p_none, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_word_of_the_person_enters_whatever_the_model_thinks(seed):
    model = ToyModel(seed, 0.3, PIECES, SPECIAL)
    rarest = SPOKEN[int(np.argmin(model.table[len(PIECES)][: len(SPOKEN)]))]
    cache = cache_of(*[f"call my {rarest}"] * 5)
    options = menu(seed, "call my", mixing(cache, "call my", 0.5)).options
    assert options[0].text == f" {rarest}" and math.exp(options[0].log_probability) > 0.3
    assert options[0].why["cache"] > 0


def test_a_half_typed_word_is_completed_by_both_and_bayes():
    cache = cache_of(*["my water please"] * 3)
    seed, own = 3, mixing(cache, "my w", 0.5, half_typed=True)
    alone = table(menu(seed, "my w", half_typed=True))
    mixed = menu(seed, "my w", own, half_typed=True)
    row = ToyModel(seed, 0.3, PIECES, SPECIAL).table[len(PIECES)].copy()
    row[len(SPOKEN) + 1 :] = 0.0  # no line ends here
    typed = sum(row[n] for n, word in enumerate(SPOKEN) if word.startswith("w")) / row.sum()
    weight = 1 - 0.5 * own.known.total()
    norm = weight * typed + 0.5 * own.known.total("w")
    expected = (weight * typed * alone["ater"] + 0.5 * own.known.of("water")) / norm
    assert table(mixed)["ater"] == pytest.approx(expected, abs=1e-9)
    assert table(mixed)["ater"] > alone["ater"]


def test_what_was_refused_is_not_brought_back_and_evidence_counts_for_both():
    cache = cache_of(*["call my sister"] * 5)
    first = menu(1, "call my", mixing(cache, "call my", 0.6))
    assert first.options[0].text == " sister"
    top = first.options[0]
    second = menu(
        1,
        "call my",
        mixing(cache, "call my", 0.6),
        candidates=top.candidates(-math.inf),
        refused=(" sister",),
    )
    assert " sister" not in table(second)
    # Bayes: what is left is divided by what was left
    left = 1 - math.exp(top.log_probability)
    for word, p in table(second).items():
        if word in table(first):
            assert p == pytest.approx(table(first)[word] / left, rel=1e-6)


def test_evidence_scales_the_mixture_by_bayes():
    cache = cache_of(*["call my sister"] * 5)
    first = menu(2, "call my", mixing(cache, "call my", 0.4))
    leaned = first.options[1]
    log_v = 2.0
    second = table(menu(2, "call my", mixing(cache, "call my", 0.4), candidates=leaned.candidates(log_v)))
    p = math.exp(leaned.log_probability)
    assert second[leaned.text] == pytest.approx(p * math.exp(log_v) / (1 - p + p * math.exp(log_v)), rel=1e-6)


def test_an_option_grows_by_what_the_person_says_next():
    cache = cache_of(*["call my sister anna now"] * 8)
    limits = Limits(k=5, n_words=3, grow=0.4, steps=30)
    outcome = menu(4, "call", mixing(cache, "call", 0.9), limits)
    assert outcome.options[0].text == " my sister anna"
    assert sum(outcome.options[0].why.values()) == pytest.approx(outcome.options[0].log_probability, abs=1e-9)
    covered = math.fsum(math.exp(option.log_probability) for option in outcome.options)
    assert covered == pytest.approx(outcome.covered_mass) and covered <= 1


def test_the_brought_words_are_found_once():
    """A word that the counts bring and the search finds as well counts once."""
    cache = cache_of(*[" ".join(SPOKEN)] * 3)
    outcome = menu(6, "call my", mixing(cache, "call my", 0.5), Limits(k=17, n_words=1, grow=1.0, steps=99))
    assert len({option.text for option in outcome.options}) == len(outcome.options)
    assert math.fsum(math.exp(o.log_probability) for o in (*outcome.options, *outcome.rest)) <= 1 + 1e-9


def test_a_candidate_of_several_tokens_leans_on_its_first_word():
    cache = cache_of("call my sister")
    pieces = tuple(WORDS.index.exactly(word)[0] for word in (b" sister", b" anna"))
    evidence = [Candidate(pieces, (-1.0, -1.0), 3.0)]
    outcome = menu(1, "call my", mixing(cache, "call my", 0.5), candidates=evidence)
    plain = menu(1, "call my", mixing(cache, "call my", 0.5))
    assert table(outcome)[" sister"] > table(plain)[" sister"]
    assert outcome.covered_mass <= 1
