"""Fitting the ERP decoder: pyRiemann and scikit-learn, chosen and calibrated by cross-validation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from volition.core.errors import VolitionError
from volition.core.frames import EpochFrame
from volition.nodes.eeg.erp import ErpHeader, ErpModel, oas_shrinkage

N_FOLDS = 5
LEAST_TARGETS = 10


@dataclass(frozen=True)
class Settings:
    """What cross-validation may choose from, and limits.

    The defaults leave no choice: on the training parts of four recordings of 900 flashes (BNCI 003-2015)
    the mean area under the curve was .780, .782, .784, .774 for C = .001, .01, .1, 1 (.772 at .1 without
    shrinkage), and .788 with two filters, differences that one person's recording of that size does not
    resolve.

    Attributes
    ----------
    n_filters
        xDAWN filters a class.
    penalties
        C of the logistic regression.
    bound
        Log-likelihood ratios are clipped to it.
    reject
        Epochs with a value beyond it, in the signal's unit, are left out.
    """

    n_filters: tuple[int, ...] = (4,)
    penalties: tuple[float, ...] = (0.1,)
    bound: float = 5.0
    reject: float = 150.0


def oas_covariances(signals: np.ndarray) -> np.ndarray:
    """Covariances (..., n, n) of signals (..., n, n_samples): scikit-learn's OAS, of all at once."""
    centred = signals - signals.mean(axis=-1, keepdims=True)
    n_samples = signals.shape[-1]
    return oas_shrinkage(centred @ np.swapaxes(centred, -1, -2) / n_samples, n_samples)


def fit_tangent_space(epochs: np.ndarray, targets: np.ndarray, n_filters: int) -> tuple[Any, Any, np.ndarray]:
    """pyRiemann's XdawnCovariances and TangentSpace, fitted, and the tangent vectors of the epochs.

    ``epochs`` has shape (n_epochs, n_channels, n_samples), ``targets`` (n_epochs,), 0 or 1.
    """
    from pyriemann.estimation import XdawnCovariances
    from pyriemann.tangentspace import TangentSpace

    covariances = XdawnCovariances(nfilter=n_filters, estimator=oas_covariances)
    matrices = covariances.fit_transform(epochs, targets)
    tangent = TangentSpace(metric="riemann")
    return covariances, tangent, tangent.fit_transform(matrices)


def fit_regression(vectors: np.ndarray, targets: np.ndarray, penalty: float) -> Any:
    """scikit-learn's logistic regression with C = ``penalty``."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=penalty, max_iter=5000).fit(vectors, targets)


def folds(times: np.ndarray, length: int, n_folds: int = N_FOLDS) -> list[tuple[np.ndarray, np.ndarray]]:
    """Blocks of time to test on, and the epochs to train on, none of which overlaps the block.

    Epochs of flashes overlap, so that random folds would test on samples that were trained on.

    Parameters
    ----------
    times
        Onsets in ns, ascending, shape (n_epochs,).
    length
        Of an epoch, ns.
    """
    pairs = []
    for block in np.array_split(np.arange(len(times)), n_folds):
        apart = (times <= times[block[0]] - length) | (times >= times[block[-1]] + length)
        pairs.append((np.flatnonzero(apart), block))
    return pairs


def cross_validated_scores(
    epochs: np.ndarray, targets: np.ndarray, times: np.ndarray, length: int, settings: Settings
) -> dict[tuple[int, float], np.ndarray]:
    """Decision values of each epoch by models that have not seen it, for each (n_filters, penalty)."""
    choices = [(n, c) for n in settings.n_filters if n <= epochs.shape[1] for c in settings.penalties]
    choices = choices or [(epochs.shape[1], c) for c in settings.penalties]
    scores = {choice: np.zeros(len(epochs)) for choice in choices}
    for train, test in folds(times, length):
        if min(targets[train].sum(), (1 - targets[train]).sum()) < 2:
            raise VolitionError("the flashes with and without the target lie too unevenly in time to cross-validate")
        for n_filters in sorted({n for n, _ in choices}):
            covariances, tangent, vectors = fit_tangent_space(epochs[train], targets[train], n_filters)
            unseen = tangent.transform(covariances.transform(epochs[test]))
            for penalty in settings.penalties:
                regression = fit_regression(vectors, targets[train], penalty)
                scores[n_filters, penalty][test] = regression.decision_function(unseen)
    return scores


def calibrate_scores(scores: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Slope and offset from scores to log-likelihood ratios.

    Logistic regression of the class on the score alone (Platt 1999) gives posterior log odds; less the log
    odds of the classes it is a log-likelihood ratio. A slope below 0 means that the scores know nothing,
    and gives 0, 0.
    """
    spread = float(scores.std())
    if spread == 0.0:
        return 0.0, 0.0
    regression = fit_regression((scores / spread)[:, None], targets, 1e6)
    slope = float(regression.coef_[0, 0]) / spread
    if slope <= 0.0:
        return 0.0, 0.0
    prior = float(np.log(targets.sum() / (len(targets) - targets.sum())))
    return slope, float(regression.intercept_[0]) - prior


def area_under_curve(scores: np.ndarray, targets: np.ndarray) -> float:
    """Area under the ROC curve; ties count one half (Mann & Whitney 1947)."""
    from scipy.stats import rankdata

    n_targets = int(targets.sum())
    n_others = len(targets) - n_targets
    ranks = rankdata(scores)[targets.astype(bool)].sum()
    return float((ranks - n_targets * (n_targets + 1) / 2) / (n_targets * n_others))


def symmetric_weights(coefficients: np.ndarray) -> np.ndarray:
    """The matrix W with <W, S> = ``coefficients`` . v for each symmetric matrix S and its tangent vector v.

    Tangent vectors hold the upper triangle, row by row, with the off-diagonal values times sqrt(2).
    """
    n = round((np.sqrt(8 * len(coefficients) + 1) - 1) / 2)
    weights = np.zeros((n, n))
    weights[np.triu_indices(n)] = coefficients
    scaled = (weights + weights.T) / np.sqrt(2)
    np.fill_diagonal(scaled, np.diag(weights))
    return np.asarray(scaled)


@dataclass(frozen=True)
class Fitted:
    """A model, which epochs it was trained on, and what models that had not seen these said of them.

    Attributes
    ----------
    model
        Trained on all usable epochs.
    usable
        Whether each epoch was used, shape (n_epochs,).
    llr
        Cross-validated log-likelihood ratio of each usable epoch, clipped.
    """

    model: ErpModel
    usable: np.ndarray
    llr: np.ndarray


def fit(epochs: EpochFrame, targets: np.ndarray, preprocessing: str, settings: Settings | None = None) -> Fitted:
    """Choose, fit and calibrate a model.

    Parameters
    ----------
    epochs
        In order of time; any with NaN or beyond ``settings.reject`` are left out.
    targets
        Whether each belongs to a target, shape (n_epochs,).
    preprocessing
        In words, what the signal went through.
    settings
        What to choose from.

    Raises
    ------
    VolitionError
        When there are too few epochs, or a channel is flat.
    """
    settings = settings or Settings()
    largest = np.abs(epochs.values).max(axis=(1, 2))
    usable = np.isfinite(largest) & (largest <= settings.reject)
    labels = np.asarray(targets).astype(int)[usable]
    values = np.ascontiguousarray(epochs.values[usable].transpose(0, 2, 1), dtype=np.float64)
    _check_enough(labels, values, epochs, int((~usable).sum()))
    length = round(epochs.values.shape[1] / epochs.rate * 1e9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # libraries about their own defaults
        scores = cross_validated_scores(values, labels, epochs.times[usable], length, settings)
        areas = {choice: area_under_curve(found, labels) for choice, found in scores.items()}
        best = max(areas, key=lambda choice: (areas[choice], -choice[0], -choice[1]))
        covariances, tangent, vectors = fit_tangent_space(values, labels, best[0])
        regression = fit_regression(vectors, labels, best[1])
        slope, offset = calibrate_scores(scores[best], labels)
    header = ErpHeader(
        channels=epochs.channels,
        unit=epochs.unit[0] if len(set(epochs.unit)) == 1 else "",
        rate=float(epochs.rate),
        start=float(epochs.start),
        n_samples=values.shape[2],
        preprocessing=preprocessing,
        intercept=float(regression.intercept_[0]),
        slope=slope,
        offset=offset,
        bound=settings.bound,
        reject=settings.reject,
        n_filters=best[0],
        penalty=best[1],
        auc=areas[best],
        n_epochs=len(labels),
        n_targets=int(labels.sum()),
    )
    model = from_fitted(header, covariances, tangent, regression)
    return Fitted(model, usable, np.array([model.llr(score) for score in scores[best]]))


def from_fitted(header: ErpHeader, covariances: Any, tangent: Any, regression: Any) -> ErpModel:
    """The model that says what the fitted steps say."""
    values, vectors = np.linalg.eigh(tangent.reference_)
    return ErpModel(
        header,
        filters=np.array(covariances.Xd_.filters_),
        prototypes=np.array(covariances.P_),
        whitener=(vectors / np.sqrt(values)) @ vectors.T,
        weights=symmetric_weights(regression.coef_[0]),
    )


def _check_enough(labels: np.ndarray, values: np.ndarray, epochs: EpochFrame, n_left_out: int) -> None:
    n_targets, n_others = int(labels.sum()), int((1 - labels).sum())
    if min(n_targets, n_others) < LEAST_TARGETS:
        raise VolitionError(
            f"too few epochs to fit: {n_targets} with the target and {n_others} without "
            f"({n_left_out} left out for NaN or artefacts); record at least {LEAST_TARGETS} of each"
        )
    flat = [name for name, sd in zip(epochs.channels, values.std(axis=(0, 2)), strict=True) if sd == 0.0]
    if flat:
        raise VolitionError(f"channels without any signal: {', '.join(flat)}: leave them out of the graph")
