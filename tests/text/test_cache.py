"""The counts of a person's words: laws of a distribution, and what recency does."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.nodes.text.cache import END, START, WordCache, history, sentences

WORDS = st.sampled_from(["call", "my", "sister", "anna", "now", "please"])
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), max_size=8)
CONTEXTS = st.sampled_from(["", "call", "call my", "my sister", "unknown", "call. my"])


def cache_of(texts, half_life=math.inf):
    cache = WordCache(half_life)
    for text in texts:
        cache.add(text)
    return cache


@given(TEXTS, CONTEXTS)
def test_the_shares_are_those_of_a_distribution_that_leaves_the_model_its_own(texts, context):
    known = cache_of(texts, 50.0).after(history(context))
    every = ["call", "my", "sister", "anna", "now", "please", END]
    assert all(known.of(word) >= 0 for word in every)
    assert math.fsum(known.of(word) for word in every) == pytest.approx(known.total(), abs=1e-12)
    assert known.total() < 1.0


@given(TEXTS, CONTEXTS, WORDS, st.floats(0.0, 1.0), st.floats(0.0, 0.95))
@settings(max_examples=200)
def test_more_evidence_of_a_word_raises_it_whatever_the_model_says(texts, context, word, p_model, strength):
    """Of the word in the context, with counts that do not fade."""

    def mixed(cache):
        known = cache.after(history(context))
        return (1.0 - strength * known.total()) * p_model + strength * known.of(word)

    before = mixed(cache_of(texts))
    cache = cache_of(texts)
    for length in range(len(history(context)) + 1):
        h = history(context)
        cache._count(h[len(h) - length :], word)
    assert mixed(cache) >= before - 1e-12
    assert cache.after(history(context)).of(word) > 0


def test_by_hand():
    cache = cache_of(["call my sister", "call my mother"])
    known = cache.after(("call", "my"))
    # after "call my", twice, two different words: 2 / (2 + 2), half each; after "my" the same with trust 1/2;
    # 8 words in all (with two ends), 5 different ones: 0.1 * 8 / 13
    own, shorter, none = 0.5, 0.25, 0.1 * 8 / 13
    expected = own / 2 + (1 - own) * (shorter / 2 + (1 - shorter) * none / 8)
    assert known.of("sister") == pytest.approx(expected)
    assert known.of("call") == pytest.approx(0.5 * 0.75 * none * 2 / 8)
    assert known.total() == pytest.approx(1 - (1 - own) * (1 - shorter) * (1 - none))
    assert [word for word, _ in known.best(2)] == ["mother", "sister"]
    assert known.best(3, "si") == [("sister", pytest.approx(expected))]


def test_newer_words_weigh_more():
    cache = cache_of(["tea please", "tea now"], half_life=10.0)
    known = cache.after(("^", "tea"))
    assert known.of("now") > known.of("please")
    assert cache.recency("now") == 1.0 > cache.recency("tea") > cache.recency("please") > cache.recency("soup") == 0.0
    for _ in range(400):
        cache.add("good morning")
    assert cache.after(("^", "tea")).of("now") < 1e-9  # forgotten, and the unit was rescaled on the way


def test_words_keep_the_way_they_are_written():
    cache = cache_of(["Call Anna. Hello anna", "I met Anna"])
    assert (cache.form("anna"), cache.form("call"), cache.form("met")) == ("Anna", "Call", "met")
    cache.add("please call")
    assert cache.form("call") == "call"


def test_sentences_are_counted_apart():
    assert sentences("Yes. No!\nMaybe 3.5 l") == [["Yes"], ["No"], ["Maybe", "3", "5", "l"]]
    cache = cache_of(["yes please. no"])
    assert cache.after(("please",)).of("no") < cache.after(("unknown",)).of("no")
    assert cache.after((START,)).of("no") > cache.after(("unknown",)).of("no")


@given(TEXTS)
def test_a_packed_cache_goes_on_as_the_first_one(texts):
    cache = cache_of(texts, 30.0)
    again = WordCache.unpack(json.loads(json.dumps(cache.pack())))
    for each in (cache, again):
        each.add("call my sister")
    assert again.pack() == cache.pack()
    assert len(again) == len(cache)


def test_the_lightest_go_when_there_are_too_many():
    cache = WordCache(100.0, most=300)
    for n in range(400):
        cache.add(f"word{n} is rare and tea is not")
    assert len(cache) <= 300
    assert cache.after(("tea",)).of("is") > 0 and cache.recency("word3") == 0.0
    assert len(cache) == sum(map(len, cache._counts.values()))
