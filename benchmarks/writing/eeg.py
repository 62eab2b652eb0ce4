"""Phrases written by the EEG of real people alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import platformdirs

from benchmarks.store import Row
from benchmarks.writing.experiments import Bench
from volition.lab.bank import bank_of
from volition.lab.erp import calibrate
from volition.lab.people import with_eeg
from volition.lab.writing import Plan
from volition.nodes.text.find import EMBEDDED
from volition.sessions.convert import import_file

SUBJECTS = ("s6", "s7", "s8", "s9")
"""Of the BNCI data set 003-2015: a decoder is fitted to the train part, epochs are drawn from the test part."""


def eeg(bench: Bench) -> Iterator[Row]:
    """Each subject, without gaze."""
    source = bench.data / "eeg" / "bnci2015_003" if bench.data is not None else None
    if source is None or not source.is_dir():
        return
    folder = platformdirs.user_cache_path("volition", appauthor=False) / "benchmarks" / "writing"
    for subject in SUBJECTS:
        bank, model, auc = _prepared(source / f"{subject}.mat", folder)
        row = bench.run(f"eeg: {subject}", Plan(with_eeg(subject, bank, model), EMBEDDED), bench.some("eeg"))
        if row:
            yield {"subject": subject, "auc": auc, **row}


def _prepared(recording: Path, folder: Path) -> tuple[Path, Path, str]:
    """The bank of epochs, the decoder, and its cross-validated AUC; made once."""
    bank, model = folder / f"{recording.stem}.npz", folder / f"{recording.stem}.skops"
    note = folder / f"{recording.stem}.auc"
    if not (bank.is_file() and model.is_file() and note.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        train, test = import_file(recording, folder / f"{recording.stem}.xdf")
        answer = calibrate(train, model)
        bank_of(test).save(bank)
        note.write_text(f"{answer['auc']:.2f}", encoding="utf-8")
    return bank, model, note.read_text(encoding="utf-8")
