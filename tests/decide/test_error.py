import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.core import EventFrame
from volition.core.clock import SECOND
from volition.core.events import Choice, Evidence, State, Undo
from volition.core.node import drive
from volition.nodes.decide.error import ErrorPotential, p_wrong


def at(seconds):
    return 100 * SECOND + round(seconds * SECOND)


def choice(seconds=0.0, menu=3, p=0.95, option="2"):
    return Choice(menu=menu, option=option, text=" tea", p=p).at(at(seconds))


def said(seconds, llr, menu=3, source="errp", key="wrong"):
    return Evidence(source=source, menu=menu, llr={key: llr}).at(at(seconds))


def after(node, *pieces):
    return drive(node, i=EventFrame.of(*pieces))


def chosen(**params):
    node = ErrorPotential(**params)
    assert drive(node, i_choice=EventFrame.of(choice())) == {}
    return node


@given(st.floats(0.001, 0.999), st.floats(-20, 20))
def test_p_wrong_is_bayes(p, log_v):
    r = math.exp(log_v)
    assert p_wrong(p, log_v) == pytest.approx((1 - p) * r / ((1 - p) * r + p))


def test_extremes():
    assert 0 < p_wrong(1.0, 5.0) < 1e-6
    assert p_wrong(1.0, 30.0) > 0.9
    assert p_wrong(0.0, 0.0) == 1.0
    assert p_wrong(0.5, -800.0) == 0.0


def test_a_clear_error_is_undone_once():
    node = chosen()
    out = after(node, said(0.6, 6.0), said(0.7, 6.0))
    [(time, label, data)] = list(out["o"])
    assert (time, label) == (at(0.6), "undo")
    assert Undo.parse(data) == Undo(reason="error potential", menu=3)
    assert node.ignored_by == {"not the last choice": 1}
    assert "o_state" not in out


def test_a_likely_error_is_asked_about_once():
    node = chosen()
    out = after(node, said(0.6, 3.2), said(0.7, 0.1))
    [(time, _, data)] = list(out["o_state"])
    state = State.parse(data)
    assert (time, state.state, state.detail["menu"]) == (at(0.6), "undo_suggested", 3)
    odds = 0.05 / 0.95 * (0.95 * math.exp(3.2) + 0.05)
    assert state.detail["p_wrong"] == pytest.approx(odds / (1 + odds), abs=1e-6)
    assert "o" not in out


def test_a_sure_choice_needs_more():
    node = ErrorPotential()
    drive(node, i_choice=EventFrame.of(choice(p=0.9999)))
    assert after(node, said(0.6, 6.0)) == {}
    assert "o" in after(node, said(0.7, 6.0))


def test_veto_undoes_by_the_signal_alone():
    assert "o" in after(chosen(veto=True), said(0.6, 0.1))
    assert after(chosen(veto=True), said(0.6, -0.1)) == {}
    assert after(chosen(), said(0.6, 0.1)) == {}
    assert "WARNING" in ErrorPotential.__init__.__doc__


def test_an_unreliable_source_says_less():
    assert after(chosen(reliability=0.0), said(0.6, 20.0)) == {}
    assert after(chosen(undo_at=1.0, ask_at=1.0), said(0.6, 29.0)) == {}


def test_what_is_not_about_the_last_choice_is_counted():
    node = chosen()
    pieces = [
        said(-0.1, 9.0),
        said(0.5, 9.0, menu=2),
        said(0.6, math.nan),
        said(0.6, 9.0, key="1"),
        said(0.7, 9.0, source="gaze"),
        said(2.5, 9.0),
    ]
    assert after(node, *pieces) == {}
    assert node.ignored_by == {
        "before the choice": 1,
        "not the last choice": 1,
        "not a number": 1,
        "nothing about a mistake": 1,
        "too late": 1,
    }
    assert node.clipped == 0
    assert "o" in after(node, said(1.0, math.inf)) and node.clipped == 1


def test_none_the_next_choice_and_an_undo_end_it():
    none = ErrorPotential()
    drive(none, i_choice=EventFrame.of(choice(option="none")))
    assert after(none, said(0.6, 9.0)) == {}
    later = chosen()
    drive(later, i_choice=EventFrame.of(choice(0.5, menu=4)))
    assert after(later, said(0.6, 9.0)) == {}
    undone = chosen()
    drive(undone, i_undo=EventFrame.of(Undo().at(at(0.5))))
    assert after(undone, said(0.6, 9.0)) == {}


def test_in_one_tick_a_choice_comes_first():
    node = ErrorPotential()
    out = drive(node, i=EventFrame.of(said(0.6, 9.0)), i_choice=EventFrame.of(choice()))
    assert "o" in out
