"""Import of other formats: on small made-up files, and on the real ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from tests.data import data_path
from volition.core import SessionError
from volition.core.events import parse
from volition.sessions import Session
from volition.sessions.convert import FORMATS, import_file
from volition.sessions.convert.format import EPOCH_NS


def check_events(session: Session) -> None:
    for stream in session.streams.values():
        if stream.kind == "events":
            for _, label, data in stream.events:
                parse(label, data)


def speller(path: Path, targets: str = "A9") -> np.ndarray:
    """A part with two flashes a letter: the column and the row of the target."""
    x = np.zeros((11, 256 * 4 * (len(targets) + 1)))
    x[0] = np.arange(x.shape[1]) / 256
    x[1:9] = np.random.default_rng(0).normal(size=(8, x.shape[1]))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    for k, letter in enumerate(targets):
        row, column = divmod(letters.index(letter), 6)
        for n, code in enumerate((column + 1, row + 7)):
            at = 256 * 4 * (k + 1) + 20 * n
            x[9, at : at + 4] = code
            x[10, at : at + 4] = 1
    savemat(path, {path.stem: {"train": x, "test": x[:, ::1]}})
    return x


def test_bnci_small(tmp_path: Path) -> None:
    x = speller(tmp_path / "t1.mat")
    train, test = import_file(tmp_path / "t1.mat", tmp_path / "out.xdf")
    assert (train.name, test.name) == ("out-train.xdf", "out-test.xdf")
    session = Session.open(train)
    check_events(session)
    (eeg,) = session.stream("eeg").frames
    assert np.array_equal(eeg.values, x[1:9].T) and eeg.unit == ("uV",) * 8
    assert np.array_equal(eeg.times - EPOCH_NS, np.arange(x.shape[1]) * 3_906_250)
    flash = list(session.stream("flash").events)
    assert [(t - EPOCH_NS) / 1e9 for t, _, _ in flash] == [4.0, 4.078125, 8.0, 8.078125]
    assert flash[0][2] == {"ids": list("AGMSY4"), "menu": 0, "target": True}
    assert flash[3][2]["ids"] == list("456789") and flash[3][2]["menu"] == 1
    cues = list(session.stream("cue").events)
    assert [(t - EPOCH_NS, d["target"], d["menu"]) for t, _, d in cues] == [
        (3 * 10**9, "A", 0),
        (7 * 10**9, "9", 1),
    ]
    boxes = session.stream("layout").events.data[1]["boxes"]
    assert len(boxes) == 36
    assert boxes[7] == pytest.approx({"id": "H", "x": 1 / 6, "y": 1 / 6, "width": 1 / 6, "height": 1 / 6, "text": "H"})
    assert session.manifest["import"]["file"] == "t1.mat" and session.manifest["ended"] == "clean"


@pytest.mark.parametrize("name", ["s6", "s7", "s8", "s9"])
def test_bnci_real(tmp_path: Path, name: str) -> None:
    source = data_path(f"eeg/bnci2015_003/{name}.mat")
    sessions = import_file(source, tmp_path / "s.xdf")
    for path, part, word in zip(sessions, ("train", "test"), ("LUKAS", "WATER"), strict=True):
        session = Session.open(path)
        check_events(session)
        raw = loadmat(source)[name][0, 0][part]
        (eeg,) = session.stream("eeg").frames
        assert np.array_equal(eeg.values, raw[1:9].T)
        flash = session.stream("flash").events
        assert len(flash) == 900 and sum(d["target"] for d in flash.data) == 150
        assert [sum(d["menu"] == k for d in flash.data) for k in range(5)] == [180] * 5
        assert "".join(d["target"] for d in session.stream("cue").events.data) == word
        assert all((word[d["menu"]] in d["ids"]) == d["target"] for d in flash.data)
        assert np.all(np.isin(flash.times, eeg.times))
        assert len(session.stream("layout")) == 5
        assert any("transient" in note for note in session.manifest["import"]["notes"])


CSV = """daq_type,Tobii-P0
sample_rate,60.0
timestamp,device_ts,system_ts,left_x,left_y,left_pupil,right_x,right_y,right_pupil,lsl_timestamp
1,0,0,0.2,0.4,4,0.4,0.6,4,100.0000001
2,0,0,,,,0.4,0.6,4,100.0167
3,0,0,0.2,0.4,4,0.4,,4,100.0334
4,0,0,,,,,,,100.05
"""
TRIGGERS = """starting_offset offset -100
B prompt 100.01
+ fixation 100.02
A nontarget 100.03
B target 100.04
_ prompt 100.045
system_thing system 11.5
"""
POSITIONS = {"A": [-0.5, 0.5], "B": [0.0, 0.5], "_": [0.0, -0.25], "screen_hz": 144, "screen_units": "norm"}


def gaze_files(folder: Path, zipped: bool) -> Path:
    (folder / "triggers.txt").write_text(TRIGGERS)
    (folder / "stimuli_positions.json").write_text(json.dumps(POSITIONS))
    path = folder / ("gaze.csv.gz" if zipped else "gaze.csv")
    path.write_bytes(gzip.compress(CSV.encode()) if zipped else CSV.encode())
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_bcipy_small(tmp_path: Path, zipped: bool) -> None:
    (path,) = import_file(gaze_files(tmp_path, zipped), tmp_path / "g.xdf")
    session = Session.open(path)
    check_events(session)
    (gaze,) = session.stream("gaze").frames
    assert (gaze.channels, gaze.rate, gaze.unit) == (("x", "y"), 60.0, ("norm", "norm"))
    np.testing.assert_allclose(gaze.values, [[0.3, 0.5], [0.4, 0.6], [0.2, 0.4], [np.nan, np.nan]])
    assert (gaze.times - EPOCH_NS).tolist() == [
        100_000_000_100,
        100_016_700_000,
        100_033_400_000,
        100_050_000_000,
    ]
    assert np.isnan(session.stream("eyes").frames[0].values[2, 3])
    assert [d["target"] for d in session.stream("cue").events.data] == ["B", "_"]
    flash = list(session.stream("flash").events)
    assert [(d["ids"], d["target"], d["menu"]) for _, _, d in flash] == [(["A"], False, 0), (["B"], True, 0)]
    layout = session.stream("layout").events
    assert [d["menu"] for d in layout.data] == [0, 1]
    assert layout.times.tolist() == session.stream("cue").events.times.tolist()
    box = layout.data[0]["boxes"][0]  # centre (-0.5, 0.5) is (0.25, 0.25) from the top left
    assert (box["id"], box["x"], box["y"]) == ("A", pytest.approx(0.125), pytest.approx(0.0625))
    assert (box["width"], box["height"]) == (pytest.approx(0.25), pytest.approx(0.375))


def test_bcipy_without_the_files_beside_it(tmp_path: Path) -> None:
    path = gaze_files(tmp_path, False)
    (tmp_path / "triggers.txt").unlink()
    session = Session.open(import_file(path, tmp_path / "g.xdf")[0])
    assert list(session.streams) == ["gaze", "eyes"]
    assert any("triggers.txt not found" in note for note in session.manifest["import"]["notes"])


def test_bcipy_real(tmp_path: Path) -> None:
    source = data_path("gaze/tobii_matrix_speller/eyetracker_data_tobii-p0.csv.gz")
    session = Session.open(import_file(source, tmp_path / "g.xdf")[0])
    check_events(session)
    (gaze,) = session.stream("gaze").frames
    flash, cues = session.stream("flash").events, session.stream("cue").events
    assert (len(gaze), len(flash), len(cues)) == (27_549, 550, 55)
    assert {m for m in range(55) if not any(d["menu"] == m and d["target"] for d in flash.data)} == {
        1,
        8,
        15,
        23,
        51,
    }
    boxes = session.stream("layout").events.data[0]["boxes"]
    centres = np.array([[b["x"] + b["width"] / 2, b["y"] + b["height"] / 2] for b in boxes]) * [1920, 1080]
    right = []
    for menu, cue in enumerate(cues.data):
        first = next(t for t, _, d in flash if d["menu"] == menu)
        window = (gaze.times >= first) & (gaze.times < first + 3 * 10**9)
        at = np.nanmedian(gaze.values[window], axis=0) * [1920, 1080]
        nearest = boxes[int(np.argmin(np.linalg.norm(centres - at, axis=1)))]["id"]
        right.append(nearest == cue["target"])
    assert len(boxes) == 28 and sum(right) == 54 and not right[14]


def test_an_import_replaces_the_last_one(tmp_path: Path) -> None:
    speller(tmp_path / "t1.mat")
    first = [p.read_bytes() for p in import_file(tmp_path / "t1.mat", tmp_path / "out.xdf")]
    assert [p.read_bytes() for p in import_file(tmp_path / "t1.mat", tmp_path / "out.xdf")] == first


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="no such file"):
        import_file(tmp_path / "none.mat", tmp_path / "o.xdf")
    other = tmp_path / "other.mat"
    for content in (b"", b"junk" * 100, b"\x00" * 600):
        other.write_bytes(content)
        with pytest.raises(SessionError, match=r"BNCI Horizon 2020.*BciPy"):
            import_file(other, tmp_path / "o.xdf")
    savemat(other, {"x": np.ones((3, 3))})
    with pytest.raises(SessionError, match="of no format"):
        import_file(other, tmp_path / "o.xdf")
    with pytest.raises(SessionError, match=r"NAME\.xdf"):
        import_file(other, tmp_path / "o.csv")
    path = gaze_files(tmp_path, False)
    path.write_text(CSV + "5,0,0,,,,,,,99.0\n")
    with pytest.raises(SessionError, match="does not increase"):
        import_file(path, tmp_path / "o.xdf")
    path.write_text(CSV)
    (tmp_path / "triggers.txt").write_text("nonsense\n")
    with pytest.raises(SessionError, match=r"triggers\.txt:1"):
        import_file(path, tmp_path / "o.xdf")
    assert len({form.name for form in FORMATS}) == len(FORMATS)
