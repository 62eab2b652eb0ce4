"""The XDF writer and the reader, against pyxdf and against each other."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pyxdf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from volition.core import EventFrame, SessionError, SignalFrame
from volition.sessions import Session, SessionWriter, XdfWriter
from volition.sessions.salvage import whole_chunks

OFFSET = 1_764_000_000_123_456_789
T0 = OFFSET + 86_400_000_000_000  # a machine that has been up for a day


def signal(n: int, start: int = T0, segment: int = 0, seed: int = 0, dtype: type = np.float32) -> SignalFrame:
    rng = np.random.default_rng(seed)
    times = start + np.cumsum(rng.integers(1, 8_000_000, n))
    values = rng.normal(size=(n, 3)).astype(dtype)
    return SignalFrame(times, values, ("Fz", "µ<&>", ""), 256.0, ("uV", "uV", "V"), segment)


def events(*times: int) -> EventFrame:
    return EventFrame.of(*((t, "key", {"key": f"ä{t}"}) for t in times))


def joined(frames: list[SignalFrame]) -> SignalFrame:
    return SignalFrame.concat(frames)


def equal(a: SignalFrame, b: SignalFrame) -> bool:
    return (
        a.identity == b.identity
        and np.array_equal(a.times, b.times)
        and a.values.dtype == b.values.dtype
        and a.values.tobytes() == b.values.tobytes()
    )


def test_pyxdf_reads_labels_units_values_and_times(tmp_path: Path) -> None:
    frame, path = signal(500), tmp_path / "one.xdf"
    with XdfWriter(path, OFFSET) as xdf:
        stream = xdf.add_stream("eeg", "EEG", frame.channels, 256.0, frame.unit, "float32", "amp-1")
        marks = xdf.add_events("flash")
        xdf.write_signal(stream, frame.times, frame.values)
        xdf.write_events(marks, events(T0, T0 + 1))
    (eeg, flash), header = pyxdf.load_xdf(path, dejitter_timestamps=False)
    assert header["info"]["version"] == ["1.0"]
    assert np.array_equal(eeg["time_series"], frame.values)
    np.testing.assert_array_equal(eeg["time_stamps"], (frame.times - OFFSET) / 1e9)
    described = eeg["info"]["desc"][0]["channels"][0]["channel"]
    assert [c["label"][0] for c in described] == ["Fz", "µ<&>", None]
    assert [c["unit"][0] for c in described] == ["microvolts", "microvolts", "volts"]
    assert eeg["info"]["desc"][0]["utc_offset_ns"] == [str(OFFSET)]
    assert eeg["footer"]["info"]["sample_count"] == ["500"]
    assert float(eeg["footer"]["info"]["last_timestamp"][0]) == eeg["time_stamps"][-1]
    assert json.loads(flash["time_series"][0][0]) == {"label": "key", "data": {"key": f"ä{T0}"}}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    double=st.booleans(),
    uptime=st.integers(0, 2**62 // 10**9 - 2_000_000_000),
    flushes=st.sets(st.integers(0, 6)),
    data=st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=3), min_size=1, max_size=4),
)
def test_round_trip_is_exact_however_it_was_cut(tmp_path, n, cuts, double, uptime, flushes, data) -> None:
    frame = signal(n, OFFSET + uptime * 10**9, seed=n, dtype=np.float64 if double else np.float32)
    marks = EventFrame(frame.times[:1].tolist() * len(data), ["state"] * len(data), data)
    path = tmp_path / "r.xdf"
    edges = sorted({0, n, *(c for c in cuts if c < n)})
    with SessionWriter(path, OFFSET, overwrite=True) as session:
        for k, (a, b) in enumerate(pairwise(edges)):
            session.write("eeg", frame[a:b])
            if k in flushes:
                session.flush()
        session.write("state", marks)
    read = Session.open(path)
    assert read.notes == []
    assert equal(joined(read.streams["eeg"].frames), frame)
    back = read.stream("state").events
    assert back.times.tolist() == marks.times.tolist()
    assert list(back.data) == data
    assert read.start_ns == frame.times[0] and read.end_ns == frame.times[-1]


def test_segments_come_back(tmp_path: Path) -> None:
    frames = [signal(20, T0, 3), signal(5, T0 + 10**9, 4), signal(7, T0 + 5 * 10**9, 9)]
    with SessionWriter(tmp_path / "s.xdf", OFFSET) as session:
        for frame in frames:
            session.write("eeg", frame[:2])
            session.write("eeg", frame[2:])
    read = Session.open(tmp_path / "s.xdf")
    assert list(read.streams) == ["eeg"]
    assert all(equal(a, b) for a, b in zip(read.streams["eeg"].frames, frames, strict=True))


def test_a_stream_that_changes_goes_on_under_another_name(tmp_path: Path) -> None:
    first = signal(5)
    second = SignalFrame(first.times + 10**9, np.zeros((5, 1), np.float32), ("Cz",), 128.0, "uV")
    with SessionWriter(tmp_path / "s.xdf", OFFSET) as session:
        session.write("eeg", first)
        session.write("eeg", second)
        session.write("segments", second)  # the name that the border stream has
    read = Session.open(tmp_path / "s.xdf")
    assert {name: stream.spec.rate for name, stream in read.streams.items()} == {
        "eeg": 256.0,
        "eeg_2": 128.0,
        "segments_2": 128.0,
    }


def test_time_base_without_an_offset(tmp_path: Path) -> None:
    frame = signal(5)
    with SessionWriter(tmp_path / "s.xdf") as session:
        session.flush()
        session.write("eeg", frame)
    read = Session.open(tmp_path / "s.xdf")
    assert equal(read.streams["eeg"].frames[0], frame)
    assert read.manifest["utc_offset_ns"] == T0 - T0 % 10**9 and read.manifest["ended"] == "clean"


@pytest.mark.slow
def test_truncation_at_every_byte_gives_a_prefix(tmp_path: Path) -> None:
    path, torn = tmp_path / "whole.xdf", tmp_path / "torn.xdf"
    frames = [signal(4, T0 + k * 10**8, segment=k // 3, seed=k) for k in range(6)]
    marks = [events(T0 + k * 10**8) for k in range(6)]
    with SessionWriter(path, OFFSET) as session:
        for frame, mark in zip(frames, marks, strict=True):
            session.write("eeg", frame)
            session.write("key", mark)
            session.flush()
    data = path.read_bytes()
    times = np.concatenate([f.times for f in frames])
    values = np.concatenate([f.values for f in frames])
    longest = 0
    for size in range(len(data)):
        torn.write_bytes(data[:size])
        try:
            read = Session.open(torn)
        except SessionError as error:
            assert "\n" not in str(error) and longest == 0
            continue
        pieces = read.streams["eeg"].frames
        n = sum(map(len, pieces))
        assert n % 4 == 0 and n >= longest
        longest = n
        for piece in pieces:
            at = int(np.searchsorted(times, piece.times[0]))
            assert np.array_equal(piece.times, times[at : at + len(piece)])
            assert np.array_equal(piece.values, values[at : at + len(piece)])
            assert piece.segment == at // 12
        if n:
            assert pieces[0].times[0] == times[0]
        left = whole_chunks(data[:size])
        assert bool(left[1]) == any("torn tail" in note for note in read.notes)
        assert len(left[0]) + sum(int(note.split("last ")[1].split()[0]) for note in left[1]) == size
    assert longest == 24


def test_a_damaged_middle_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "s.xdf"
    with SessionWriter(path, OFFSET) as session:
        for k in range(5):
            session.write("eeg", signal(50, T0 + k * 10**9, seed=k))
            session.flush()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle - 60 : middle + 60] = bytes(120)
    path.write_bytes(data)
    read = Session.open(path)
    got = joined(read.streams["eeg"].frames)
    assert any("damaged" in note for note in read.notes)
    assert 150 <= len(got) < 250
    whole = {t: v for k in range(5) for t, v in zip(*_rows(signal(50, T0 + k * 10**9, seed=k)), strict=True)}
    hit = [t for t, v in zip(*_rows(got), strict=True) if whole.get(t) == v]
    assert len(hit) >= 150


def _rows(frame: SignalFrame) -> tuple[list[int], list[bytes]]:
    return frame.times.tolist(), [row.tobytes() for row in frame.values]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_mutations_never_surprise(tmp_path: Path, mutations) -> None:
    path = tmp_path / "m.xdf"
    with SessionWriter(path, OFFSET, overwrite=True) as session:
        session.write("eeg", signal(6))
        session.write("key", events(T0, T0 + 5))
    data = bytearray(path.read_bytes())
    for place, byte in mutations:
        data[int(place * len(data))] = byte
    path.write_bytes(data)
    try:
        Session.open(path)
    except SessionError as error:
        assert "\n" not in str(error)


CHILD = """
import sys, numpy as np
from volition.core import SignalFrame
from volition.sessions import SessionWriter
writer = SessionWriter(sys.argv[1], {offset})
n = 0
while True:  # 256 Hz in virtual time, as fast as it goes
    times = {t0} + (np.arange(n, n + 8) * 10**9) // 256
    writer.write("eeg", SignalFrame(times, np.arange(n, n + 8, dtype=np.float64)[:, None], ("count",), 256.0))
    n += 8
    print(n, flush=True)
"""


@pytest.mark.slow
def test_kill_loses_at_most_a_second(tmp_path: Path) -> None:
    path = tmp_path / "killed.xdf"
    code = CHILD.format(offset=OFFSET, t0=T0)
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        written = 0
        while written < 256 * 20 + 100:
            written = int(child.stdout.readline())
        child.kill()
        rest = child.stdout.read().split("\n")[:-1]
        written = int(rest[-1]) if rest else written
    read = Session.open(path)
    got = joined(read.streams["eeg"].frames)
    assert written - 256 - 8 <= len(got) <= written + 8
    assert np.array_equal(got.values[:, 0], np.arange(len(got)))
    assert any("cut off" in note for note in read.notes)


def test_full_disk_is_a_sentence_and_the_file_stays_readable(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "full.xdf"
    session = SessionWriter(path, OFFSET)
    real, room = os.write, [9000]

    def write(fd: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = real(fd, data[: room[0]])
        room[0] -= n
        return n

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(SessionError, match="disk is full, the recording has stopped"):
        for k in range(100):
            session.write("eeg", signal(100, T0 + k * 10**9, seed=k))
    monkeypatch.undo()
    session.close("error: disk full")
    read = Session.open(path)
    assert not any("torn" in note for note in read.notes)
    assert len(read.streams["eeg"]) >= 100
    assert read.manifest["ended"] == "error: disk full"
    with pytest.raises(SessionError, match="closed"):
        session.write("eeg", signal(1))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
def test_a_real_write_error(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from volition.core import SessionError, SignalFrame
        from volition.sessions import SessionWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        writer = SessionWriter(sys.argv[1], 0)
        try:
            for k in range(10_000):
                times = np.arange(9) * 10**8 + k * 10**9 + 1
                writer.write("eeg", SignalFrame(times, np.ones((9, 2)), ("a", "b")))
        except SessionError as error:
            print(error)
    """)
    path = tmp_path / "limit.xdf"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "the disk is full" in done.stdout and done.stderr == ""
    read = Session.open(path)
    assert len(read.streams["eeg"]) > 1000 and not any("torn" in note for note in read.notes)


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "x.xdf"
    with pytest.raises(SessionError, match="cannot be written: No such file"):
        XdfWriter(tmp_path / "no" / "x.xdf")
    with SessionWriter(path, OFFSET), pytest.raises(SessionError, match="exists and is not overwritten"):
        SessionWriter(path, OFFSET)
    with (
        XdfWriter(tmp_path / "y.xdf") as xdf,
        pytest.raises(SessionError, match="characters that XML cannot"),
    ):
        xdf.add_stream("a\x00b", "EEG", ["x"])
    with pytest.raises(SessionError, match="holds no stream"):
        Session.open(path)
    path.write_bytes(b"")
    with pytest.raises(SessionError, match="the file is empty"):
        Session.open(path)
    path.write_bytes(b"MATLAB 5.0")
    with pytest.raises(SessionError, match="no XDF file"):
        Session.open(path)
    with pytest.raises(SessionError, match="no such file"):
        Session.open(tmp_path / "nowhere.xdf")
    with (
        pytest.raises(SessionError, match="cannot be recorded"),
        SessionWriter(tmp_path / "z.xdf") as session,
    ):
        session.write("key", EventFrame.of((1, "key", {"key": object()})))
