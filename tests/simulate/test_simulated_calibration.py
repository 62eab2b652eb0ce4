"""A simulated calibration session, and that a decoder learns from it."""

from collections import Counter

import numpy as np
import pytest

from volition.lab.simulate import erp_calibration
from volition.nodes.simulate.eeg import SimulatedEeg


def test_the_session_is_whole_and_seeded():
    session = erp_calibration(menus=6, rounds=2, options=("1", "2", "none"))
    eeg, flash, cue = session["eeg"], session["flash"], session["cue"]
    assert (np.diff(eeg.times) > 0).all() and abs(np.diff(eeg.times) * 256 / 1e9 - 1).max() < 1e-6
    assert eeg.times[0] + 5e9 < flash.times[0] and eeg.times[-1] > flash.times[-1] + 1e9
    assert len(flash) == 36 and sum(d["target"] for _, _, d in flash) == 12
    assert Counter(d["target"] for _, _, d in cue) == {"1": 2, "2": 2, "none": 2}
    assert {d["step"] for _, _, d in cue} == {"cue"}
    wanted = {d["menu"]: d["target"] for _, _, d in cue}
    assert all(d["target"] == (d["ids"] == [wanted[d["menu"]]]) for _, _, d in flash)
    again = erp_calibration(menus=6, rounds=2, options=("1", "2", "none"))
    assert list(again["flash"]) == list(flash)
    np.testing.assert_array_equal(again["eeg"].values, eeg.values)
    other = erp_calibration(menus=6, rounds=2, options=("1", "2", "none"), seed=2)
    assert np.abs(other["eeg"].values - eeg.values).max() > 1


def test_targets_differ_by_the_p3():
    session = erp_calibration(menus=12, rounds=2, brain=SimulatedEeg(noise=1.0, alpha=0.0, p3=10.0))
    eeg, pz = session["eeg"], session["eeg"].channels.index("Pz")
    means = {True: [], False: []}
    for time, _, data in session["flash"]:
        first = int(np.searchsorted(eeg.times, time))
        means[data["target"]].append(eeg.values[first + 80 : first + 100, pz].mean())
    assert np.mean(means[True]) - np.mean(means[False]) > 4


@pytest.mark.slow
def test_a_decoder_learns_from_it(tmp_path):
    from volition.lab.erp import calibrate
    from volition.nodes.eeg.erp_fit import Settings

    session = erp_calibration(menus=12, rounds=4)
    settings = Settings(n_filters=(2,), penalties=(0.1,))
    answer = calibrate(session, tmp_path / "simulated.skops", "p300.yaml", settings=settings)
    assert answer["auc"] > 0.8
    assert answer["letters_right"] >= 11
