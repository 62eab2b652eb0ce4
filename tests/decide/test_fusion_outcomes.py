"""What becomes of a choice: undo, what is kept, what is learned; and what engagement moves."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.core import EventFrame
from volition.core.clock import SECOND
from volition.core.events import Choice, Engagement, Evidence, Menu, Option, Posterior, Undo
from volition.core.node import drive
from volition.nodes.decide.belief import KEPT, NONE
from volition.nodes.decide.error import ErrorPotential
from volition.nodes.decide.fusion import Fusion


def at(seconds):
    return 10 * SECOND + round(seconds * SECOND)


class Person:
    """Drives a Fusion; times in seconds."""

    def __init__(self, **params):
        self.fusion = Fusion(**{"threshold": 0.9, **params})

    def menu(self, number, context, words=("tea", "milk", "rice"), seconds=None, p=0.3):
        self.began = 10.0 * number if seconds is None else seconds
        options = [Option(id=str(n), text=f" {w}", log_probability=math.log(p)) for n, w in enumerate(words, 1)]
        event = Menu(menu=number, context=context, options=options, p_none=1 - p * len(words)).at(at(self.began))
        assert drive(self.fusion, i_menu=EventFrame.of(event)) == {}
        self.number = number

    def says(self, after, llr, source="gaze", number=None):
        piece = Evidence(source=source, menu=number or self.number, llr=llr).at(at(self.began + after))
        out = drive(self.fusion, i_evidence=EventFrame.of(piece))
        posterior = [Posterior.parse(data) for _, _, data in out.get("o_posterior", ())]
        choice = [Choice.parse(data) for _, _, data in out.get("o_choice", ())]
        return (posterior or [None])[0], (choice or [None])[0]

    def undoes(self, after=2.0, **fields):
        return drive(self.fusion, i_undo=EventFrame.of(Undo(**fields).at(at(self.began + after))))


def chose(person, number=1, context="i want", option="1", **more):
    person.menu(number, context, **more)
    _, choice = person.says(1.0, {option: 6.0})
    assert choice.option == option


def test_an_undone_menu_comes_again_with_what_was_known():
    person = Person()
    person.menu(1, "i want")
    before, choice = person.says(1.0, {"1": 6.0, "2": 2.0, "3": -3.0})
    assert choice.option == "1"
    assert person.undoes(reason="not what was meant") == {}
    person.menu(2, "i want", ("milk", "soup", "tea"))
    after, choice = person.says(1.0, {"2": 0.0})
    assert after.sources[KEPT] == {
        "1": pytest.approx(before.sources["gaze"]["2"]),
        "3": -4.0,
        NONE: 0.0,
    }
    weights = {"1": 0.3 * math.exp(before.sources["gaze"]["2"]), "2": 0.3, "3": 0.3 * math.exp(-4), NONE: 0.1}
    total = sum(weights.values())
    assert after.p == pytest.approx({k: w / total for k, w in weights.items()})


def test_what_was_kept_alone_makes_no_choice():
    person = Person(threshold=0.5)
    person.menu(1, "i want")
    person.says(1.0, {"1": 6.0, "2": 5.9})
    person.undoes()
    person.menu(2, "i want")
    found, choice = person.says(1.0, {"3": 0.2})
    assert found.p["2"] > 0.9 and choice is None
    _, choice = person.says(1.1, {"2": 0.5})
    assert choice.option == "2"


def test_another_context_or_a_choice_forgets_what_was_kept():
    person = Person()
    chose(person)
    person.undoes()
    person.menu(2, "i want tea")
    assert KEPT not in person.says(1.0, {"1": 0.1})[0].sources
    person.menu(3, "i want")
    assert KEPT in person.says(1.0, {"1": 0.1})[0].sources
    person.says(1.1, {"3": 9.0})
    person.menu(4, "i want")
    assert KEPT not in person.says(1.0, {"1": 0.1})[0].sources


def test_a_menu_that_was_faster_than_its_undo():
    person = Person()
    chose(person)
    person.menu(2, "i want")
    person.undoes()
    assert person.says(3.0, {"2": 0.1})[0].sources[KEPT]["1"] == -4.0


def test_two_undos_in_a_row_reopen_both_contexts():
    person = Person()
    chose(person, 1, "i want")
    chose(person, 2, "i want tea", "2", words=("with", "and", "now"))
    person.undoes()
    person.undoes()
    person.menu(3, "i want")
    assert person.says(1.0, {"2": 0.1})[0].sources[KEPT]["1"] == -4.0
    assert person.undoes() == {} and person.fusion.ignored_by["undo of something else"] == 1


def test_an_undo_of_something_else_takes_no_choice_back():
    person = Person()
    chose(person)
    person.menu(2, "i want teab")  # a letter was typed
    person.undoes()
    person.undoes(menu=7)
    assert person.fusion.ignored_by["undo of something else"] == 2
    person.menu(3, "i want tea")
    person.undoes(menu=1)
    assert person.fusion.ignored_by["undo of something else"] == 2


def test_none_cannot_be_taken_back():
    person = Person()
    chose(person)
    person.menu(2, "i want tea", ("x", "y", "z"))
    assert person.says(1.0, {NONE: 9.0})[1].option == NONE
    person.undoes()
    person.menu(3, "i want")
    assert person.says(1.0, {"2": 0.1})[0].sources[KEPT]["1"] == -4.0


def test_the_same_menu_is_never_chosen_from_twice():
    person = Person()
    chose(person)
    person.menu(1, "i want", seconds=30.0)
    assert person.says(1.0, {"1": 9.0}) == (None, None)
    assert person.fusion.ignored_by == {"menu repeated": 1, "after the choice": 1}
    person.undoes()
    person.menu(1, "i want", seconds=40.0)
    assert person.says(1.0, {"2": 9.0})[1].option == "2"
    person.menu(1, "", seconds=50.0)  # the generator began to count anew
    assert person.says(1.0, {"2": 9.0})[1].option == "2"


def test_a_repeated_menu_keeps_its_evidence():
    person = Person()
    person.menu(1, "i want")
    first, _ = person.says(0.1, {"2": 1.0})
    person.menu(1, "i want", seconds=10.15)
    second, _ = person.says(0.1, {"2": 0.0})
    assert second.p == first.p


def test_reliability_falls_with_a_mistake_and_rises_with_choices_that_stood():
    person = Person()
    person.menu(1, "a")
    assert person.says(1.0, {"1": 6.0, "2": -6.0, "3": -6.0})[1].option == "1"
    person.undoes()
    person.menu(2, "a")
    low = person.says(0.1, {"2": 0.1})[0].reliability["gaze"]
    assert low == pytest.approx(0.95, abs=0.06) and low < 0.95
    person.says(1.0, {"2": 9.0})
    for n in range(3, 12):
        chose(person, n, f"a{n}")
    person.menu(12, "b")
    found, _ = person.says(0.1, {"2": 0.1})
    assert low < found.reliability["gaze"] <= 0.99
    assert found.threshold == 0.9 and found.engagement is None


def test_nothing_is_learned_where_no_undo_is_heard_or_the_switch_is_off():
    for person in (Person(), Person(learn=False)):
        for n in range(1, 6):
            chose(person, n, f"a{n}")
        if person.fusion._reliability._learn is False:
            person.undoes()
        person.menu(6, "b")
        assert person.says(0.1, {"2": 0.1})[0].reliability == {"gaze": 0.95}


def test_an_error_potential_undoes_and_counts_when_the_option_comes_again():
    person, errors = Person(), ErrorPotential()
    person.menu(1, "i want")
    before, choice = person.says(1.0, {"1": 6.0, "2": 2.0, "3": -2.0})
    drive(errors, i_choice=EventFrame.of(choice.at(at(11.0))))
    piece = Evidence(source="errp", menu=1, llr={"wrong": 7.0}).at(at(11.6))
    assert drive(person.fusion, i_evidence_errp=EventFrame.of(piece)) == {}
    assert person.fusion.ignored == 0
    undo = drive(errors, i=EventFrame.of(piece))["o"]
    drive(person.fusion, i_undo=undo)
    person.menu(2, "i want")
    after, _ = person.says(0.1, {"2": 0.0})
    # Bayes: what the option had, less what the error said.
    assert after.sources[KEPT]["1"] == pytest.approx(before.sources["gaze"]["1"] - 7.0)
    assert after.sources[KEPT]["2"] == pytest.approx(before.sources["gaze"]["2"])
    late = Evidence(source="errp", menu=1, llr={"wrong": 7.0}).at(at(12.0))
    drive(person.fusion, i_evidence_errp=EventFrame.of(late))
    assert person.fusion.ignored_by == {"not the last choice": 1}


def engaged(person, seconds, z):
    return drive(person.fusion, i_engagement=EventFrame.of(Engagement(index=1.0, z=z).at(at(seconds))))


def test_engagement_is_in_force_and_fades():
    person = Person()
    person.menu(1, "a")
    assert engaged(person, 9.0, -2.0) == {}
    low, _ = person.says(0.1, {"1": 0.1})
    assert (low.engagement, low.threshold) == (-2.0, pytest.approx(0.95))
    assert low.reliability["gaze"] == pytest.approx(0.855)
    half, _ = person.says(6.5, {"1": 0.0})
    assert half.engagement == pytest.approx(-1.0) and half.threshold == pytest.approx(0.925)
    gone, _ = person.says(30.0, {"1": 0.0})
    assert (gone.engagement, gone.threshold, gone.reliability) == (0.0, pytest.approx(0.9), {"gaze": 0.95})


def test_low_engagement_asks_for_a_longer_look():
    calm, tired = Person(min_time=1.0), Person(min_time=1.0)
    for person in (calm, tired):
        person.menu(1, "a")
    engaged(tired, 9.5, -5.0)
    assert calm.says(1.2, {"1": 8.0})[1] and not tired.says(1.2, {"1": 8.0})[1]
    assert tired.says(1.5, {"1": 0.0})[1]


def test_engagement_without_a_baseline_moves_nothing():
    person = Person()
    person.menu(1, "a")
    engaged(person, 9.5, None)
    engaged(person, 9.6, math.nan)
    assert person.says(0.1, {"1": 0.1})[0].engagement is None


@settings(deadline=None, max_examples=30)
@given(st.floats(-5, 5))
def test_engagement_is_never_evidence_for_one_option(z):
    """However engaged, what is likelier stays likelier, and options that are alike stay alike."""
    person = Person(threshold=1.0)
    person.menu(1, "a")
    engaged(person, 9.9, z)
    found, _ = person.says(0.1, {"1": 1.0, "2": -1.0, "3": -1.0})
    assert found.p["1"] > found.p["2"] == found.p["3"]
    mute = Person(threshold=1.0, reliability={"gaze": 0.0})
    mute.menu(1, "a")
    engaged(mute, 9.9, z)
    assert mute.says(0.1, {"1": 5.0})[0].p["1"] == pytest.approx(0.3)
