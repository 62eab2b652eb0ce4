"""The latency benchmark knows which sample it sees, however a contender stamps it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from benchmarks.latency.__main__ import summary
from benchmarks.latency.measure import Figures, cpu_seconds, descendants, original

RATE = 256.0


@pytest.mark.parametrize("shift", [0.0, 1 / RATE, -1 / RATE])
def test_samples_are_found_by_their_stamps(shift):
    rng = np.random.default_rng(0)
    sent = np.arange(500) / RATE + rng.normal(0, 1e-4, 500)
    assert original(sent[20:300] + shift, sent, RATE).tolist() == list(range(20, 300))
    kept = np.delete(np.arange(20, 300), [50, 51])
    assert original(sent[kept] + shift, sent, RATE).tolist() == kept.tolist()


def test_a_chunk_that_was_stamped_evenly_is_found_by_its_order():
    sent = np.arange(100) / RATE
    sent[40:44] = sent[40] + np.arange(4) * 1e-5  # the sender was held up
    stamps = sent.copy()
    stamps[40:44] = stamps[43] - np.arange(3, -1, -1) / RATE
    assert original(stamps, sent, RATE).tolist() == list(range(100))


def test_the_summary_is_of_medians_and_their_ratios():
    runs = {
        "bare": [Figures(0.2, 1.0, 5.0, 0), Figures(0.4, 2.0, 5.0, 0), Figures(9.0, 90.0, 50.0, 0)],
        "ours": [Figures(0.5, 3.0, None, 1)],
        "ezmsg": [],
        "timeflux": [],
    }
    figures = summary(runs, {"ezmsg": "not installed"})
    assert figures["bare_ms_p50"] == 0.4 and figures["bare_ms_p99"] == 2.0 and figures["ours_ms_p50"] == 0.5
    assert figures["ours_over_bare_p50"] == 1.25 and figures["ours_over_bare_p99"] == 1.5
    assert "ours_cpu_percent" not in figures and figures["skipped"] == {"ezmsg": "not installed"}


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="CPU time of others is read from /proc")
def test_cpu_time_is_that_of_the_process():
    pids = descendants(os.getpid())
    assert os.getpid() in pids
    assert (cpu_seconds([os.getpid()]) or 0) == pytest.approx(sum(os.times()[:2]), abs=0.2)
