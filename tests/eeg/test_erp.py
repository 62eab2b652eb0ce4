"""The ERP decoder against pyRiemann and scikit-learn, its file, its calibration, and the node."""

import json
import zipfile

import numpy as np
import pytest
from pyriemann.estimation import XdawnCovariances
from pyriemann.tangentspace import TangentSpace
from sklearn.covariance import OAS
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from volition.core.errors import LoadError, NodeError, VolitionError
from volition.core.frames import EpochFrame
from volition.core.node import drive
from volition.core.ports import EpochsSpec, EventsSpec
from volition.nodes.eeg.erp import HEADER, ErpDecoder, ErpModel, oas_shrinkage, read_header
from volition.nodes.eeg.erp_fit import (
    Settings,
    area_under_curve,
    calibrate_scores,
    fit,
    folds,
    from_fitted,
    oas_covariances,
)

RATE = 64.0
CHANNELS = ("Fz", "Cz", "Pz", "Oz")
QUICK = Settings(n_filters=(2,), penalties=(0.1,))


def epochs(n: int = 120, seed: int = 0, size: float = 3.0) -> tuple[EpochFrame, np.ndarray]:
    """Noise with a response to every fifth flash, 0.8 s, and which flashes those are."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 5 == 2
    n_samples = round(0.8 * RATE)
    values = rng.normal(size=(n, n_samples, 4)) @ np.random.default_rng(99).normal(size=(4, 4)) * 4
    bump = np.exp(-(((np.arange(n_samples) / RATE - 0.35) / 0.08) ** 2))
    values[targets] += size * bump[:, None] * np.array([1.0, 2.0, -1.0, 0.5])
    times = np.arange(n, dtype=np.int64) * 200_000_000
    data = [{"ids": [str(k % 5), "x"], "menu": 3, "target": bool(targets[k])} for k in range(n)]
    return EpochFrame(times, values, CHANNELS, data, times + 800_000_000, RATE, 0.0, "uV"), targets


@pytest.fixture(scope="module")
def model() -> ErpModel:
    return fit(*epochs(), "noise", QUICK).model


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "model.skops"
    model.save(path)
    return path


@pytest.mark.parametrize("n_filters", [1, 2, 4])
def test_scores_equal_the_fitted_pipeline(model, n_filters):
    frame, targets = epochs()
    signals = frame.values.transpose(0, 2, 1)
    covariances = XdawnCovariances(nfilter=n_filters, estimator="oas")
    tangent = TangentSpace(metric="riemann")
    vectors = tangent.fit_transform(covariances.fit_transform(signals, targets.astype(int)))
    regression = LogisticRegression(C=0.1, max_iter=5000).fit(vectors, targets.astype(int))
    other, _ = epochs(40, seed=1)
    theirs = regression.decision_function(tangent.transform(covariances.transform(other.values.transpose(0, 2, 1))))
    header = type(model.header)(**{**vars(model.header), "intercept": float(regression.intercept_[0])})
    ours = from_fitted(header, covariances, tangent, regression)
    np.testing.assert_allclose([ours.score(epoch) for epoch in other.values], theirs, rtol=0, atol=1e-8)


def test_fit_equals_the_plain_pipeline(model):
    frame, targets = epochs()
    signals = frame.values.transpose(0, 2, 1)
    covariances = XdawnCovariances(nfilter=2, estimator="oas")
    tangent = TangentSpace()
    vectors = tangent.fit_transform(covariances.fit_transform(signals, targets.astype(int)))
    regression = LogisticRegression(C=0.1, max_iter=5000).fit(vectors, targets.astype(int))
    scores = [model.score(epoch) for epoch in frame.values]
    np.testing.assert_allclose(scores, regression.decision_function(vectors), rtol=0, atol=1e-6)


def test_covariances_equal_those_of_scikit_learn():
    signals = np.random.default_rng(2).normal(size=(7, 6, 30)) + 3.0
    theirs = [OAS().fit(signal.T).covariance_ for signal in signals]
    np.testing.assert_allclose(oas_covariances(signals), theirs, rtol=1e-12)
    assert oas_shrinkage(np.zeros((3, 3)), 10).tolist() == np.zeros((3, 3)).tolist()


def test_finds_the_response_in_new_epochs(model):
    frame, targets = epochs(100, seed=5)
    llr = np.array([model.llr(model.score(epoch)) for epoch in frame.values])
    assert area_under_curve(llr, targets) > 0.9
    assert model.header.auc > 0.9
    assert llr[targets].mean() > 1 > -1 > llr[~targets].mean()
    assert np.abs(llr).max() <= QUICK.bound


def test_area_under_curve_equals_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    targets = rng.random(200) < 0.2
    scores = np.round(rng.normal(size=200) + targets, 1)  # with ties
    assert area_under_curve(scores, targets) == pytest.approx(roc_auc_score(targets, scores))


def test_calibration_finds_the_true_ratio_of_two_normal_distributions():
    rng = np.random.default_rng(1)
    targets = (np.arange(60_000) % 6 == 0).astype(int)
    scores = 7.0 * (rng.normal(size=60_000) + np.where(targets, 1.0, -1.0))
    slope, offset = calibrate_scores(scores, targets)  # log of the densities' ratio at s: 2 s / 7
    assert slope * 7.0 == pytest.approx(2.0, rel=0.03)
    assert offset == pytest.approx(0.0, abs=0.05)


def test_scores_that_know_nothing_give_no_evidence():
    targets = np.tile([0, 1], 50)
    assert calibrate_scores(np.where(targets, -1.0, 1.0) + np.linspace(0, 5, 100), targets) == (0.0, 0.0)
    assert calibrate_scores(np.zeros(100), targets) == (0.0, 0.0)


def test_folds_never_train_on_samples_that_they_test_on():
    times = np.sort(np.random.default_rng(0).integers(0, 10**11, 200))
    tested = []
    for train, test in folds(times, 10**9):
        distance = np.abs(times[train][:, None] - times[test][None, :])
        assert distance.min() >= 10**9
        tested += test.tolist()
    assert sorted(tested) == list(range(200))


def test_artefacts_and_nan_are_left_out_of_the_fit():
    frame, targets = epochs()
    values = frame.values.copy()
    values[7, 3, 1], values[20, 0, 0] = np.nan, 1e6
    dirty = EpochFrame(frame.times, values, CHANNELS, frame.data, frame.ready, RATE, 0.0, "uV")
    fitted = fit(dirty, targets, "", QUICK)
    assert np.flatnonzero(~fitted.usable).tolist() == [7, 20]
    assert fitted.model.header.n_epochs == len(fitted.llr) == 118


def test_what_cannot_be_fitted_is_said():
    frame, targets = epochs(30)
    with pytest.raises(VolitionError, match="too few epochs"):
        fit(frame, targets, "", QUICK)
    frame, targets = epochs()
    values = frame.values.copy()
    values[:, :, 2] = 0.0
    flat = EpochFrame(frame.times, values, CHANNELS, frame.data, frame.ready, RATE, 0.0, "uV")
    with pytest.raises(VolitionError, match="Pz"):
        fit(flat, targets, "", QUICK)
    with pytest.raises(VolitionError, match="unevenly"):
        fit(frame, np.arange(120) >= 100, "", QUICK)


def test_file_gives_the_same_model_back(model, saved):
    again = ErpModel.load(saved)
    assert again.sha256 == model.sha256
    assert again.header == model.header
    epoch = epochs(1, seed=9)[0].values[0]
    assert again.score(epoch) == model.score(epoch)
    assert read_header(saved) == (model.header, model.sha256)


def test_damaged_and_foreign_files_are_refused(saved, tmp_path, model):
    with pytest.raises(LoadError, match="no ERP model"):
        ErpModel.load(tmp_path / "missing.skops")
    text = tmp_path / "text.skops"
    text.write_text("hello")
    with pytest.raises(LoadError, match="no ERP model"):
        ErpModel.load(text)
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def rewritten(name: str, contents: bytes) -> str:
        path = tmp_path / "changed.skops"
        with zipfile.ZipFile(path, "w") as archive:
            for member, before in members.items():
                archive.writestr(member, contents if member == name else before)
        return str(path)

    header = json.loads(members[HEADER])
    with pytest.raises(LoadError, match="damaged or edited"):
        ErpModel.load(rewritten(HEADER, json.dumps({**header, "slope": 99.0}).encode()))
    with pytest.raises(LoadError, match="format 2"):
        ErpModel.load(rewritten(HEADER, json.dumps({**header, "format": 2}).encode()))
    with pytest.raises(LoadError, match="lacks or adds"):
        ErpModel.load(rewritten(HEADER, json.dumps({**header, "colour": 2}).encode()))
    with pytest.raises(LoadError, match="cannot be read"):
        ErpModel.load(rewritten("schema.json", b"{}"))
    array = next(name for name in members if name.endswith(".npy"))
    with pytest.raises(LoadError, match="damaged or edited"):
        ErpModel.load(rewritten(array, members[array][:-1] + bytes([members[array][-1] ^ 1])))


def test_decoder_gives_evidence_for_what_flashed(model, saved):
    frame, _ = epochs(6, seed=3)
    node = ErpDecoder(str(saved))
    node.id = "erp"
    out = drive(node, i=frame)["o"]
    assert out.times.tolist() == frame.ready.tolist()
    for k, (_, label, data) in enumerate(out):
        llr = model.llr(model.score(frame.values[k]))
        assert label == "evidence"
        assert data == {"source": "erp", "menu": 3, "llr": {str(k % 5): llr, "x": llr}}
    single = [
        drive(
            node,
            i=EpochFrame(
                frame.times[k : k + 1],
                frame.values[k : k + 1],
                CHANNELS,
                frame.data[k : k + 1],
                frame.ready[k : k + 1],
                RATE,
                0.0,
                "uV",
            ),
        )["o"].data[0]
        for k in range(6)
    ]
    assert single == list(out.data)
    assert drive(node) == {}


def test_decoder_passes_over_bad_epochs_and_says_so(saved):
    frame, _ = epochs(4, seed=3)
    values = frame.values.copy()
    values[1, 5, 2], values[2, 0, 0] = np.nan, -151.0
    node = ErpDecoder(str(saved))
    node.id = "erp"
    bad = EpochFrame(frame.times, values, CHANNELS, frame.data, frame.ready, RATE, 0.0, "uV")
    assert drive(node, i=bad)["o"].times.tolist() == frame.ready[[0, 3]].tolist()
    said = [(time, data["source"], data["reason"]) for time, _, data in node.take_reports()]
    assert said == [(frame.ready[1], "erp", "NaN"), (frame.ready[2], "erp", "artefact")]


def test_decoder_finds_its_channels_by_name(saved):
    frame, _ = epochs(3, seed=3)
    order = [2, 0, 3, 1]
    extra = np.concatenate([frame.values[:, :, order], np.full((3, frame.values.shape[1], 1), 1e9)], axis=2)
    names = (*(CHANNELS[k] for k in order), "AUX")
    shuffled = EpochFrame(frame.times, extra, names, frame.data, frame.ready, RATE, 0.0, "uV")
    node = ErpDecoder(str(saved))
    assert drive(node, i=shuffled)["o"].data == drive(node, i=frame)["o"].data


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (EpochsSpec(("Fz", "Cz"), RATE, "uV", 0.0, 0.8), "lack: 'Pz', 'Oz'; they have 'Fz', 'Cz'"),
        (EpochsSpec(CHANNELS, 256.0, "uV", 0.0, 0.8), "trained at 64 Hz and the epochs have 256 Hz"),
        (EpochsSpec(CHANNELS, RATE, "V", 0.0, 0.8), "trained on uV and the epochs are in V"),
        (EpochsSpec(CHANNELS, RATE, "uV", 0.0, 1.0), "from 0 to 0.797 s and these go from 0 to 1 s"),
        (EpochsSpec(CHANNELS, RATE, "uV", -0.125, 0.675), "and these go from -0.125 to 0.67"),
    ],
)
def test_epochs_that_do_not_fit_the_model_are_found_before_running_and_when_running(saved, spec, said):
    with pytest.raises(NodeError, match=said):
        ErpDecoder(str(saved)).infer({"i": spec})
    n_samples = round((spec.stop - spec.start) * spec.rate)
    values = np.zeros((1, n_samples, len(spec.channels)))
    zero = np.zeros(1, dtype=np.int64)
    frame = EpochFrame(zero, values, spec.channels, [{}], zero.copy(), spec.rate, spec.start, spec.unit)
    with pytest.raises(NodeError, match=said):
        drive(ErpDecoder(str(saved)), i=frame)


def test_decoder_accepts_what_it_cannot_know(saved, tmp_path):
    evidence = {"o": EventsSpec(("evidence",))}
    assert ErpDecoder(str(saved)).infer({"i": EpochsSpec()}) == evidence
    assert ErpDecoder(str(saved)).infer({"i": EpochsSpec(CHANNELS, RATE, "uV", 0.0, 0.8)}) == evidence
    assert ErpDecoder("nowhere.skops").infer({"i": EpochsSpec()}) == evidence
    with pytest.raises(LoadError, match="calibrate erp"):
        ErpDecoder("nowhere.skops").start()
    broken = tmp_path / "broken.skops"
    broken.write_text("")
    with pytest.raises(NodeError, match="no ERP model"):
        ErpDecoder(str(broken)).infer({"i": EpochsSpec()})


def test_events_without_ids_are_refused(saved):
    frame, _ = epochs(1)
    bare = EpochFrame(frame.times, frame.values, CHANNELS, [{"value": 1}], frame.ready, RATE, 0.0, "uV")
    with pytest.raises(NodeError, match="'ids' and 'menu'"):
        drive(ErpDecoder(str(saved)), i=bare)
