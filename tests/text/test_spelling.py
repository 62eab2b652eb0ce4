import pytest

from volition.nodes.text.spelling import Split, is_function_word, looks_whole, normalised, split, stem, styled


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
        ("he said (", False, Split("he said (", b"", 0)),
        ('he said "', False, Split('he said "', b"", 0)),
        ('he said "no"', False, Split('he said "no"', b" ", 0)),
    ],
)
def test_split(text, half_typed, expected):
    assert split(text, half_typed) == expected


@pytest.mark.parametrize(
    ("base", "begins"),
    [("", True), ("yes\n", True), ("Yes.", True), ('"Go!"', True), ("i want", False), ("1.5 litres", False)],
)
def test_where_a_sentence_begins(base, begins):
    assert Split(base, b" ", 0).begins_sentence is begins


@pytest.mark.parametrize(
    ("found", "where", "inserted"),
    [
        (b" Would you", Split("how", b" ", 0, False), " would you"),
        (b" Would you", Split("how", b" ", 0, True), " Would you"),
        (b" Would you", Split("how", b" ", 0), " Would you"),
        (b" would i", Split("Yes.", b" ", 0, True), " Would I"),
        (b" i'm", Split("Yes, and", b" ", 0, True), " I'm"),
        (b" I'm Bob", Split("what can", b" ", 0, False), " I'm bob"),
        (b" would", Split("how", b" wo", 3, True), "uld"),
        (b" i'm", Split("", b" i", 2, True), "'m"),
        (b" WOULD", Split("how", b" WO", 3, False), "uld"),
        ("привет".encode(), Split("", b"", 0, True), "Привет"),
        (" \u0130x".encode(), Split("a", b" ", 0, False), " \u0130x"),  # its lower case is two characters
    ],
)
def test_options_take_the_case_of_the_text(found, where, inserted):
    assert where.inserted(found) == inserted


def test_styled_leaves_what_is_no_word():
    assert styled(" 3 - 4 o'clock, B. c", True, True) == " 3 - 4 o'clock, B. c"


def test_two_spellings_of_a_word_are_one():
    assert normalised(" Don’t ") == normalised("don't")


@pytest.mark.parametrize("words", [("want", "wants", "wanted", "wanting"), ("хочу", "хочет")[:1], ("дома", "дом")])
def test_inflections_share_a_stem(words):
    assert len({stem(word) for word in words}) == 1


def test_other_words_do_not_share_it():
    assert len({stem(word) for word in ("want", "wait", "water", "вода", "год")}) == 5


def test_what_may_be_offered_before_its_end_is_seen():
    assert looks_whole(" doctor") and looks_whole("the") and looks_whole("Я")
    assert not looks_whole(" con") and not looks_whole(" s")


def test_words_of_the_grammar():
    assert is_function_word("The") and is_function_word("don’t") and is_function_word("я")
    assert not is_function_word("doctor")
