"""Clocks."""

import time

from hypothesis import given
from hypothesis import strategies as st

from volition.core.clock import (
    SECOND,
    LiveClock,
    VirtualClock,
    measure_utc_offset,
    nanoseconds,
    seconds,
)


def test_live_clock_is_utc():
    clock = LiveClock()
    before, now, after = time.time_ns(), clock.now(), time.time_ns()
    assert before - SECOND // 100 < now < after + SECOND // 100


def test_live_clocks_with_one_offset_agree():
    offset = measure_utc_offset()
    one, other = LiveClock(offset), LiveClock(offset)
    a, b, c = one.now(), other.now(), one.now()
    assert a <= b <= c


def test_live_clock_does_not_follow_a_step_of_the_system_clock(monkeypatch):
    clock = LiveClock()
    before = clock.now()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * SECOND)
    assert clock.now() - before < SECOND
    assert abs(clock.drift() - 3600 * SECOND) < SECOND // 10


def test_virtual_clock_stands_where_it_was_set():
    clock = VirtualClock(5)
    assert clock.now() == clock.now() == 5
    clock.set(7)
    assert clock.now() == 7


@given(st.integers(-(10**15), 10**15))
def test_seconds_and_back(ns):
    assert abs(nanoseconds(seconds(ns)) - ns) <= 1


def test_nanoseconds_are_rounded_not_cut():
    assert nanoseconds(1 / 3) == 333_333_333
    assert nanoseconds(0.29) == 290_000_000  # 0.29 * 1e9 is 289999999.99999994
