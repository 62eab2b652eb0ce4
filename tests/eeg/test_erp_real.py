"""Real EEG: the decoder by streaming replay against the same classifier fitted and scored offline.

BNCI Horizon 2020, data set 003-2015 (Guger et al. 2009). The offline reference knows nothing of this
program: it reads the MATLAB file, filters the whole recording with scipy, cuts epochs with MNE, and fits
pyRiemann and scikit-learn.
"""

from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io
import scipy.signal
from pyriemann.estimation import XdawnCovariances
from pyriemann.tangentspace import TangentSpace
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from tests.data import data_path
from volition.lab.erp import calibrate, evaluate
from volition.nodes.eeg.erp import ErpModel
from volition.sessions.convert.bnci2015003 import part_streams

RATE = 256.0

# A plain offline reference measured before this program existed: causal 0.5-12 Hz, 0.8 s, xDAWN 4, tangent
# space, logistic regression; area under the curve from train to test, letters of 5 after 15 rounds.
MEASURED = {"s6": (0.624, 3), "s7": (0.790, 5), "s8": (0.884, 5), "s9": (None, 5)}


def offline_epochs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (n, channels, samples) and which are targets, of one part of the file."""
    sos = scipy.signal.butter(4, [0.5, 12.0], "bandpass", fs=RATE, output="sos")
    steady = scipy.signal.sosfilt_zi(sos)[:, None, :] * x[None, 1:9, :1]
    filtered, _ = scipy.signal.sosfilt(sos, x[1:9], axis=1, zi=steady)
    raw = mne.io.RawArray(filtered, mne.create_info(8, RATE, "misc"), verbose="error")
    onsets = np.flatnonzero(np.diff(np.r_[0, x[9] != 0]) == 1)
    events = np.column_stack([onsets, np.zeros_like(onsets), 1 + x[10, onsets].astype(int)])
    cut = mne.Epochs(raw, events, tmin=0.0, tmax=204 / RATE, baseline=None, preload=True, verbose="error")
    return cut.get_data(copy=True, picks="all"), cut.events[:, 2] == 2


def offline_auc(x: np.ndarray, n_filters: int, estimator: str, penalty: float) -> float:
    """Area under the curve of pyRiemann and scikit-learn, fitted on ``train`` and scored on ``test``."""
    pipeline = make_pipeline(
        XdawnCovariances(nfilter=n_filters, estimator=estimator),
        TangentSpace(metric="riemann"),
        LogisticRegression(C=penalty, max_iter=5000),
    )
    signals, targets = offline_epochs(x["train"])
    pipeline.fit(signals, targets.astype(int))
    unseen, truth = offline_epochs(x["test"])
    return float(roc_auc_score(truth, pipeline.decision_function(unseen)))


@pytest.mark.slow
@pytest.mark.parametrize("subject", MEASURED)
def test_streaming_is_as_good_as_offline(subject, tmp_path):
    path: Path = data_path(f"eeg/bnci2015_003/{subject}.mat")
    x = scipy.io.loadmat(path)[subject][0, 0]
    model = tmp_path / "model.skops"
    trained = calibrate(part_streams(x["train"], path), model)
    result = evaluate(part_streams(x["test"], path), model)
    header = ErpModel.load(model).header
    assert (result["flashes"], result["targets"], result["epochs_dropped"]) == (900, 150, 0)
    assert trained["flashes"] == 900

    same = offline_auc(x, header.n_filters, "oas", header.penalty)
    assert result["auc"] == pytest.approx(same, abs=0.002)  # only clipping and the solver's tolerance differ
    plain = offline_auc(x, 4, "lwf", 1.0)
    assert result["auc"] > plain - 0.01

    measured, letters = MEASURED[subject]
    assert result["letters_total"] == 5
    assert result["letters_right"] >= letters
    assert measured is None or result["auc"] > measured - 0.01


@pytest.mark.slow
def test_real_recording_gives_the_same_bytes_for_any_tick(tmp_path):
    path = data_path("eeg/bnci2015_003/s8.mat")
    x = scipy.io.loadmat(path)["s8"][0, 0]
    model = tmp_path / "model.skops"
    calibrate(part_streams(x["train"], path), model)
    streams = part_streams(x["test"], path)
    assert len({evaluate(streams, model, chunk=chunk)["sha256"] for chunk in (10, 26, 256)}) == 1
