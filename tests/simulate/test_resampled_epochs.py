"""A real person's epochs in answer to other flashes: the right kind, in time, and read by a decoder of theirs."""

import numpy as np
import pytest

from tests.data import data_path
from volition.core import EventFrame, LoadError
from volition.core.events import Calibration, Flash
from volition.core.node import drive
from volition.nodes.simulate.epochs import Bank, ResampledEpochs

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def flash(seconds: float, *ids: str, menu: int = 1) -> tuple:
    return Flash(ids=list(ids), menu=menu).at(at(seconds))


def attend(seconds: float, target: str, menu: int = 1) -> tuple:
    return Calibration(step="attend", target=target, menu=menu).at(at(seconds))


@pytest.fixture
def bank(tmp_path):
    """Attended epochs are 1, others 0 everywhere; 33 samples at 64 Hz, so the last one comes after half a second."""
    path = tmp_path / "bank.npz"
    Bank(np.ones((3, 33, 2)), np.zeros((4, 33, 2)), ("Cz", "Pz"), 64.0).save(path)
    return path


def test_each_flash_is_answered_by_its_kind_when_the_last_sample_would_come(bank):
    node = ResampledEpochs(str(bank))
    flashes = EventFrame.of(
        flash(0.5, "1"), flash(1.1, "1"), flash(1.2, "2", "1"), flash(1.3, "2"), flash(1.4, "1", menu=2)
    )
    assert drive(node, now=at(1.4), i_flash=flashes, i_attend=EventFrame.of(attend(1.0, "1")))["o"].values.max() == 0
    assert node.wake == at(1.6)
    frame = drive(node, now=at(3))["o"]
    assert [float(values.max()) for values in frame.values] == [1.0, 1.0, 0.0, 0.0]
    np.testing.assert_array_equal(frame.ready, [at(1.6), at(1.7), at(1.8), at(1.9)])
    np.testing.assert_array_equal(frame.times, [at(1.1), at(1.2), at(1.3), at(1.4)])
    assert [data["ids"] for data in frame.data] == [["1"], ["2", "1"], ["2"], ["1"]]
    assert (frame.channels, frame.rate, frame.unit) == (("Cz", "Pz"), 64.0, ("uV", "uV"))


def test_a_bank_is_what_was_saved(bank):
    again = Bank.load(bank)
    assert again.attended.shape == (3, 33, 2) and again.channels == ("Cz", "Pz") and again.stop == 33 / 64


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no zip at all"])
def test_a_damaged_bank_is_a_sentence(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(LoadError, match="bank"):
        Bank.load(path)
    with pytest.raises(LoadError, match="No such file"):
        Bank.load(tmp_path / "none.npz")


@pytest.mark.slow
def test_phrases_are_written_by_real_eeg_alone(tmp_path):
    """A decoder fitted to one recording, epochs of another of the same person, no gaze."""
    from volition.lab.bank import bank_of
    from volition.lab.erp import calibrate
    from volition.lab.people import with_eeg
    from volition.lab.writing import Plan, write
    from volition.nodes.eeg.erp_fit import Settings
    from volition.sessions.convert import import_file

    train, test = import_file(data_path("eeg/bnci2015_003/s8.mat"), tmp_path / "s8.xdf")
    calibrate(train, tmp_path / "s8.skops", settings=Settings(n_filters=(4,), penalties=(0.1,)))
    bank_of(test).save(tmp_path / "s8.npz")
    phrases = ["i want to go home", "thank you"]
    written = write(Plan(with_eeg("s8", tmp_path / "s8.npz", tmp_path / "s8.skops"), "table"), phrases)
    assert [w.text for w in written] == phrases
    assert sum(len(w.selections) for w in written) >= 4
