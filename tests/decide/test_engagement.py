import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.nodes.decide.engagement import Influence, faded, slack

zs = st.floats(-1e6, 1e6)
shares = st.floats(0, 1)
influences = st.builds(Influence, shares, shares, shares)


@given(influences, zs, zs, shares, st.floats(0, 10))
def test_engagement_moves_all_monotonously_within_bounds(influence, z, other, x, dwell):
    low, high = sorted((z, other))
    cap = max(0.99, x)
    assert influence.on_reliability(x, low, cap) <= influence.on_reliability(x, high, cap)
    assert influence.on_threshold(x, low) >= influence.on_threshold(x, high)
    assert influence.on_dwell(dwell, low) >= influence.on_dwell(dwell, high)
    assert x * (1 - influence.reliability) <= influence.on_reliability(x, z, cap) <= min(cap, 1.5 * x)
    assert 0 <= influence.on_threshold(x, z) <= 1
    assert 0.5 * dwell <= influence.on_dwell(dwell, z) <= 2 * dwell


@given(influences, shares, st.floats(0, 10))
def test_nothing_moves_at_the_persons_own_beginning(influence, x, dwell):
    assert influence.on_reliability(x, 0.0, 1.0) == x
    assert influence.on_threshold(x, 0.0) == pytest.approx(x)
    assert influence.on_dwell(dwell, 0.0) == dwell


@given(influences, zs)
def test_mute_stays_mute_and_never_stays_never(influence, z):
    assert influence.on_reliability(0.0, z, 0.99) == 0.0
    assert influence.on_threshold(1.0, z) == 1.0


def test_the_defaults_move_little():
    default = Influence()
    assert default.on_reliability(0.95, -2.0, 0.99) == pytest.approx(0.855)
    assert default.on_reliability(0.95, 9.0, 0.99) == 0.99
    assert default.on_threshold(0.99, -9.0) == pytest.approx(0.995)
    assert default.on_threshold(0.99, 1.0) == pytest.approx(0.9875)
    assert (default.on_dwell(1.0, -2.0), default.on_dwell(1.0, 1.0)) == (1.5, 0.75)
    assert slack(-1.0) == 0.5


@given(zs, st.floats(0, 100), st.floats(0, 100), st.floats(0.1, 10))
def test_an_old_engagement_fades(z, age, more, fresh):
    assert abs(faded(z, age + more, fresh)) <= abs(faded(z, age, fresh)) <= abs(z)
    assert faded(z, min(age, fresh), fresh) == z
    assert faded(z, 2.001 * fresh, fresh) == 0
