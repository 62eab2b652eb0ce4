"""Stamps: strict order, gaps, jitter, whatever the chunks; and package counters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.nodes.sources.stamps import Dejitter, PackageCounter, Stamps

PERIOD = 4_000_000  # 250 Hz
START = 1_700_000_000_000_000_000


def regular(n: int) -> np.ndarray:
    return START + PERIOD * np.arange(n, dtype=np.int64)


def cuts(rng: np.random.Generator, n: int, size: int) -> list[slice]:
    if size == 0:
        edges = [0, *sorted(rng.choice(np.arange(1, n), n // 5, replace=False).tolist()), n]
    else:
        edges = [*range(0, n, size), n]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def run(stamps: Stamps, times: np.ndarray, chunks: list[slice]) -> tuple[np.ndarray, list[int], list[tuple[int, int]]]:
    """All times given, the indices at which gaps were, and the gaps."""
    out, at, gaps = [], [], []
    for chunk in chunks:
        position = chunk.start
        end = 0
        for piece in stamps(times[chunk]):
            assert piece.start == end
            end = piece.stop
            if piece.gap is not None:
                at.append(position + piece.start)
                gaps.append(piece.gap)
            out.append(piece.times.copy())
        assert end == chunk.stop - chunk.start
    return np.concatenate(out), at, gaps


def test_orderly_stamps_pass_as_they_are():
    times = regular(100)
    given, at, _ = run(Stamps(250, 0.1), times, [slice(0, 100)])
    assert (given == times).all() and at == []


def test_repeats_and_small_steps_back_move_behind_the_last_stamp():
    times = regular(5)
    times[2] = times[1]
    times[3] = times[1] - PERIOD // 2
    given, at, _ = run(Stamps(250, 0.1), times, [slice(0, 5)])
    assert given.tolist() == [times[0], times[1], times[1] + 1, times[1] + 2, times[4]]
    assert at == []


@pytest.mark.parametrize("shift_s", [1.0, -1.0])
def test_a_large_step_is_a_gap(shift_s):
    times = regular(10)
    times[5:] += int(shift_s * 1e9)
    given, at, gaps = run(Stamps(250, 0.1), times, [slice(0, 10)])
    assert at == [5]
    assert gaps == [(int(times[4]), int(times[5]))]
    assert (given == times).all()


def test_the_longest_step_is_one_and_a_half_periods_plus_the_allowance():
    longest = int(1.5 * PERIOD) + 100_000_000
    for step, expected in ((longest, []), (longest + 1, [1])):
        times = np.array([START, START + step])
        assert run(Stamps(250, 0.1), times, [slice(0, 2)])[1] == expected


def test_silence_is_no_gap_in_an_irregular_stream():
    times = START + np.array([0, 1, 10_000_000_000, 10_000_000_000, 9_950_000_000, 5_000_000_000])
    given, at, _ = run(Stamps(0, 0.1), times, [slice(0, 6)])
    assert at == [5]  # back by 5 s: a clock was set
    assert (np.diff(given[:5]) > 0).all()
    assert given[3] == given[2] + 1 and given[4] == given[2] + 2


def test_cut_makes_a_gap_of_stamps_that_look_well():
    stamps = Stamps(250, 0.1)
    times = regular(4)
    stamps(times[:2])
    stamps.cut()
    pieces = stamps(times[2:])
    assert [p.gap for p in pieces] == [(int(times[1]), int(times[2]))]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0, 1, 7, 64]), dejitter=st.booleans())
def test_chunks_do_not_matter_and_times_rise_within_a_piece(seed, size, dejitter):
    rng = np.random.default_rng(seed)
    n = 200
    times = regular(n) + rng.integers(-3 * PERIOD, 3 * PERIOD, n)
    times[rng.integers(1, n) :] += rng.integers(-(10**9), 10**9)
    times[rng.integers(1, n)] = times[0]
    whole = run(Stamps(250, 0.1, dejitter), times.copy(), [slice(0, n)])
    parts = run(Stamps(250, 0.1, dejitter), times.copy(), cuts(rng, n, size))
    assert (whole[0] == parts[0]).all() and whole[1:] == parts[1:]
    for piece in np.split(whole[0], whole[1]):
        assert (np.diff(piece) > 0).all()


def least_squares(times: np.ndarray, n: int) -> float:
    """Where the least-squares line through the first n stamps is at the last of them."""
    slope, offset = np.polyfit(np.arange(n), times[:n] - times[0], 1)
    return float(offset + slope * (n - 1) + times[0])


def test_the_growing_filter_is_the_least_squares_line():
    rng = np.random.default_rng(3)
    times = regular(400) + rng.normal(0, 2e6, 400).astype(np.int64)
    smooth = Dejitter(250, memory=100)
    smooth._trust = 0  # the plain filter of the book, without the nominal period
    out = [smooth(t) for t in times.tolist()]
    for n in (10, 100, 400):
        assert out[n - 1] == pytest.approx(least_squares(times, n), abs=2e4)


def test_dejitter_takes_most_of_the_jitter_and_follows_a_drift():
    rng = np.random.default_rng(4)
    true = START + (PERIOD * (1 + 50e-6) * np.arange(20_000)).astype(np.int64)  # 50 ppm fast, 80 s
    noisy = true + rng.normal(0, 2e6, len(true)).astype(np.int64)
    given, at, _ = run(Stamps(250, 0.1, True), noisy, [slice(0, len(true))])
    assert at == []
    error = given - true
    assert error[2500:].std() < 0.1 * 2e6
    assert abs(error[2500:].mean()) < 0.1 * 2e6
    assert np.diff(given)[250:].std() < 0.05 * np.diff(noisy).std()


def test_dejitter_starts_anew_after_a_gap():
    times = regular(2000)
    times[1000:] += 2_000_000_000
    given, at, _ = run(Stamps(250, 0.1, True), times, [slice(0, 2000)])
    assert at == [1000]
    assert abs(given - times).max() <= 2  # rounding


def test_a_lost_package_is_seen_and_a_wrap_is_not():
    numbers = np.arange(1000) % 256
    counter = PackageCounter()
    assert counter(numbers[:500]) == []
    assert counter(numbers[500:600]) == []
    assert counter(np.delete(numbers[600:700], [40])) == [40]


@pytest.mark.parametrize(("repeat", "step"), [(1, 2), (12, 1), (2, 1)])
def test_the_usual_step_of_a_device_is_learned(repeat, step):
    numbers = np.repeat(np.arange(100) * step, repeat)
    counter = PackageCounter()
    assert counter(numbers) == []
    after = np.repeat(np.array([101, 102, 104]) * step, repeat)
    assert counter(after) == [0, 2 * repeat]
