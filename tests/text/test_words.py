import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.nodes.text.words import (
    BOUNDARY,
    ENDS_LINE,
    INNER,
    NOT_CYRILLIC,
    NOT_LATIN,
    STARTS,
    PieceIndex,
    Tilt,
    Words,
    kind,
)

SCRIPTS = NOT_LATIN | NOT_CYRILLIC


@pytest.mark.parametrize(
    ("piece", "flags"),
    [
        (b" the", STARTS | BOUNDARY | NOT_CYRILLIC),
        (b"ing", INNER | NOT_CYRILLIC),
        (b"'t", INNER | NOT_CYRILLIC),
        ("’t".encode(), INNER | NOT_CYRILLIC),
        (b"-up", INNER | NOT_CYRILLIC),
        (b" 7", STARTS | BOUNDARY),
        (b" '", BOUNDARY),
        (b" -", BOUNDARY),
        (b".", BOUNDARY),
        (b"_", BOUNDARY),
        (b"", BOUNDARY),
        (b"\n", BOUNDARY | ENDS_LINE),
        (b" \r\n", BOUNDARY | ENDS_LINE),
        (b".\n", BOUNDARY),
        (b"a b", NOT_CYRILLIC),
        (" дом".encode(), STARTS | BOUNDARY | NOT_LATIN),
        ("ять".encode(), INNER | NOT_LATIN),
        (" x5ю".encode(), STARTS | BOUNDARY | SCRIPTS),
        (" λ".encode(), STARTS | BOUNDARY | SCRIPTS),
        (" हिन्दी".encode(), STARTS | BOUNDARY | SCRIPTS),
        (" é".encode(), STARTS | BOUNDARY | NOT_CYRILLIC),
        (" —".encode(), BOUNDARY),
        (" 😀".encode(), BOUNDARY),
        # Parts of a character: the first byte of a Cyrillic letter, the second, that of a dash, of an emoji.
        (b" \xd0", STARTS | BOUNDARY | NOT_LATIN),
        (b"\xd1", INNER | NOT_LATIN),
        (b"\xbf\xd1\x80\xd0", INNER | NOT_LATIN),
        (b"\xbf", INNER),
        (b" \xe2", BOUNDARY),
        (b"\xf0\x9f", BOUNDARY),
        (b"\xc3", INNER | NOT_CYRILLIC),
        (b"a\xff", NOT_CYRILLIC),
    ],
)
def test_kinds_of_tokens(piece, flags):
    assert kind(piece) == flags


def test_special_tokens_end_a_line_whatever_they_are_called():
    words = Words([b" a", b"end"], np.array([1]))
    assert words.flags.tolist() == [STARTS | BOUNDARY | NOT_CYRILLIC, BOUNDARY | ENDS_LINE]


@given(
    st.lists(st.binary(max_size=4), max_size=30),
    st.one_of(st.binary(min_size=1, max_size=3), st.just(b"\xff\xff")),
)
def test_pieces_are_found_as_by_looking_at_each(pieces, prefix):
    index = PieceIndex(pieces)
    assert index.extending(prefix).tolist() == [t for t, p in enumerate(pieces) if p and p.startswith(prefix)]
    inside = [t for t, p in enumerate(pieces) if p and prefix.startswith(p) and p != prefix]
    assert index.inside(prefix).tolist() == inside
    assert index.exactly(prefix) == [t for t, p in enumerate(pieces) if p == prefix]


def test_tokens_that_agree_with_a_typed_prefix():
    pieces = [b" ", b" w", b" wo", b" work", b"wo", b" wo.", b"w", b" x"]
    words = Words(pieces, np.array([], dtype=np.int64))
    whole, part = words.agreeing(b" wo")
    assert whole.tolist() == [2, 3]
    assert part.tolist() == [0, 1]


def test_sums_over_kinds_of_tokens():
    words = Words([b" a", b"b", b".", b"\n", " я".encode()], np.array([], dtype=np.int64))
    p = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    assert words.mass(p, 0, 0) == pytest.approx(1.0)
    assert words.mass(p, BOUNDARY, 0) == pytest.approx(0.8)
    assert words.mass(p, BOUNDARY, NOT_LATIN | ENDS_LINE) == pytest.approx(0.4)


def test_a_digest_is_kept_as_long_as_its_row():
    words = Words([b" a", b"b"], np.array([], dtype=np.int64))
    row = np.log(np.array([0.25, 0.75]))
    digest = words.digest(row)
    assert words.digest(row) is digest
    assert digest.mass(row, INNER, 0) == pytest.approx(0.75)
    for p in (0.1, 0.2, 0.3, 0.4):  # arrays that come and go, perhaps under the same number
        other = np.log(np.array([p, 1 - p]))
        assert words.digest(other).mass(other, INNER, 0) == pytest.approx(1 - p)
        del other
        gc.collect()


def test_likely_tokens_are_all_found_when_less_likely_ones_are_asked_for():
    words = Words([b"a"] * 6, np.array([], dtype=np.int64))
    row = np.log(np.array([0.5, 0.3, 0.15, 0.04, 0.0099, 0.0001]))
    digest = words.digest(row)
    for least in (-1.0, -3.0, -20.0):
        assert {t for t in range(6) if row[t] > least} <= set(digest.likely(row, least).tolist())


def test_a_tilt_keeps_its_parts_apart_and_is_finite():
    tilt = Tilt.of({7: 1.0, 2: -0.5}, {2: 2.0})
    assert tilt.tokens.tolist() == [2, 7]
    assert tilt.bias.tolist() == [-0.5, 1.0]
    assert tilt.focus.tolist() == [2.0, 0.0]
    with pytest.raises(ValueError, match="finite"):
        Tilt.of({1: float("-inf")})
