import math

import pytest

from volition.nodes.text.fallback import COMMON, FOLLOWERS, distribution, fallback


@pytest.mark.parametrize("previous", ["", "i", "nonsense", *FOLLOWERS])
def test_a_distribution_sums_to_less_than_one(previous):
    weights = distribution(previous)
    assert 0.5 < sum(weights.values()) < 1
    assert min(weights.values()) > 0


def test_the_table_has_no_word_twice():
    assert len(set(COMMON)) == len(COMMON)
    for words in FOLLOWERS.values():
        assert len(set(words.split())) == len(words.split())


def test_options_fit_the_text():
    options, p_none = fallback("i", 5)
    assert [option.text for option in options] == [" am", " need", " want", " would", " have"]
    assert 1 - sum(math.exp(o.log_probability) for o in options) == pytest.approx(p_none)
    assert [option.text for option in fallback("", 2)[0]] == ["i", "what"]
    assert [option.text for option in fallback("i ", 2)[0]] == ["am", "need"]


def test_a_half_typed_word_is_completed():
    options, _ = fallback("i wo", 5, half_typed=True)
    assert options[0].text == "uld"
    assert all(("wo" + option.text) in distribution("i") for option in options)


def test_refused_and_banned_words_are_left_out():
    first, _ = fallback("i", 3)
    second, _ = fallback("i", 5, refused=[o.text for o in first], banned=["have"])
    assert not {o.text for o in first} & {o.text for o in second}
    assert " have" not in {o.text for o in second}
    half, _ = fallback("i wo", 5, half_typed=True, refused=["uld"])
    assert "uld" not in {o.text for o in half}
