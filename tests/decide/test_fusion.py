import math

import numpy as np
import pytest

from volition.core import EventFrame
from volition.core.clock import SECOND
from volition.core.events import Box, Choice, Evidence, Layout, Menu, Option, Posterior
from volition.core.node import drive
from volition.nodes.decide.belief import NONE, log_mixture
from volition.nodes.decide.fusion import Fusion

SHOWN = 10 * SECOND


def at(seconds):
    return SHOWN + round(seconds * SECOND)


def menu(number=1, p=(0.5, 0.3, 0.1), p_none=0.1, time=SHOWN):
    options = [Option(id=str(n), text=f" w{n}", log_probability=math.log(q)) for n, q in enumerate(p, 1)]
    return EventFrame.of(Menu(menu=number, context="", options=options, p_none=p_none).at(time))


def evidence(seconds, llr, number=1, source="eeg"):
    return Evidence(source=source, menu=number, llr=llr).at(at(seconds))


def layout(time, number, ids):
    boxes = [Box(id=name, x=n, y=0, width=1, height=1) for n, name in enumerate(ids)]
    return Layout(boxes=boxes, menu=number).at(time)


def posteriors(outputs):
    return [(time, Posterior.parse(data)) for time, _, data in outputs.get("o_posterior", ())]


def choices(outputs):
    return [(time, Choice.parse(data)) for time, _, data in outputs.get("o_choice", ())]


def shown(**params):
    fusion = Fusion(**{"threshold": 0.9, **params})
    assert drive(fusion, i_menu=menu()) == {}
    return fusion


def test_each_piece_gives_a_posterior_at_its_time():
    fusion = shown()
    out = drive(fusion, i_evidence=EventFrame.of(evidence(0.1, {"1": 1.0}), evidence(0.2, {"2": 0.5})))
    [(first, a), (second, b)] = posteriors(out)
    assert (first, second) == (at(0.1), at(0.2))
    v = 0.95 * math.e + 0.05
    assert a.p["1"] == pytest.approx(0.5 * v / (0.5 * v + 0.5))
    assert a.sources == {"eeg": {"1": pytest.approx(math.log(v))}}
    assert sum(b.p.values()) == pytest.approx(1)
    assert set(b.p) == {"1", "2", "3", NONE}
    assert choices(out) == []


def test_a_choice_is_made_once_for_its_menu():
    fusion = shown()
    out = drive(fusion, i_evidence=EventFrame.of(*[evidence(0.4 + n / 10, {"2": 2.0}) for n in range(6)]))
    [(time, choice)] = choices(out)
    assert choice == Choice(menu=1, option="2", text=" w2", p=choice.p)
    assert choice.p >= 0.9
    assert posteriors(out)[-1][0] == time  # nothing after it
    assert fusion.ignored == 6 - len(posteriors(out))
    assert drive(fusion, i_evidence=EventFrame.of(evidence(2, {"3": 9.0}))) == {}


def test_no_choice_before_the_minimum_time_and_none_from_other_menus():
    fusion = shown(min_time=0.5)
    pieces = [evidence(-0.1, {"1": 9.0}), evidence(0.1, {"1": 9.0}, number=2), evidence(0.2, {"1": 9.0})]
    out = drive(fusion, i_evidence=EventFrame.of(*pieces))
    assert len(posteriors(out)) == 1 and choices(out) == []
    assert fusion.ignored == 2
    [(time, choice)] = choices(drive(fusion, i_evidence=EventFrame.of(evidence(0.5, {"1": 0.0}))))
    assert (time, choice.option) == (at(0.5), "1")


def test_a_new_menu_forgets_the_old_one():
    fusion = shown()
    drive(fusion, i_evidence=EventFrame.of(evidence(0.1, {"1": 3.0})))
    drive(fusion, i_menu=menu(2, time=at(0.2)))
    out = drive(fusion, i_evidence=EventFrame.of(evidence(0.3, {"1": 3.0}), evidence(0.4, {"1": 0.0}, number=2)))
    [(_, found)] = posteriors(out)
    assert found.p["1"] == pytest.approx(0.5)


def test_old_evidence_no_longer_counts():
    fusion = shown(fresh=1.0, threshold=1.0)
    pieces = [evidence(0.1, {"1": 2.0}), evidence(0.9, {"1": 1.0}), evidence(2.0, {"1": 0.5})]
    found = posteriors(drive(fusion, i_evidence=EventFrame.of(*pieces)))
    assert found[1][1].sources["eeg"]["1"] == pytest.approx(log_mixture(3.0, 0.95))
    assert found[2][1].sources["eeg"]["1"] == pytest.approx(log_mixture(0.5, 0.95))


def test_a_layout_delays_the_menu():
    fusion = shown()
    drive(fusion, i_layout=EventFrame.of(layout(at(0.5), 1, "123")))
    assert drive(fusion, i_evidence=EventFrame.of(evidence(0.4, {"1": 9.0}))) == {}
    assert choices(drive(fusion, i_evidence=EventFrame.of(evidence(0.9, {"1": 9.0}))))


def test_none_wins_when_the_evidence_speaks_against_all():
    fusion = shown()
    against = dict.fromkeys("123", -2.5)
    out = drive(fusion, i_evidence=EventFrame.of(*[evidence(0.5 + n / 10, against) for n in range(8)]))
    # One source of reliability 0.95 can do this much and no more.
    assert choices(out) == []
    assert posteriors(out)[-1][1].p[NONE] == pytest.approx(0.1 / (0.1 + 0.9 * 0.05), abs=1e-3)
    second = [evidence(1.5 + n / 10, against, source="gaze") for n in range(8)]
    [(_, choice)] = choices(drive(fusion, i_evidence_gaze=EventFrame.of(*second)))
    assert (choice.option, choice.text) == (NONE, "")


def test_none_may_be_a_place():
    fusion = shown(fresh=5.0)
    out = drive(fusion, i_evidence=EventFrame.of(*[evidence(0.5 + n / 10, {NONE: 2.0}) for n in range(4)]))
    assert choices(out)[0][1].option == NONE


def test_a_likely_option_is_not_taken_against_the_evidence():
    fusion = Fusion()
    drive(fusion, i_menu=menu(p=(0.94, 0.005, 0.005), p_none=0.05))
    out = drive(fusion, i_evidence=EventFrame.of(evidence(0.5, {"1": -0.2})))
    assert posteriors(out)[0][1].p["1"] > 0.9 and choices(out) == []


def test_cost_rule():
    fusion = shown(stop="cost", undo_cost=4.0, look_cost=1.0)
    [(_, found)] = posteriors(out := drive(fusion, i_evidence=EventFrame.of(evidence(0.5, {"1": 1.0}))))
    assert (1 - found.p["1"]) * 4 > 1 and choices(out) == []
    [(_, found)] = posteriors(out := drive(fusion, i_evidence=EventFrame.of(evidence(0.6, {"1": 1.0}))))
    assert (1 - found.p["1"]) * 4 < 1 and choices(out)


def test_reliability_by_source():
    fusion = shown(reliability={"gaze": 0.0})
    [(_, found)] = posteriors(drive(fusion, i_evidence=EventFrame.of(evidence(0.5, {"3": 9.0}, source="gaze"))))
    assert found.p["3"] == pytest.approx(0.1)


def test_matrix_letters_are_decided_at_the_end():
    fusion = Fusion(threshold=1.0, decide_at_end=True)
    drive(fusion, i_layout=EventFrame.of(layout(SHOWN, 1, "ABC")))
    out = drive(fusion, i_evidence=EventFrame.of(*[evidence(1 + n / 10, {"B": 3.0, "C": 1.0}) for n in range(9)]))
    assert len(posteriors(out)) == 9 and choices(out) == []
    assert posteriors(out)[0][1].p.keys() == {"A", "B", "C"}
    [(time, choice)] = choices(drive(fusion, i_layout=EventFrame.of(layout(at(5), 2, "ABC"))))
    assert (time, choice.menu, choice.option, choice.text) == (at(5), 1, "B", "B")
    # A letter that nobody said anything about is not chosen.
    assert drive(fusion, i_layout=EventFrame.of(layout(at(6), 3, "ABC"))) == {}


@pytest.mark.parametrize("size", [1, 3, 7])
def test_chunks_do_not_matter(size):
    rng = np.random.default_rng(3)
    pieces = [
        evidence(n / 10, dict(zip("123", rng.normal(0.2, 1.0, 3).tolist(), strict=True)), source=source)
        for n in range(40)
        for source in ("eeg", "gaze")
    ]
    whole = drive(shown(), i_evidence=EventFrame.of(*pieces))
    cut = shown()
    found, chosen = [], []
    for begin in range(0, len(pieces), size):
        out = drive(cut, i_evidence=EventFrame.of(*pieces[begin : begin + size]))
        found += posteriors(out)
        chosen += choices(out)
    assert found == posteriors(whole) and chosen == choices(whole)


def test_two_ports_are_merged_in_order_of_time():
    fusion = shown(threshold=1.0)
    out = drive(
        fusion,
        i_evidence_eeg=EventFrame.of(evidence(0.2, {"1": 1.0})),
        i_evidence_gaze=EventFrame.of(evidence(0.1, {"1": 1.0}, source="gaze")),
    )
    assert [time for time, _ in posteriors(out)] == [at(0.1), at(0.2)]
