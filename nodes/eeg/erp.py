"""Event-related potentials to evidence: xDAWN covariances, tangent space, logistic regression, calibrated.

The model is fitted by ``volition.nodes.eeg.erp_fit``; here it is applied, in numpy alone, so that an epoch
costs tens of microseconds.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from volition.core.errors import LoadError, NodeError
from volition.core.events import Dropped, Evidence
from volition.core.frames import EpochFrame, EventFrame
from volition.core.node import Node
from volition.core.places import find
from volition.core.ports import EpochsIn, EpochsSpec, EventsOut, EventsSpec, Spec

FORMAT = 1
"""Version of the model file."""
HEADER = "volition.json"
"""Member of the model file that says what it is for, readable without the library that reads the rest."""
ARRAYS = ("filters", "prototypes", "whitener", "weights")

_RATE_TOLERANCE = 1e-6


def oas_shrinkage(covariances: np.ndarray, n_samples: int) -> np.ndarray:
    """Oracle approximating shrinkage of covariances, shape (..., n, n), each of ``n_samples`` samples.

    Chen, Wiesel, Eldar & Hero 2010, IEEE Trans. Signal Process. 58, 5016-5029, eq. 23, without the terms in
    2 / n, as scikit-learn has it.
    """
    n = covariances.shape[-1]
    mean_square = np.mean(covariances * covariances, axis=(-2, -1))
    scale = np.trace(covariances, axis1=-2, axis2=-1) / n
    numerator = mean_square + scale**2
    denominator = (n_samples + 1) * (mean_square - scale**2 / n)
    safe = np.where(denominator > 0, denominator, 1.0)
    shrinkage = np.where(denominator > 0, np.minimum(numerator / safe, 1.0), 1.0)[..., None, None]
    target = scale[..., None, None] * np.eye(n)
    return np.asarray((1.0 - shrinkage) * covariances + shrinkage * target)


@dataclass(frozen=True)
class ErpHeader:
    """What a model is for and how it was made.

    Attributes
    ----------
    channels, unit, rate, start, n_samples
        The epochs it takes: names in order, unit, Hz, first sample relative to the event in s, samples.
    preprocessing
        What the signal went through before it was cut into epochs, in words.
    intercept
        Of the logistic regression.
    slope, offset
        Log-likelihood ratio = slope * score + offset (Platt 1999 on cross-validated scores, less the prior
        log odds).
    bound
        The log-likelihood ratio is clipped to -bound..bound.
    reject
        Epochs with a value beyond it (in ``unit``) say nothing.
    n_filters, penalty
        Spatial filters a class, and C of the logistic regression, as chosen by cross-validation.
    auc
        Area under the ROC curve of the cross-validated scores of the training epochs.
    n_epochs, n_targets
        Epochs it was trained on.
    """

    channels: tuple[str, ...]
    unit: str
    rate: float
    start: float
    n_samples: int
    preprocessing: str
    intercept: float
    slope: float
    offset: float
    bound: float
    reject: float
    n_filters: int
    penalty: float
    auc: float
    n_epochs: int
    n_targets: int

    @property
    def stop(self) -> float:
        """End of the window, relative to the event, s."""
        return self.start + self.n_samples / self.rate

    def misfit(self, epochs: EpochsSpec) -> str:
        """Why the model does not fit such epochs, as a clause; empty when it does, or may."""
        missing = [name for name in self.channels if epochs.channels is not None and name not in epochs.channels]
        if missing:
            return (
                f"was trained on channels that the epochs lack: {', '.join(map(repr, missing))}; they have "
                f"{', '.join(map(repr, epochs.channels or ()))}"
            )
        if epochs.rate is not None and abs(epochs.rate - self.rate) > _RATE_TOLERANCE * self.rate:
            return f"was trained at {self.rate:g} Hz and the epochs have {epochs.rate:g} Hz"
        units = {epochs.unit} if isinstance(epochs.unit, str) else set(epochs.unit or ())
        if self.unit and (other := sorted(units - {self.unit, ""})):
            return f"was trained on {self.unit} and the epochs are in {', '.join(other)}"
        if epochs.start is not None and epochs.stop is not None:
            rate = self.rate if epochs.rate is None else epochs.rate
            same_length = round((epochs.stop - epochs.start) * rate) == self.n_samples
            if not same_length or abs(epochs.start - self.start) > 0.5 / self.rate:
                return (
                    f"was trained on epochs from {self.start:.3g} to {self.stop:.3g} s and these go from "
                    f"{epochs.start:.3g} to {epochs.stop:.3g} s"
                )
        return ""


class ErpModel:
    """A fitted decoder of single epochs.

    Parameters
    ----------
    header
        What it is for.
    filters
        Spatial filters, shape (m, n_channels), m = 2 * n_filters.
    prototypes
        Mean filtered responses of either class, shape (m, n_samples).
    whitener
        Inverse square root of the reference covariance, shape (2 m, 2 m).
    weights
        Symmetric matrix, shape (2 m, 2 m): the score is its scalar product with the tangent vector's matrix.
    """

    def __init__(
        self,
        header: ErpHeader,
        filters: np.ndarray,
        prototypes: np.ndarray,
        whitener: np.ndarray,
        weights: np.ndarray,
    ):
        self.header = header
        self.filters, self.prototypes = filters, prototypes
        self.whitener, self.weights = whitener, weights
        m, n_samples = prototypes.shape
        shapes = (filters.shape, whitener.shape, weights.shape)
        if shapes != ((m, len(header.channels)), (2 * m, 2 * m), (2 * m, 2 * m)) or n_samples != header.n_samples:
            raise LoadError(f"the arrays of the ERP model do not fit together: {prototypes.shape}, {shapes}")
        # Every epoch is worked on in the same memory: neighbours and alignment cannot change a bit of it.
        self._epoch = np.empty((n_samples, len(header.channels)))
        self._extended = np.empty((n_samples, 2 * m))
        self._extended[:, :m] = (prototypes - prototypes.mean(axis=1, keepdims=True)).T
        self._filtered = self._extended[:, m:]
        self._whitened_identity = whitener @ whitener
        self._back = np.ascontiguousarray(filters.T)

    def score(self, epoch: np.ndarray) -> float:
        """Decision value of one epoch, shape (n_samples, n_channels), channels in the header's order.

        Barachant & Congedo 2014 (arXiv:1409.0107) for the extended covariance; Barachant et al. 2012, IEEE
        Trans. Biomed. Eng. 59, 920-928 for the tangent space.
        """
        self._epoch[:] = epoch
        np.matmul(self._epoch, self._back, out=self._filtered)
        self._filtered -= np.add.reduce(self._filtered) / len(self._epoch)
        covariance = self._extended.T @ self._extended
        covariance /= len(self._epoch)
        shrinkage, scale = self._shrinkage(covariance)
        whitened = self.whitener @ covariance @ self.whitener
        whitened *= 1.0 - shrinkage
        whitened += (shrinkage * scale) * self._whitened_identity
        values, vectors = np.linalg.eigh(whitened)
        parts = np.add.reduce((self.weights @ vectors) * vectors)
        return float(np.log(values).dot(parts)) + self.header.intercept

    def _shrinkage(self, covariance: np.ndarray) -> tuple[float, float]:
        """Weight and scale of the identity in ``oas_shrinkage``; plain numbers are faster for one matrix."""
        n = len(covariance)
        flat = covariance.ravel()
        mean_square = float(flat.dot(flat)) / (n * n)
        scale = float(np.add.reduce(flat[:: n + 1])) / n
        denominator = (len(self._epoch) + 1) * (mean_square - scale**2 / n)
        if denominator <= 0:
            return 1.0, scale
        return min((mean_square + scale**2) / denominator, 1.0), scale

    def llr(self, score: float) -> float:
        """Log p(score | target) / p(score | no target), within -bound..bound."""
        header = self.header
        return min(max(header.slope * score + header.offset, -header.bound), header.bound)

    def unusable(self, epoch: np.ndarray) -> str:
        """Why an epoch says nothing: NaN in it, or an artefact; empty when it does."""
        largest = float(np.abs(epoch).max())
        if not math.isfinite(largest):
            return "NaN"
        return "artefact" if largest > self.header.reject else ""

    @property
    def sha256(self) -> str:
        """Digest of everything that the model says; what the file's bytes are does not matter."""
        digest = hashlib.sha256(json.dumps(asdict(self.header), sort_keys=True).encode())
        for name in ARRAYS:
            array = np.ascontiguousarray(getattr(self, name), dtype="<f8")
            digest.update(f"{name} {array.shape}".encode() + array.tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the model: a skops file of a dict of arrays and one string, nothing to be trusted."""
        import skops.io

        header = json.dumps({"format": FORMAT, "kind": "erp", "sha256": self.sha256, **asdict(self.header)}, indent=1)
        skops.io.dump({"header": header, **{name: getattr(self, name) for name in ARRAYS}}, path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(HEADER, header)

    @classmethod
    def load(cls, path: str | Path) -> ErpModel:
        """Read a model.

        Raises
        ------
        LoadError
            When it is no such file, of a newer format, or damaged.
        """
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        header, stated = read_header(path)
        try:
            contents = skops.io.load(path, trusted=[])
            arrays = [np.asarray(contents[name], dtype=np.float64) for name in ARRAYS]
        except (
            zipfile.BadZipFile,
            UntrustedTypesFoundException,
            KeyError,
            TypeError,
            ValueError,
            OSError,
        ) as error:
            raise LoadError(f"{path}: the ERP model cannot be read: {error}") from error
        model = cls(header, *arrays)
        if model.sha256 != stated:
            raise LoadError(f"{path}: the ERP model was damaged or edited (its digest differs): calibrate again")
        return model


def read_header(path: str | Path) -> tuple[ErpHeader, str]:
    """What the model in a file is for, and the digest it should have, without reading the rest of it.

    Raises
    ------
    LoadError
        When it is no ERP model of a format known here.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = json.loads(archive.read(HEADER))
        version, kind, stated = found.pop("format"), found.pop("kind"), found.pop("sha256")
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise LoadError(f"{path}: this is no ERP model of 'volition calibrate erp': {error}") from error
    if kind != "erp" or version != FORMAT:
        raise LoadError(f"{path}: a model of kind {kind!r}, format {version}; expected 'erp', format {FORMAT}")
    if set(found) != {field.name for field in fields(ErpHeader)}:
        raise LoadError(f"{path}: the header of the ERP model lacks or adds fields: calibrate again")
    return ErpHeader(**{**found, "channels": tuple(found["channels"])}), str(stated)


class ErpDecoder(Node):
    """Evidence from single epochs: how much likelier each is if the person attended to what flashed.

    For each epoch one ``evidence`` event from source ``erp``, at the time of the epoch's last sample: the
    log-likelihood ratio, within the bound of the model, for each of the flash's ids. Epochs that hold NaN
    or exceed the model's artefact limit give none and are reported as ``dropped``. Other channels than the
    model's are passed over; a gap does not matter.
    """

    i = EpochsIn()
    o = EventsOut("evidence")

    _model: ErpModel | None = None
    _columns: list[int] | None = None

    def __init__(self, model: str = "erp-simulated.skops"):
        """Name the model.

        model: file of `volition calibrate erp`, or the name of a shipped model.
        """
        self.model = model

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """Evidence; an error when the model exists and was trained on other epochs."""
        try:
            path = find("models", self.model)
        except LoadError:
            path = None  # it may be calibrated before the run; ``start`` insists
        if path is not None:
            try:
                header, _ = read_header(path)
            except LoadError as error:
                raise NodeError(str(error)) from error
            given = inputs.get("i")
            self._insist(header.misfit(given) if isinstance(given, EpochsSpec) else "")
        return {"o": EventsSpec(("evidence",))}

    def _insist(self, misfit: str) -> None:
        if misfit:
            raise NodeError(f"the model {self.model} {misfit}: calibrate again, or change the graph")

    def start(self) -> None:
        """Read the model."""
        try:
            path = find("models", self.model)
        except LoadError as error:
            raise LoadError(f"{self.id}: {error}; 'volition calibrate erp SESSION -o {self.model}' makes it") from None
        self._model = ErpModel.load(path)

    def restart(self) -> None:
        """See that the epochs are what the model was trained on."""
        frame, model = self.i.frame, self._model
        if frame is None or model is None or not len(frame):
            return
        stop = frame.start + frame.values.shape[1] / frame.rate
        self._insist(model.header.misfit(EpochsSpec(frame.channels, frame.rate, frame.unit, frame.start, stop)))
        columns = [frame.channels.index(name) for name in model.header.channels]
        self._columns = None if columns == list(range(len(frame.channels))) else columns

    def update(self) -> None:
        """Decode the epochs that have come."""
        frame, model = self.i.frame, self._model
        if frame is None or model is None or not len(frame):
            return
        events = []
        for k in range(len(frame)):
            epoch = frame.values[k] if self._columns is None else frame.values[k][:, self._columns]
            if reason := model.unusable(epoch):
                dropped = Dropped(source=self.id, what="epoch", count=1, reason=reason)
                self.report(dropped, at=int(frame.ready[k]))
                continue
            ids, menu = _flashed(frame, k)
            llr = model.llr(model.score(epoch))
            events.append(Evidence(source="erp", menu=menu, llr=dict.fromkeys(ids, llr)).at(int(frame.ready[k])))
        if events:
            self.o = EventFrame.of(*sorted(events, key=lambda event: event[0]))


def _flashed(frame: EpochFrame, k: int) -> tuple[list[str], int]:
    data: Mapping[str, Any] = frame.data[k]
    try:
        return list(data["ids"]), int(data["menu"])
    except (KeyError, TypeError, ValueError):
        raise NodeError(
            f"the event of an epoch says {dict(data)}; evidence needs 'ids' and 'menu', as in a flash"
        ) from None
