"""``python -m benchmarks.replay [--json]``: replay speed against a plain loop over the same chunks."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core, and no thread pool for matrices of 16 x 16
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt, sosfilt_zi

from benchmarks.report import show
from volition.core.frames import EpochFrame, EventFrame, SignalFrame
from volition.engine.replay import replay
from volition.nodes.eeg.erp_fit import Settings, fit

HERE = Path(__file__).parent
RATE, CHANNELS, CHUNK, SECONDS, RUNS = 256, 8, 26, 300, 5
START = 1_700_000_000_000_000_000


def session(flashes_a_second: float) -> dict[str, SignalFrame | EventFrame]:
    """Noise, and flashes of which every sixth is a target."""
    rng = np.random.default_rng(0)
    n = RATE * SECONDS
    times = START + np.round(np.arange(n) / RATE * 1e9).astype(np.int64)
    values = rng.normal(scale=10.0, size=(n, CHANNELS))
    names = tuple(f"ch{k}" for k in range(CHANNELS))
    onsets = np.arange(0.5, SECONDS - 1.5, 1 / flashes_a_second)
    events = [
        (START + round(t * 1e9), "flash", {"ids": [str(k % 6)], "menu": k // 60, "target": k % 6 == 0})
        for k, t in enumerate(onsets)
    ]
    return {"eeg": SignalFrame(times, values, names, float(RATE), "uV"), "flash": EventFrame.of(*events)}


def bare(data: dict[str, SignalFrame | EventFrame]) -> float:
    """The plain loop: filter each chunk, keep a second of it, slice epochs. Real-time factor."""
    eeg, flash = data["eeg"], data["flash"]
    onsets = np.searchsorted(eeg.times, flash.times)
    sos = butter(4, (0.5, 12.0), "bandpass", fs=RATE, output="sos")
    begin = time.perf_counter()
    state = sosfilt_zi(sos)[:, :, None] * eeg.values[0]
    length = round(0.8 * RATE)
    buffer = np.empty((0, CHANNELS))
    k, kept = 0, 0
    for at in range(0, len(eeg), CHUNK):
        filtered, state = sosfilt(sos, eeg.values[at : at + CHUNK], axis=0, zi=state)
        buffer = np.concatenate([buffer[-2 * RATE :], filtered])
        end = min(at + CHUNK, len(eeg))
        while k < len(onsets) and onsets[k] + length <= end:
            first = onsets[k] - (end - len(buffer))
            kept += buffer[first : first + length].copy().shape[0]
            k += 1
    assert kept == len(onsets) * length
    return SECONDS / (time.perf_counter() - begin)


def model(folder: Path) -> str:
    """A decoder fitted to the noise: as fast as any other."""
    data = session(8)
    result = replay(HERE / "erp.yaml", data, upto="erp", taps=[("epochs", "o")], digest=False)
    frames: list[EpochFrame] = result.taps["epochs", "o"]
    whole = EpochFrame(
        np.concatenate([f.times for f in frames]),
        np.concatenate([f.values for f in frames]),
        frames[0].channels,
        [d for f in frames for d in f.data],
        np.concatenate([f.ready for f in frames]),
        frames[0].rate,
        frames[0].start,
        frames[0].unit,
    )
    targets = np.array([d["target"] for d in whole.data])
    fit(whole, targets, "band-pass", Settings(n_filters=(4,), penalties=(0.1,))).model.save(folder / "m.skops")
    return str(folder / "m.skops")


def main() -> None:
    """Measure, interleaved, and print the medians."""
    slow, fast = session(1), session(8)
    with tempfile.TemporaryDirectory() as folder:
        override = {"erp": {"model": model(Path(folder))}}
        figures: dict[str, list[float]] = {"bare": [], "bandpass_epochs": [], "erp": []}
        for _ in range(RUNS):
            figures["bare"].append(bare(slow))
            result = replay(HERE / "bandpass_epochs.yaml", slow, chunk=CHUNK)
            figures["bandpass_epochs"].append(result.realtime_factor)
            result = replay(HERE / "erp.yaml", fast, chunk=CHUNK, override=override)
            figures["erp"].append(result.realtime_factor)
    medians = {f"{name}_realtime_factor": round(statistics.median(f), 1) for name, f in figures.items()}
    base = medians["bare_realtime_factor"]
    show(
        f"replay, {CHANNELS} channels at {RATE} Hz in frames of {CHUNK} samples, median of {RUNS} runs",
        ["what", "x real time", "of bare"],
        [[name.removesuffix("_realtime_factor"), value, value / base] for name, value in medians.items()],
        medians,
    )


if __name__ == "__main__":
    main()
