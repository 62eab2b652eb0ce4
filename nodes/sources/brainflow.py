"""EEG and other signals of any board that BrainFlow speaks to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib.resources import files
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from volition.core import DeviceError, NodeError, SignalFrame, SignalOut, SignalSpec, Source
from volition.core.clock import LiveClock, nanoseconds
from volition.core.events import Gap, Stream
from volition.core.node import Arrival
from volition.core.params import Ge, Gt, Unit
from volition.core.ports import Spec
from volition.nodes.sources.stamps import PackageCounter, Piece, Stamps

Kind = Literal["eeg", "emg", "ecg", "eog", "eda", "ppg", "accel", "gyro", "temperature", "other"]
Preset = Literal["default", "auxiliary", "ancillary"]

POLL = 0.01
"""Seconds between two looks at the board: BrainFlow has no call that waits for data."""

BUFFER = 60
"""Seconds of signal that BrainFlow holds for us."""

RETRY = 2.0
"""Seconds between two attempts to reach a board that was lost."""


class Connection(BaseModel):
    """How to reach a board: BrainFlow's input parameters under their own names."""

    model_config = ConfigDict(extra="forbid")
    mac_address: str = ""
    ip_address: str = ""
    ip_port: int = 0
    ip_protocol: int = 0
    serial_number: str = ""
    other_info: str = ""
    file: str = ""
    master_board: int | None = None
    timeout: int = 0


def _brainflow() -> Any:
    """BrainFlow's board module, with its log off.

    Before Python 3.12, BrainFlow looks for its library in a way that fails, and falls back on pkg_resources,
    which setuptools no longer has: so we tell it where its package is.
    """
    from brainflow import board_shim

    board_shim.files = lambda _: files("brainflow")
    board_shim.BoardShim.disable_board_logger()
    return board_shim


def board_names() -> dict[str, int]:
    """All boards by name, such as ``synthetic``, ``muse_2``, ``cyton``, with BrainFlow's ids."""
    ids = _brainflow().BoardIds
    return {board.name.removesuffix("_BOARD").lower(): int(board) for board in ids if board.name != "NO_BOARD"}


class Description:
    """What BrainFlow knows of a board without touching it.

    Parameters
    ----------
    board
        BrainFlow's id.
    kind
        Which of the board's signals.
    preset
        Which of its streams: boards send slow sensors apart.
    """

    def __init__(self, board: int, kind: str, preset: str):
        module = _brainflow()
        self.preset = {"default": 0, "auxiliary": 1, "ancillary": 2}[preset]
        try:
            found = module.BoardShim.get_board_descr(board, self.preset)
        except module.BrainFlowError:
            raise NodeError(f"BrainFlow: board {board} has no {preset} stream") from None
        kinds = sorted(key.removesuffix("_channels") for key in found if key.endswith("_channels"))
        if f"{kind}_channels" not in found:
            raise NodeError(
                f"BrainFlow: {found.get('name', board)} has no {kind} in its {preset} stream; it has {', '.join(kinds)}"
            )
        self.name = str(found["name"])
        self.rows: list[int] = found[f"{kind}_channels"]
        names = found.get("eeg_names", "").split(",") if kind == "eeg" else []
        if len(names) != len(self.rows):
            names = [f"{kind}{k + 1}" for k in range(len(self.rows))]
        self.channels = tuple(names)
        self.rate = float(found["sampling_rate"])
        self.unit = "uV" if kind in ("eeg", "emg", "ecg", "eog") else ""
        self.time_row: int = found["timestamp_channel"]
        self.package_row: int | None = found.get("package_num_channel")


class BrainFlow(Source):
    """Samples of a board that BrainFlow speaks to: headsets, amplifiers, or its synthetic one.

    EEG, EMG, ECG and EOG are in µV. Times are BrainFlow's, mapped to the run's clock, so that a step of the
    system's clock does not show. A hole in the package numbers (once the usual step is known, after 32
    packages) or a stamp that is late by more than 1.5 periods plus ``gap`` is reported as ``gap`` and starts
    a new segment. When nothing has come for ``lost_after`` seconds, the stream counts as lost, and the board
    is opened anew until it answers.
    """

    o = SignalOut()

    def __init__(
        self,
        board: int | str = "synthetic",
        serial_port: str = "",
        connection: Connection | None = None,
        kind: Kind = "eeg",
        preset: Preset = "default",
        channels: list[str] | None = None,
        lost_after: Annotated[float, Unit("s"), Gt(0)] = 5.0,
        gap: Annotated[float, Unit("s"), Ge(0)] = 0.25,
    ):
        """Describe the board.

        board: BrainFlow's id or name, such as synthetic, muse_2, cyton, cyton_daisy, ganglion.
        serial_port: port of the dongle, such as /dev/ttyUSB0 or COM3.
        connection: BrainFlow's other input parameters, such as mac_address, ip_address, serial_number.
        kind: which of the board's signals.
        preset: which of the board's streams: some send motion and optics apart.
        channels: names in the order of the electrodes, where they do not sit where the board says.
        lost_after: seconds without a sample after which the board counts as lost.
        gap: how late a stamp may be: radio and USB deliver in bursts.
        """
        self.board, self.serial_port = board, serial_port
        self.connection = connection if connection is not None else Connection()
        self.kind, self.preset, self.channels = kind, preset, channels
        self.lost_after, self.gap = lost_after, gap
        self._description: Description | None = None
        self._shim: Any = None
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._lost = False
        self._opened = False
        self._heard = 0
        self._segment = 0
        self._missing = ""

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """Channels, rate and unit as BrainFlow states them for the board."""
        found = self._describe()
        return {"o": SignalSpec(self._names(found), found.rate, found.unit)}

    def _id(self) -> int:
        names = board_names()
        if isinstance(self.board, int):
            if self.board not in names.values():
                raise NodeError(f"BrainFlow: there is no board {self.board}")
            return self.board
        if self.board not in names:
            raise NodeError(f"BrainFlow: there is no board {self.board!r}; there are {', '.join(sorted(names))}")
        return names[self.board]

    def _describe(self) -> Description:
        if self._description is None:
            board, master = self._id(), self.connection.master_board
            self._description = Description(board if master is None else master, self.kind, self.preset)
        return self._description

    def _names(self, found: Description) -> tuple[str, ...]:
        if self.channels is None:
            return found.channels
        if len(self.channels) != len(found.channels):
            raise NodeError(
                f"BrainFlow: channels has {len(self.channels)} names; {found.name} has "
                f"{len(found.channels)} channels: {', '.join(found.channels)}"
            )
        return tuple(self.channels)

    def start(self) -> None:
        """Open the board.

        Raises
        ------
        DeviceError
            When it does not answer.
        """
        found = self._describe()
        self._channels = self._names(found)
        self._stamps = Stamps(found.rate, self.gap)
        self._packages = PackageCounter()
        self._open()

    def _open(self) -> None:
        module = _brainflow()
        found = self._describe()
        params = module.BrainFlowInputParams()
        params.serial_port = self.serial_port
        for key, value in self.connection.model_dump(exclude_none=True).items():
            setattr(params, key, value)
        shim = module.BoardShim(self._id(), params)
        try:
            shim.prepare_session()
            shim.start_stream(round(found.rate * BUFFER))
        except module.BrainFlowError as error:
            if shim.is_prepared():
                shim.release_session()
            where = self.serial_port or self.connection.mac_address or self.connection.ip_address
            where = f" at {where}" if where else ""
            raise DeviceError(
                f"{self.id or 'BrainFlow'}: {found.name}{where} does not answer "
                f"({error}); is it switched on, in reach and free, and is serial_port or connection right?"
            ) from None
        self._shim, self._heard = shim, self.clock.now()

    def poll(self, timeout: float) -> list[Arrival]:
        """Wait for samples, looking every 10 ms."""
        with self._lock:
            deadline = self.clock.now() + nanoseconds(timeout)
            while not self._closing.is_set():
                data = self._fetch()
                if data is not None and data.shape[1]:
                    return [("o", frame) for frame in self._frames(data)]
                left = (deadline - self.clock.now()) / 1e9
                if left <= 0:
                    break
                self._closing.wait(min(left, POLL))
        return []

    def _fetch(self) -> np.ndarray | None:
        """What the board has, shape (n_rows, n); None when it is lost."""
        now = self.clock.now()
        if self._shim is None:
            self._retry(now)
            return None
        module = _brainflow()
        try:
            data: np.ndarray = self._shim.get_board_data(preset=self._describe().preset)
        except module.BrainFlowError:
            self._lose(now, "the board stopped")
            return None
        if data.shape[1]:
            self._heard = now
            if not self._opened or self._lost:
                self._announce("back" if self._lost else "opened", now)
                self._opened, self._lost = True, False
        elif now - self._heard > nanoseconds(self.lost_after):
            self._lose(now, f"no samples for {self.lost_after:g} s")
        return data

    def _lose(self, now: int, reason: str) -> None:
        if not self._lost:
            self._announce("lost", now)
        self._lost, self._missing, self._heard = True, reason, now
        self._release()

    def _retry(self, now: int) -> None:
        if now - self._heard < nanoseconds(RETRY):
            return
        self._heard = now
        try:
            self._open()
        except DeviceError:
            self._heard = self.clock.now()
            return
        self._stamps.cut()
        self._packages.reset()

    def _announce(self, state: Any, now: int) -> None:
        found = self._describe()
        event = Stream(
            source=self.id,
            state=state,
            name=found.name,
            type=self.kind.upper(),
            channels=list(self._channels),
            rate=found.rate,
            unit=found.unit,
        )
        self.report(event, now)

    def _frames(self, data: np.ndarray) -> list[SignalFrame]:
        """Frames of a block of rows, cut at the gaps."""
        found = self._describe()
        times: np.ndarray = np.rint(data[found.time_row] * 1e9).astype(np.int64)
        if isinstance(self.clock, LiveClock):
            times -= self.clock.drift()
        values = np.ascontiguousarray(data[found.rows].T)
        holes = [] if found.package_row is None else self._packages(data[found.package_row])
        frames = []
        bounds = [0, *(hole for hole in holes if hole), len(times)]
        for start, stop in pairwise(bounds):
            if start in holes:
                self._stamps.cut()
                self._missing = self._missing or "packages are missing"
            frames += [self._frame(values[start:stop], piece) for piece in self._stamps(times[start:stop])]
        return frames

    def _frame(self, values: np.ndarray, piece: Piece) -> SignalFrame:
        found = self._describe()
        if piece.gap is not None:
            self._segment += 1
            before, after = piece.gap
            event = Gap(
                source=self.id,
                start_ns=before,
                seconds=(after - before) / 1e9,
                reason=self._missing or "stamps are missing",
            )
            self.report(event, int(piece.times[0]))
            self._missing = ""
        return SignalFrame(
            piece.times,
            values[piece.start : piece.stop],
            self._channels,
            found.rate,
            found.unit,
            self._segment,
        )

    def _release(self) -> None:
        """Close the board, whatever state it is in."""
        shim, self._shim = self._shim, None
        if shim is None:
            return
        module = _brainflow()
        for close in (shim.stop_stream, shim.release_session):
            try:
                close()
            except module.BrainFlowError:
                continue  # a board that is gone cannot be stopped; it is still released

    def terminate(self) -> None:
        """Stop and release the board."""
        self._closing.set()
        with self._lock:
            self._release()
