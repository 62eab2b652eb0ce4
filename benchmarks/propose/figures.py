"""One measured figure, and what it is to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    Attributes
    ----------
    model
        What it was measured of.
    key
        In the JSON object, behind the model's name; ends with the unit.
    what
        In the table.
    value
        The figure; a text where there is none.
    most, least
        What it may be; None for no target.
    """

    model: str
    key: str
    what: str
    value: float | int | str
    most: float | None = None
    least: float | None = None

    @property
    def target(self) -> str:
        """What it is to be, or nothing."""
        if self.most is not None:
            return f"<= {self.most:g}"
        return f">= {self.least:g}" if self.least is not None else ""

    @property
    def met(self) -> str:
        """Whether it is what it is to be: yes, no, or nothing without a target."""
        if isinstance(self.value, str) or not self.target:
            return ""
        high = self.most is not None and self.value > self.most
        low = self.least is not None and self.value < self.least
        return "no" if high or low else "yes"

    def row(self) -> list[str]:
        """As the table shows it."""
        value = self.value
        text = f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else value
        text = f"{text:,.0f}" if isinstance(text, float) else str(text)
        return [self.what, text, self.target, self.met]


def spread(
    model: str,
    key: str,
    what: str,
    values: Sequence[float],
    most: tuple[float | None, float | None] = (None, None),
    tail: float = 99,
) -> list[Figure]:
    """Median and a percentile (100 for the largest) of milliseconds, and the most that each may be."""
    if not values:
        return [Figure(model, f"{key}_ms_p50", f"{what}, p50 ms", "none seen")]
    middle, high = (float(v) for v in np.percentile(values, [50, tail]))
    name = "max" if tail == 100 else f"p{tail:g}"
    return [
        Figure(model, f"{key}_ms_p50", f"{what}, p50 ms", middle, most[0]),
        Figure(model, f"{key}_ms_{name}", f"{what}, {name} ms", high, most[1]),
    ]
