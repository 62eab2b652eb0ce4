"""What goes wrong around a decision."""

import itertools
import math

import pytest

from volition.core import EventFrame, LoadError
from volition.core.clock import SECOND
from volition.core.events import Choice, Evidence, Menu, Option, Posterior
from volition.core.node import drive
from volition.nodes.decide.belief import NONE
from volition.nodes.decide.fusion import Fusion


def at(seconds):
    return 10 * SECOND + round(seconds * SECOND)


def menu(number=1, p=(0.3, 0.3, 0.3), p_none=0.1, seconds=0.0, context=""):
    options = [Option(id=str(n), text=f" w{n}", log_probability=math.log(q)) for n, q in enumerate(p, 1)]
    return EventFrame.of(Menu(menu=number, context=context, options=options, p_none=p_none).at(at(seconds)))


def piece(seconds, llr, number=1, source="gaze"):
    return EventFrame.of(Evidence(source=source, menu=number, llr=llr).at(at(seconds)))


def read(out):
    found = [(time, Posterior.parse(data)) for time, _, data in out.get("o_posterior", ())]
    return found, [(time, Choice.parse(data)) for time, _, data in out.get("o_choice", ())]


def shown(frame=None, **params):
    fusion = Fusion(**{"threshold": 0.9, **params})
    drive(fusion, i_menu=menu() if frame is None else frame)
    return fusion


def test_evidence_that_does_not_belong_to_the_menu_is_counted_by_reason():
    fusion = Fusion()
    drive(fusion, i_evidence=piece(0, {"1": 9.0}))
    drive(fusion, i_menu=menu(5))
    for wrong in (
        piece(0.5, {"1": 9.0}, number=4),
        piece(0.5, {"1": 9.0}, number=6),
        piece(-0.1, {"1": 9.0}, number=5),
        piece(0.5, {"9": 9.0}, number=5),
        piece(0.5, {}, number=5),
        piece(0.5, {"1": math.nan, "2": 1.0}, number=5),
        piece(0.5, {"wrong": 1.0}, number=5),
    ):
        assert drive(fusion, i_evidence=wrong) == {}
    assert fusion.ignored_by == {
        "no menu": 1,
        "older menu": 1,
        "another menu": 1,
        "before the menu": 1,
        "no option of the menu": 2,
        "not a number": 1,
        "not the last choice": 1,
    }
    assert fusion.ignored == 8


def test_a_menu_that_comes_late_does_not_replace_a_newer_one():
    fusion = shown(menu(2, seconds=1.0))
    drive(fusion, i_menu=menu(1, seconds=0.0, context="x"))
    assert fusion.ignored_by == {"older menu": 1}
    assert read(drive(fusion, i_evidence=piece(2.0, {"1": 9.0}, number=2)))[1]


def test_late_evidence_of_the_menu_counts_at_the_time_of_the_newest():
    fusion = shown(threshold=1.0)
    drive(fusion, i_evidence=piece(0.9, {"1": 1.0}))
    [(time, late)], _ = read(drive(fusion, i_evidence_erp=piece(0.4, {"1": 1.0}, source="erp")))
    assert time == at(0.9) and set(late.sources) == {"gaze", "erp"}
    ordered = shown(threshold=1.0)
    drive(ordered, i_evidence_erp=piece(0.4, {"1": 1.0}, source="erp"))
    [(_, same)], _ = read(drive(ordered, i_evidence=piece(0.9, {"1": 1.0})))
    assert late == same


def test_late_evidence_can_complete_a_choice_but_not_before_the_minimum_time():
    fusion = shown(min_time=0.5)
    drive(fusion, i_evidence=piece(0.3, {"1": 1.0}))
    assert read(drive(fusion, i_evidence_erp=piece(0.2, {"1": 9.0}, source="erp")))[1] == []
    [(time, _)] = read(drive(fusion, i_evidence=piece(0.6, {"1": 0.0})))[1]
    assert time == at(0.6)


def test_evidence_that_is_both_late_and_stale_does_not_count():
    fusion = shown(fresh=1.0, threshold=1.0)
    drive(fusion, i_evidence=piece(5.0, {"2": 1.0}))
    [(_, found)], _ = read(drive(fusion, i_evidence_erp=piece(0.4, {"1": 9.0}, source="erp")))
    assert set(found.sources) == {"gaze"}


def test_two_sources_that_are_sure_in_one_tick_make_one_choice_in_any_order_of_ports():
    results = []
    for first, second in itertools.permutations([("gaze", "1"), ("erp", "2")]):
        fusion = shown()
        out = drive(
            fusion,
            i_evidence_a=piece(0.5, {first[1]: 9.0}, source=first[0]),
            i_evidence_b=piece(0.5, {second[1]: 9.0}, source=second[0]),
        )
        results.append(read(out))
        assert len(results[-1][1]) == 1 and fusion.ignored_by == {"after the choice": 1}
    assert results[0] == results[1]


def test_pieces_of_one_source_and_time_in_any_order_of_ports():
    results = []
    for one, two in (({"1": 0.3}, {"2": 0.7, "1": 0.1}), ({"2": 0.7, "1": 0.1}, {"1": 0.3})):
        fusion = shown()
        results.append(read(drive(fusion, i_evidence_a=piece(0.5, one), i_evidence_b=piece(0.5, two))))
    assert results[0] == results[1]


@pytest.mark.parametrize("stop", ["threshold", "margin", "cost"])
def test_equal_options_are_never_chosen_from(stop):
    fusion = shown(menu(p=(0.5, 0.5), p_none=0.0), threshold=0.4, margin=0.001, undo_cost=1.0, look_cost=0.9, stop=stop)
    for n in range(20):
        found, chosen = read(drive(fusion, i_evidence=piece(0.5 + n / 10, {"1": 1.0, "2": 1.0})))
        assert found and not chosen


def test_an_empty_menu_is_chosen_from_only_where_none_is_a_place():
    fusion = shown(menu(p=(), p_none=1.0))
    assert drive(fusion, i_evidence=piece(0.5, {"1": 9.0})) == {}
    [(_, choice)] = read(drive(fusion, i_evidence=piece(0.6, {NONE: 2.0})))[1]
    assert choice.option == NONE


@pytest.mark.parametrize("prior", [(0.98, 0.01, 0.01), (0.3, 0.3, 0.3)])
def test_without_evidence_there_is_no_choice(prior):
    fusion = shown(menu(p=prior, p_none=0.001), threshold=0.5, decide_at_end=True)
    for n in range(100):
        assert drive(fusion, now=at(n), i_evidence=piece(n, {})) == {}
    assert drive(fusion, i_menu=menu(2, seconds=200.0, context="x")) == {}


def test_stale_evidence_makes_no_choice():
    fusion = shown(fresh=1.0)
    drive(fusion, i_evidence=piece(0.1, {"1": 9.0}))
    assert read(drive(fusion, i_evidence_erp=piece(5.0, {"1": 0.1}, source="erp")))[1] == []


@pytest.mark.parametrize(("llr", "option"), [({"1": math.inf}, "1"), ({"1": 1e300}, "1"), ({"2": -math.inf}, None)])
def test_what_is_infinite_is_clipped_and_counted(llr, option):
    fusion = shown()
    [(_, found)], chosen = read(drive(fusion, i_evidence=piece(0.5, llr)))
    assert fusion.clipped == 1 and fusion.ignored == 0
    assert sum(found.p.values()) == pytest.approx(1) and all(math.isfinite(p) for p in found.p.values())
    assert [choice.option for _, choice in chosen] == ([option] if option else [])


@pytest.mark.parametrize(
    ("params", "chosen"), [({}, True), ({"none_threshold": 1.0}, False), ({"threshold": 1.0}, False)]
)
def test_none_is_within_reach_of_two_sources_by_default(params, chosen):
    fusion = shown(**{"threshold": 0.99, **params})
    against = dict.fromkeys("123", -9.0)
    drive(fusion, i_evidence=piece(0.5, against))
    found, choice = read(drive(fusion, i_evidence_erp=piece(0.6, against, source="erp")))
    assert 0.97 < found[0][1].p[NONE] < 0.99
    assert [c.option for _, c in choice] == ([NONE] if chosen else [])


def test_margin_rule():
    fusion = shown(stop="margin", margin=0.6)
    found, chosen = read(drive(fusion, i_evidence=piece(0.5, {"1": 1.5})))
    assert found[0][1].threshold == 0.6 and not chosen
    found, chosen = read(drive(fusion, i_evidence=piece(0.6, {"1": 1.5})))
    p = sorted(found[0][1].p.values())
    assert p[-1] - p[-2] >= 0.6 and chosen


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(LoadError, match="reliability_bounds"):
        Fusion(reliability_bounds=(0.9, 0.5))
