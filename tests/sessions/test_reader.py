"""Recordings of other programs: real files, sound and damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import pyxdf

from tests.data import data_path
from volition.core import SessionError, SignalSpec
from volition.sessions import Session, clocks
from volition.sessions.manifest import manifest_path


def opened(name: str) -> Session:
    return Session.open(data_path(f"xdf/{name}"))


@pytest.mark.slow
def test_every_real_file_is_read_or_refused_in_one_sentence() -> None:
    folder = data_path("xdf")
    refused = []
    for path in sorted(folder.glob("*.xdf")):
        try:
            session = Session.open(path)
        except SessionError as error:
            assert "\n" not in str(error)
            refused.append(path.name)
            continue
        for stream in session.streams.values():
            times = np.concatenate([f.times for f in stream.frames]) if len(stream) else np.zeros(0)
            if stream.kind == "signal":
                assert np.all(np.diff(times) > 0), (path.name, stream.name)
            else:
                assert np.all(np.diff(times) >= 0)
                assert len(stream.frames) == 1
    assert refused == ["chunk_length_lie.xdf"]


def test_four_streams_of_one_name() -> None:
    session = opened("MuseLSL2_P001.xdf")
    assert {n: s.type for n, s in session.streams.items()} == {
        "Muse": "ACC",
        "Muse_2": "GYRO",
        "Muse_3": "PPG",
        "Muse_4": "EEG",
    }
    assert session.stream("Muse_3").frames == [] and session.stream("Muse_3").start_ns is None
    eeg = session.stream("Muse_4")
    assert eeg.spec == SignalSpec(("TP9", "AF7", "AF8", "TP10", "AUX_RIGHT"), 256.0, "uV")
    assert np.datetime64(session.start_ns, "ns").astype("M8[s]") == np.datetime64("2023-10-25T13:39:15")
    with pytest.raises(SessionError, match="'Muse', 'Muse_2'"):
        session.stream("eeg")


def test_clocks_are_synchronised_and_dejittered_as_pyxdf_does() -> None:
    path = data_path("xdf/MuseLSL2_P050.xdf")
    reference, _ = pyxdf.load_xdf(path, jitter_break_threshold_samples=3)
    session = Session.open(path)
    for raw, stream in zip(reference, session.streams.values(), strict=True):
        (frame,) = stream.frames
        np.testing.assert_allclose(
            np.diff(frame.times) / 1e9, np.diff(raw["time_stamps"]), atol=1e-8, err_msg=stream.name
        )
        np.testing.assert_array_equal(frame.values, raw["time_series"])


def test_a_clock_that_began_anew() -> None:
    session = opened("clock_resets.xdf")
    before, after = session.stream("BioSemi").frames
    assert len(before) + len(after) == 27_815
    assert (before.segment, after.segment) == (0, 1)
    assert 570 < (session.end_ns - session.start_ns) / 1e9 < 576
    assert 270 < (after.times[0] - before.times[-1]) / 1e9 < 278  # 278 s of samples in 573 s, at 92.9 Hz
    assert "92.9 samples a second" in " ".join(session.notes)
    assert "clock began anew 1 time" in " ".join(session.notes)


def test_offsets_of_each_clock_are_applied_to_its_stamps() -> None:
    stamps = np.r_[np.arange(1000, 1100, 0.5), np.arange(0, 100, 0.5)]
    measured = np.r_[np.arange(1000, 1100, 5.0), np.arange(0, 100, 5.0)]
    offsets = np.r_[-900 + 1e-5 * np.arange(20), np.full(20, 250.0)]
    offsets[7] += 0.5  # an outlier
    mapped, clock = clocks.to_recorder_clock(stamps, measured, offsets)
    assert clock.tolist() == [0] * 200 + [1] * 200
    np.testing.assert_allclose(mapped[:200], stamps[:200] - 900 + (stamps[:200] - 1000) * 2e-6, atol=1e-6)
    np.testing.assert_allclose(mapped[200:], stamps[200:] + 250, atol=1e-9)
    even = clocks.dejitter(mapped + np.random.default_rng(1).normal(0, 1e-3, 400), clock, 2.0, 1.5)
    np.testing.assert_allclose(np.diff(even[:200]), 0.5, atol=1e-4)
    assert even[200] - even[199] == pytest.approx(50.5, abs=1e-2)


def test_markers_are_state_events() -> None:
    texts = opened("openbci_string_markers_start_end.xdf").stream("MyMarkerStream").events
    assert [d["state"] for d in texts.data[:3]] == ["0s", "0e", "1s"]
    assert set(texts.labels) == {"state"} and len(texts) == 48
    numbers = opened("int_markers_only.xdf").stream("Blinky").events
    assert len(numbers) == 81 and numbers.data[0]["state"].lstrip("-").isdigit()


def test_integers_at_a_rate_are_signal() -> None:
    stream = opened("minimal.xdf").stream("SendDataC")
    reference, _ = pyxdf.load_xdf(data_path("xdf/minimal.xdf"))
    (frame,) = stream.frames
    assert frame.values.dtype == np.float32 and frame.channels == ("ch1", "ch2", "ch3")
    raw = next(s for s in reference if s["info"]["name"] == ["SendDataC"])
    np.testing.assert_array_equal(frame.values, raw["time_series"])


def test_lost_samples_are_said() -> None:
    assert "185.9 samples a second came" in " ".join(opened("openbci_psychopy_186hz_effective.xdf").notes)
    notes = " ".join(opened("out_of_order_sample_chunk.xdf").notes)
    assert "not readable" in notes


def test_compressed_and_with_a_broken_manifest(tmp_path: Path) -> None:
    path = tmp_path / "a.xdfz"
    path.write_bytes(gzip.compress(data_path("xdf/minimal.xdf").read_bytes()))
    manifest_path(path).write_text("{")
    session = Session.open(path)
    assert len(session.streams) == 2 and session.manifest == {}
    assert any("manifest cannot be read" in note for note in session.notes)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SessionError, match="cannot be read"):
        Session.open(path)
