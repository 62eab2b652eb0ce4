"""Recording of everything that reaches a node, as an XDF session.

The only node that stands on ``volition.sessions``, which stands on the core alone, as nodes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volition.core import EpochFrame, EpochsSpec, EventFrame, Node, NodeError, SessionError, SignalFrame, Spec
from volition.core.clock import SECOND, LiveClock
from volition.core.events import Dropped, Error, State
from volition.core.ports import AnyIn
from volition.sessions.manifest import new_manifest
from volition.sessions.writer import SessionWriter, unused_path
from volition.sessions.xdf import FLUSH_NS

_DRIFT_INTERVAL = 60 * SECOND
_REFUSAL = "which cannot be recorded; record the signal and its events"


class Record(Node):
    """Records what arrives at its inputs, one stream an input, in an XDF file with a manifest beside it.

    The stream is called as the input without ``i_``. A killed process loses the last second at most. Epochs
    are not recorded; that is reported once. A file that exists is never overwritten: the recording goes to
    NAME-2.xdf, and a ``state`` event says where. When the disk is full, an ``error`` event says so, the graph
    stops, and the file stays readable. In a replay nothing is recorded.
    """

    many = AnyIn("i_*")

    hears_reports = True

    about: Mapping[str, Any] | None = None
    """Set by the engine before the start: fields for the manifest (app, models, seeds)."""

    def __init__(self, path: str):
        """path: the file to write, NAME.xdf; its folder must exist."""
        self._path = Path(path)
        self._writer: SessionWriter | None = None
        self._flush_at: int | None = None
        self._refused: set[str] = set()
        self._announced = False
        self._drift: list[tuple[int, int]] = []

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        """Nothing comes out; a NodeError for epochs, and for a path that is not NAME.xdf."""
        if self._path.suffix != ".xdf":
            raise NodeError(f"path: a recording is a file NAME.xdf, not {str(self._path)!r}")
        for name, spec in inputs.items():
            if isinstance(spec, EpochsSpec):
                raise NodeError(f"{name} carries epochs, {_REFUSAL}")
        return {}

    def start(self) -> None:
        """Open the file."""
        if self.muted:
            return
        # The clock's time goes into the manifest only; nothing that is recorded depends on it.
        manifest = {**new_manifest(self.clock.now()), **(self.about or {})}
        self._writer = SessionWriter(unused_path(self._path), self._utc_offset(), manifest)
        self._announced = False

    def update(self) -> None:
        """Append what arrived; twice a second, bring it to the file."""
        if self._writer is None:
            if self.muted:
                return
            raise NodeError(f"{self.id or 'Record'}: the recording is closed")
        if not self._announced:
            self._announced = True
            self.report(State(state="recording", source=self.id, detail={"path": str(self._writer.path)}))
        try:
            for name, port in self.ports.items():
                if port:
                    self._write(self._writer, name, port.frame)
            self._flush(self._writer)
        except SessionError as error:
            self._writer = None
            self.report(Error(source=self.id, message=str(error)))
            raise
        self._note_drift()

    def terminate(self) -> None:
        """Write what waits, and close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self.wake = None
            writer.close(clock_drift=self._drift)

    def _utc_offset(self) -> int | None:
        """UTC minus LSL's clock in ns; None under a virtual clock: the file's begins with its data."""
        return self.clock.utc_offset if isinstance(self.clock, LiveClock) else None

    def _note_drift(self) -> None:
        """Once a minute, how far the system's UTC has moved from the run's; for the manifest."""
        if isinstance(self.clock, LiveClock) and (not self._drift or self.now - self._drift[-1][0] >= _DRIFT_INTERVAL):
            self._drift.append((self.now, self.clock.drift()))

    def _write(self, writer: SessionWriter, name: str, frame: SignalFrame | EventFrame | EpochFrame) -> None:
        if not isinstance(frame, EpochFrame):
            writer.write(name.removeprefix("i_"), frame)
        elif name not in self._refused:
            self._refused.add(name)
            reason = f"{name} carries epochs, {_REFUSAL}"
            self.report(Dropped(source=self.id, what="epochs", count=len(frame), reason=reason))

    def _flush(self, writer: SessionWriter) -> None:
        if not writer.pending:
            self._flush_at = None
        elif self._flush_at is None:
            self._flush_at = self.now + FLUSH_NS
        elif self.now >= self._flush_at:
            writer.flush()
            self._flush_at = None
        self.wake = self._flush_at
