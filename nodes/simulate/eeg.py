"""The EEG of a simulated person who looks at flashes.

Background: 1/f noise that neighbouring electrodes share, an alpha rhythm at the back of the head, white
sensor noise. On top, each flash evokes a small visual response, and one that the person attends to an N2
and a P3. The shapes are textbook ones (Luck 2014, An Introduction to the Event-Related Potential Technique,
chapter 3), not fitted to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from scipy.signal import lfilter

from volition.core import (
    EventsIn,
    Ge,
    Gt,
    LoadError,
    Node,
    SignalFrame,
    SignalOut,
    SignalSpec,
    Spec,
    Unit,
)
from volition.core.clock import SECOND, nanoseconds

POSITIONS: dict[str, tuple[float, float]] = {
    "Fp1": (-0.3, 0.9), "Fp2": (0.3, 0.9), "F7": (-0.8, 0.55), "F3": (-0.4, 0.5), "Fz": (0.0, 0.45),
    "F4": (0.4, 0.5), "F8": (0.8, 0.55), "T7": (-0.95, 0.0), "C3": (-0.47, 0.0), "Cz": (0.0, 0.0),
    "C4": (0.47, 0.0), "T8": (0.95, 0.0), "P7": (-0.8, -0.55), "P3": (-0.4, -0.5), "Pz": (0.0, -0.45),
    "P4": (0.4, -0.5), "P8": (0.8, -0.55), "PO7": (-0.55, -0.75), "PO8": (0.55, -0.75), "O1": (-0.3, -0.9),
    "Oz": (0.0, -0.92), "O2": (0.3, -0.9), "TP9": (-0.98, -0.3), "TP10": (0.98, -0.3), "AF7": (-0.55, 0.75),
    "AF8": (0.55, 0.75),
}  # fmt: skip
"""Electrodes of the 10-20 system on the unit disc seen from above: x to the right ear, y to the nose."""

Component = tuple[float, float, float, tuple[float, float], float]

VISUAL: tuple[Component, ...] = (
    (0.100, 0.016, 0.5, (0.0, -0.9), 0.5),
    (0.155, 0.020, -0.7, (0.0, -0.85), 0.6),
)
"""Of every flash, P1 and N1: latency s, width s (SD), amplitude, centre on the head, extent (SD)."""

ATTENDED: tuple[Component, ...] = (
    (0.215, 0.028, -0.7, (0.0, -0.8), 0.6),
    (0.350, 0.055, 1.0, (0.0, -0.3), 0.6),
)
"""Of an attended flash, N2 and P3; amplitudes as parts of the P3."""

RESPONSE_SECONDS = 0.7

TIME_CONSTANTS = (0.004, 0.016, 0.064, 0.256, 1.024)
"""Of the AR(1) processes, in s: log-spaced, of equal variance, they add up to 1/f (Milotti 1995, Phys. Rev. E
51, 3087)."""


def topography(channels: tuple[str, ...], centre: tuple[float, float], extent: float) -> np.ndarray:
    """Weight of a component at each channel, shape (n_channels,): Gaussian in the distance on the disc."""
    places = np.array([POSITIONS[c] for c in channels])
    weights: np.ndarray = np.exp(-((places - np.array(centre)) ** 2).sum(axis=1) / (2 * extent**2))
    return weights


def response(channels: tuple[str, ...], components: tuple[Component, ...], seconds: np.ndarray) -> np.ndarray:
    """The sum of ``components`` at ``seconds`` after the flash, shape (n_times, n_channels).

    It is exactly zero before 40 ms, which is time for the news of a flash to arrive.
    """
    wave = np.zeros((len(seconds), len(channels)))
    for latency, width, amplitude, centre, extent in components:
        course = amplitude * np.exp(-((seconds - latency) ** 2) / (2 * width**2))
        wave += np.outer(course, topography(channels, centre, extent))
    wave[(seconds < 0.04) | (seconds > RESPONSE_SECONDS)] = 0.0
    return wave


class Background:
    """1/f noise, alpha and sensor noise; the same samples however many are asked for at a time.

    Parameters
    ----------
    rate
        In Hz.
    noise, alpha
        Standard deviations of the 1/f noise at each channel and of alpha at Oz, in µV.
    """

    def __init__(self, channels: tuple[str, ...], rate: float, noise: float, alpha: float, rng: np.random.Generator):
        self._rng = rng
        places = np.array([POSITIONS[c] for c in channels])
        distance = np.linalg.norm(places[:, None] - places, axis=2)
        # Shared over some 6 cm; the small diagonal keeps electrodes at one place apart.
        covariance = np.exp(-((distance / 0.6) ** 2)) + 0.02 * np.eye(len(channels))
        self._mixing = np.linalg.cholesky(covariance / 1.02).T * noise / np.sqrt(len(TIME_CONSTANTS))
        self._poles = [np.exp(-1 / (rate * tau)) for tau in TIME_CONSTANTS]
        self._slow = [np.zeros((1, len(channels))) for _ in self._poles]
        pole = 0.985 * np.exp(2j * np.pi * 10 / rate)
        self._alpha_filter = np.array([1.0, -2 * pole.real, abs(pole) ** 2])
        a1, a2 = -self._alpha_filter[1], -self._alpha_filter[2]
        deviation = np.sqrt((1 - a2) / ((1 + a2) * ((1 - a2) ** 2 - a1**2)))  # of an AR(2) process
        self._alpha_gain = alpha / deviation * topography(channels, (0.0, -0.92), 0.6)
        self._alpha_state = np.zeros(2)
        self._sensor = 0.1 * noise

    def __call__(self, n: int) -> np.ndarray:
        """The next ``n`` samples in µV, shape (n, n_channels)."""
        n_channels, n_slow = len(self._mixing), len(self._poles)
        white = self._rng.standard_normal((n, n_channels * (n_slow + 1) + 1))
        parts = white[:, :-1].reshape(n, n_slow + 1, n_channels)
        slow = np.zeros((n, n_channels))
        for k, pole in enumerate(self._poles):
            gain = np.sqrt(1 - pole**2)
            wave, self._slow[k] = lfilter([gain], [1.0, -pole], parts[:, k], axis=0, zi=self._slow[k])
            slow += wave
        rhythm, self._alpha_state = lfilter([1.0], self._alpha_filter, white[:, -1], zi=self._alpha_state)
        # One product a channel: a matrix product may round differently with the number of rows.
        mixed = sum(slow[:, [j]] * self._mixing[j] for j in range(n_channels))
        samples: np.ndarray = mixed + np.outer(rhythm, self._alpha_gain) + self._sensor * parts[:, -1]
        return samples


class SimulatedEeg(Node):
    """The EEG of a simulated person who attends to one of the boxes that flash.

    A timer: it gives the samples up to now on a grid that begins at its first tick. A flash whose ids
    contain what the person attended to at that time evokes N2 and P3; what it adds to samples already given
    is lost (the first 40 ms of a response are silent). Same samples however the ticks fall.
    """

    i_flash = EventsIn("flash", optional=True)
    i_attend = EventsIn("calibration", optional=True)
    o = SignalOut(unit="uV")

    def __init__(
        self,
        rate: Annotated[float, Unit("Hz"), Gt(0)] = 256.0,
        channels: tuple[str, ...] = ("Fz", "Cz", "P3", "Pz", "P4", "PO7", "Oz", "PO8"),
        noise: Annotated[float, Unit("uV"), Ge(0)] = 8.0,
        alpha: Annotated[float, Unit("uV"), Ge(0)] = 4.0,
        p3: Annotated[float, Unit("uV"), Ge(0)] = 8.0,
        every: Annotated[float, Unit("s"), Gt(0)] = 0.02,
    ):
        """rate: samples a second.

        channels: electrodes of the 10-20 system.
        noise: standard deviation of the 1/f noise.
        alpha: standard deviation of the alpha rhythm at the back of the head.
        p3: amplitude of the response to an attended flash; 0 for a person who attends to nothing.
        every: time between two chunks of samples.
        """
        unknown = [c for c in channels if c not in POSITIONS]
        if unknown or not channels:
            raise LoadError(
                f"channels: {', '.join(map(repr, unknown)) or 'an empty list'} cannot be simulated; "
                f"there are {', '.join(POSITIONS)}"
            )
        self._rate, self._channels, self._every = rate, channels, nanoseconds(every)
        self._noise, self._alpha, self._p3 = noise, alpha, p3
        self._origin: int | None = None
        self._given = 0
        self._attended: list[tuple[int, str, int | None]] = []
        self._responses: list[tuple[int, bool, float]] = []

    def start(self) -> None:
        # Apart, so that the number of flashes does not change the noise.
        noise_rng, self._response_rng = self.rng.spawn(2)
        self._background = Background(self._channels, self._rate, self._noise, self._alpha, noise_rng)

    def infer(self, inputs: Mapping[str, Spec]) -> Mapping[str, Spec]:
        return {"o": SignalSpec(self._channels, self._rate, "uV")}

    def update(self) -> None:
        if self._origin is None:
            self._origin = self.now
        for time, _, data in self.i_attend.select("calibration"):
            if data.get("step") == "attend":
                self._attended.append((time, data.get("target", ""), data.get("menu")))
        for time, _, data in self.i_flash.select("flash"):
            # A brain does not answer twice alike: 20 % of variation.
            strength = float(np.clip(1 + 0.2 * self._response_rng.standard_normal(), 0.2, 2.0))
            self._responses.append((time, self._attends(time, data), strength))
        last = int((self.now - self._origin) * self._rate / SECOND)
        if last >= self._given:
            self._give(self._origin, last + 1)
        self.wake = self._origin + ((self.now - self._origin) // self._every + 1) * self._every

    def _attends(self, time: int, flash: Mapping[str, Any]) -> bool:
        before = [a for a in self._attended if a[0] <= time]
        if not before:
            return False
        self._attended = self._attended[len(before) - 1 :]
        _, target, menu = before[-1]
        return target in flash["ids"] and (menu is None or menu == flash["menu"])

    def _give(self, origin: int, until: int) -> None:
        index = np.arange(self._given, until)
        self._given = until
        times = origin + np.round(index * (SECOND / self._rate)).astype(np.int64)
        values = self._background(len(times))
        for onset, attended, strength in self._responses:
            seconds = (times - onset) / SECOND
            values += 3.0 * response(self._channels, VISUAL, seconds)
            if attended:
                values += self._p3 * strength * response(self._channels, ATTENDED, seconds)
        self._responses = [r for r in self._responses if times[-1] - r[0] < RESPONSE_SECONDS * SECOND]
        self.o = SignalFrame(times, values, self._channels, self._rate, "uV")
