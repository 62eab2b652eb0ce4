"""The EEG of real people, in answer to flashes of another screen: their epochs, drawn anew.

Somebody once attended to some flashes and not to others. An epoch of theirs answers each flash here: one of those to
which they attended where the simulated person attends, any other one elsewhere. What decoders make of real signals then
decides what is written, though nobody wore a cap for it.
"""

from __future__ import annotations

import zipfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from volition.core import EpochFrame, EpochsOut, EventsIn, LoadError, Node
from volition.core.clock import nanoseconds
from volition.core.ports import EpochsSpec, Spec

_PARTS = ("attended", "ignored", "channels", "rate", "start", "unit")


@dataclass(frozen=True)
class Bank:
    """Epochs of one person and recording.

    Attributes
    ----------
    attended, ignored
        float32, shape (n, n_samples, n_channels), in ``unit``: answers to flashes of what was attended to, and of
        anything else.
    channels
        Names.
    rate
        In Hz.
    start
        Time of the first sample after the flash, in seconds.
    """

    attended: np.ndarray
    ignored: np.ndarray
    channels: tuple[str, ...]
    rate: float
    start: float = 0.0
    unit: str = "uV"

    @property
    def stop(self) -> float:
        """Time of the end after the flash, in seconds."""
        return self.start + self.attended.shape[1] / self.rate

    def save(self, path: str | Path) -> None:
        """Write it as an ``.npz`` file."""
        np.savez_compressed(
            path,
            attended=self.attended.astype(np.float32),
            ignored=self.ignored.astype(np.float32),
            channels=np.array(self.channels),
            rate=self.rate,
            start=self.start,
            unit=self.unit,
        )

    @classmethod
    def load(cls, path: str | Path) -> Bank:
        """Read one.

        Raises
        ------
        LoadError
            When the file is missing or holds something else.
        """
        try:
            with zipfile.ZipFile(path) as file:
                parts = {name: _array(file, name) for name in _PARTS}
        except OSError as error:
            raise LoadError(f"bank {str(path)!r}: {error.strerror or error}") from None
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise LoadError(f"bank {str(path)!r} is no file of epochs: {error}") from None
        bank = cls(
            parts["attended"],
            parts["ignored"],
            tuple(map(str, parts["channels"])),
            float(parts["rate"]),
            float(parts["start"]),
            str(parts["unit"]),
        )
        shapes = {part.shape[1:] for part in (bank.attended, bank.ignored)}
        if len(shapes) != 1 or not len(bank.attended) or not len(bank.ignored):
            raise LoadError(f"bank {str(path)!r}: expected epochs of one shape, some attended and some not")
        return bank


def _array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array of an ``.npz`` file; one that would have to be unpickled is refused."""
    read: Any = np.lib.format.read_array
    with file.open(f"{name}.npy") as part:
        return np.asarray(read(part, allow_pickle=False))


class ResampledEpochs(Node):
    """Answers flashes with a real person's epochs, drawn anew.

    A flash of what the simulated person attends to, once they do, is answered by an epoch of an attended flash, any
    other flash by one of the others; each comes when its last sample would. Epochs that follow each other here did not
    follow each other there: overlaps and slow trends are those of the recording, their order is not.
    """

    i_flash = EventsIn("flash")
    i_attend = EventsIn("calibration")
    o = EpochsOut()

    def __init__(self, bank: str):
        """bank: an .npz file of epochs, as `volition.lab.bank` makes it from a cued recording."""
        self._place = bank
        self._bank: Bank | None = None
        self._attended: tuple[int, int | None, str] | None = None
        self._waiting: deque[tuple[int, int, bool, dict[str, Any]]] = deque()

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        if not Path(self._place).is_file():
            return {"o": EpochsSpec()}
        bank = Bank.load(self._place)
        return {"o": EpochsSpec(bank.channels, bank.rate, (bank.unit,) * len(bank.channels), bank.start, bank.stop)}

    def start(self) -> None:
        self._bank = Bank.load(self._place)

    def update(self) -> None:
        bank = self._bank
        if bank is None:
            return
        length = nanoseconds(bank.start + (bank.attended.shape[1] - 1) / bank.rate)
        for time, label, data in sorted([*self.i_attend, *self.i_flash], key=lambda event: event[0]):
            if label == "flash":
                self._waiting.append((time, time + length, self._hits(time, data), dict(data)))
            elif data.get("step") == "attend":
                self._attended = (time, data.get("menu"), data["target"])
        due = []
        while self._waiting and self._waiting[0][1] <= self.now:
            due.append(self._waiting.popleft())
        self.wake = self._waiting[0][1] if self._waiting else None
        if due:
            self.o = self._answer(bank, due)

    def _hits(self, time: int, flash: Mapping[str, Any]) -> bool:
        if self._attended is None:
            return False
        since, menu, target = self._attended
        return since <= time and menu in (None, flash["menu"]) and target in flash["ids"]

    def _answer(self, bank: Bank, due: list[tuple[int, int, bool, dict[str, Any]]]) -> EpochFrame:
        drawn = []
        for _, _, attended, _ in due:
            part = bank.attended if attended else bank.ignored
            drawn.append(part[int(self.rng.integers(len(part)))])
        return EpochFrame(
            np.array([time for time, _, _, _ in due], dtype=np.int64),
            np.stack(drawn),
            bank.channels,
            [data for _, _, _, data in due],
            np.array([ready for _, ready, _, _ in due], dtype=np.int64),
            bank.rate,
            bank.start,
            bank.unit,
        )
