"""Epochs against plain slicing and MNE, and the laws of chunking, gaps and late events."""

import itertools

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volition.core.errors import NodeError
from volition.core.frames import EventFrame, SignalFrame
from volition.core.node import drive
from volition.core.ports import EpochsSpec, SignalSpec
from volition.nodes.eeg.epochs import Epochs

RATE = 256.0
STEP = 3_906_250  # ns
CHANNELS = ("counter", "Cz")
T0 = 1_700_000_000_000_000_000


def frame(first: int, n: int, segment: int = 0, rate: float = RATE, shift: int = 0) -> SignalFrame:
    """Samples ``first`` to ``first + n`` of a counter and its square."""
    counter = np.arange(first, first + n)
    times = T0 + shift + counter * round(1e9 / rate)
    return SignalFrame(times, np.column_stack([counter, counter**2.0]), CHANNELS, rate, "uV", segment)


def flashes(*onsets: int, label: str = "flash") -> EventFrame:
    return EventFrame.of(*((onset, label, {"at": onset - T0}) for onset in onsets))


def collect(node: Epochs, ticks: list[dict]) -> tuple[list[tuple], list[tuple]]:
    """What comes out of the ticks: epochs as plain tuples, and the reports."""
    epochs = []
    for tick in ticks:
        out = drive(node, **tick).get("o")
        if out is not None:
            for k in range(len(out)):
                epochs.append((int(out.times[k]), int(out.ready[k]), out.data[k]["at"], out.values[k].tobytes()))
    return epochs, node.take_reports()


def test_equals_slicing():
    onsets = [T0 + 100 * STEP, T0 + 120 * STEP + 1_900_000, T0 + 141 * STEP - 1_900_000]
    out = drive(Epochs(-0.1, 0.8), i=frame(0, 1000), i_events=flashes(*onsets))["o"]
    assert out.values.shape == (3, 230, 2)
    first = [int(np.argmin(np.abs(T0 + np.arange(1000) * STEP - (onset - 100_000_000)))) for onset in onsets]
    for k, start in enumerate(first):
        np.testing.assert_array_equal(out.values[k, :, 0], np.arange(start, start + 230))
        assert out.ready[k] == T0 + (start + 229) * STEP
    assert out.times.tolist() == onsets
    assert (out.rate, out.start, out.unit, out.channels) == (RATE, -0.1, ("uV", "uV"), CHANNELS)


def test_equals_mne():
    rng = np.random.default_rng(3)
    onsets = np.sort(rng.choice(np.arange(100, 2000), 30, replace=False))
    values = rng.normal(size=(2400, 2))
    raw = mne.io.RawArray(values.T, mne.create_info(["a", "b"], RATE, "misc"), verbose="error")
    events = np.column_stack([onsets, np.zeros(30, int), np.ones(30, int)])
    n_samples = round(0.8 * RATE)
    theirs = mne.Epochs(
        raw, events, tmin=0.0, tmax=(n_samples - 1) / RATE, baseline=None, preload=True, verbose="error"
    ).get_data(copy=True, picks="all")
    signal = SignalFrame(T0 + np.arange(2400) * STEP, values, ("a", "b"), RATE)
    ours = drive(Epochs(), i=signal, i_events=flashes(*(T0 + onsets * STEP)))["o"]
    np.testing.assert_array_equal(ours.values.transpose(0, 2, 1), theirs)


def test_the_earlier_of_two_samples_as_near_comes_first():
    out = drive(Epochs(0.0, 0.1), i=frame(0, 100), i_events=flashes(T0 + 10 * STEP + STEP // 2))["o"]
    assert out.values[0, 0, 0] == 10


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_same_epochs_however_the_signal_is_cut_and_whenever_the_events_come(data):
    onsets = data.draw(st.lists(st.integers(-50, 1100), min_size=1, max_size=12, unique=True))
    gap_at = data.draw(st.integers(100, 900))
    node = Epochs(-0.05, 0.3, patience=20.0)
    events = sorted(T0 + onset * STEP + onset * 7919 for onset in onsets)
    reference = collect(
        Epochs(-0.05, 0.3, patience=20.0),
        [
            {"i_events": flashes(*events), "i": frame(0, gap_at)},
            {"i": frame(gap_at, 1000 - gap_at, 1, shift=10**8)},
        ],
    )
    cuts = sorted({0, gap_at, 1000, *data.draw(st.lists(st.integers(1, 999), max_size=30))})
    ticks: list[dict] = []
    for start, stop in itertools.pairwise(cuts):
        late = start >= gap_at
        ticks.append({"i": frame(start, stop - start, int(late), shift=10**8 * late)})
    for event in events:
        ticks.insert(data.draw(st.integers(0, len(ticks))), {"i_events": flashes(event)})
    epochs, reports = collect(node, ticks)
    assert sorted(epochs) == sorted(reference[0])
    assert sorted(map(str, reports)) == sorted(map(str, reference[1]))


@pytest.mark.parametrize("size", [1, 7, 26, 64, 1000])
def test_events_in_order_give_epochs_in_order(size):
    onsets = [T0 + k * 20 * STEP + 3 * k for k in range(40)]
    ticks = []
    for start in range(0, 1000, size):
        until = T0 + min(start + size, 1000) * STEP
        here = [t for t in onsets if T0 + start * STEP <= t < until]
        ticks.append({"i": frame(start, min(size, 1000 - start)), "i_events": flashes(*here)})
    epochs, reports = collect(Epochs(), ticks)
    assert [epoch[0] for epoch in epochs] == onsets[: len(epochs)]
    assert len(epochs) == 40
    assert reports == []


def test_a_gap_drops_what_it_cuts_and_counts_it():
    node = Epochs(0.0, 0.5)
    node.id = "epochs"
    onsets = [T0 + k * STEP for k in (10, 150, 240, 300, 320, 400)]  # the gap: samples 256 to 319
    epochs, reports = collect(
        node, [{"i": frame(0, 256), "i_events": flashes(*onsets)}, {"i": frame(320, 300, segment=1)}]
    )
    assert [epoch[0] for epoch in epochs] == [onsets[0], onsets[4], onsets[5]]
    assert {(time, data["reason"], data["count"]) for time, _, data in reports} == {
        (onsets[k], "gap", 1) for k in (1, 2, 3)
    }
    assert reports[0][1:] == ("dropped", {"source": "epochs", "what": "epoch", "count": 1, "reason": "gap"})


def test_events_before_the_stream_and_too_late_are_counted():
    node = Epochs(0.0, 0.1, patience=1.0)
    early = T0 - STEP * 20
    ticks = [{"i": frame(0, 100), "i_events": flashes(early)}]
    ticks += [{"i": frame(k, 100)} for k in range(100, 2000, 100)]
    ticks += [{"i_events": flashes(T0 + 50 * STEP, T0 + 1900 * STEP)}]
    epochs, reports = collect(node, ticks)
    assert [epoch[0] for epoch in epochs] == [T0 + 1900 * STEP]
    assert [(time, data["reason"]) for time, _, data in reports] == [
        (early, "before the stream"),
        (T0 + 50 * STEP, "too late"),
    ]


def test_another_stream_begins_anew():
    node = Epochs(0.0, 0.5)
    first = {"i": frame(0, 100), "i_events": flashes(T0 + 50 * STEP, T0 + 3 * 10**9)}
    second = {"i": frame(100, 400, rate=100.0)}  # from T0 + 1 s on
    epochs, reports = collect(node, [first, second])
    assert [epoch[0] for epoch in epochs] == [T0 + 3 * 10**9]
    assert len(epochs[0][3]) == 50 * 2 * 8
    assert [data["reason"] for _, _, data in reports] == ["stream changed"]


def test_time_that_runs_backwards_is_a_gap():
    counter = np.arange(400)
    times = T0 + counter * STEP
    times[200:] -= 50 * STEP
    whole = (times, np.column_stack([counter, counter]).astype(float))
    results = []
    for cuts in ([0, 400], [0, 170, 200, 400], [0, 13, 199, 201, 202, 400]):
        ticks = [{"i_events": flashes(*(T0 + k * STEP for k in (20, 190, 300)))}]
        for start, stop in itertools.pairwise(cuts):
            part = SignalFrame(whole[0][start:stop].copy(), whole[1][start:stop], CHANNELS, RATE)
            ticks.append({"i": part})
        results.append(collect(Epochs(0.0, 0.1), ticks))
    assert results[0] == results[1] == results[2]
    assert [np.frombuffer(e[3])[0] for e in results[0][0]] == [20, 350]
    assert [time for time, _, _ in results[0][1]] == [T0 + 190 * STEP]


def test_nan_stays_and_other_labels_are_passed_over():
    values = np.ones((300, 2))
    values[60, 1] = np.nan
    signal = SignalFrame(T0 + np.arange(300) * STEP, values, CHANNELS, RATE)
    events = EventFrame.concat([flashes(T0 + 50 * STEP), flashes(T0 + 55 * STEP, label="key")])
    out = drive(Epochs(0.0, 0.5), i=signal, i_events=events)["o"]
    assert len(out) == 1
    assert np.argwhere(np.isnan(out.values)).tolist() == [[0, 10, 1]]


def test_the_history_does_not_grow():
    node = Epochs(0.0, 0.5, patience=1.0)
    drive(node, i=frame(0, 26))
    size = node._cutter._history._times.size
    for k in range(1, 2000):
        drive(node, i=frame(26 * k, 26, segment=k // 50))
    history = node._cutter._history
    assert history._times.size == size
    assert len(history._cuts) <= 2


def test_what_cannot_be_cut_is_said():
    spec = SignalSpec(CHANNELS, RATE, "uV")
    assert Epochs(0.0, 0.8).infer({"i": spec}) == {"o": EpochsSpec(CHANNELS, RATE, "uV", 0.0, 0.8)}
    with pytest.raises(NodeError, match="irregular"):
        Epochs().infer({"i": SignalSpec(CHANNELS, 0.0, "uV")})
    with pytest.raises(NodeError, match="must lie after start"):
        Epochs(0.5, 0.5).infer({"i": spec})
    with pytest.raises(NodeError, match="no sample"):
        Epochs(0.0, 0.001).infer({"i": spec})
    with pytest.raises(NodeError, match="irregular"):
        drive(Epochs(), i=SignalFrame(np.array([T0]), np.zeros((1, 2)), CHANNELS, 0.0))
