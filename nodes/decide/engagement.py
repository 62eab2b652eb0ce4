"""What engagement changes: how far sources are relied on, how sure a choice has to be, how long it takes at least.

It is never evidence for one option. z says how many spreads the engagement index lies from the person's own beginning;
slack is 0 at z = 0, 1 from z = -2 down, -1/2 from z = 1 up, and linear between:

    reliability   pi (1 - a slack)              at most the highest that it may become; 0 stays 0
    threshold     1 - (1 - t) (1 - b slack)     the error that is allowed shrinks; 1 (never) stays 1
    dwell         d (1 + c slack)

with a, b, c in 0..1. A person who is less engaged is asked for more, one who is more engaged for a little less. Which
amounts serve a person best is not known: the defaults are small on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

LOW_Z = -2.0
HIGH_SLACK = -0.5


def slack(z: float) -> float:
    """From -1/2 (engaged) to 1 (not engaged); falls with z.

    >>> [slack(z) for z in (-4.0, -2.0, 0.0, 0.5, 3.0)]
    [1.0, 1.0, 0.0, -0.25, -0.5]
    """
    return max(HIGH_SLACK, min(1.0, z / LOW_Z)) + 0.0


def faded(z: float, age: float, fresh: float) -> float:
    """What is left of z, ``age`` seconds after it was measured: all up to ``fresh``, nothing from twice that on."""
    return z * max(0.0, min(1.0, 2.0 - age / fresh))


@dataclass(frozen=True)
class Influence:
    """How far engagement may move things: a, b and c of this module, each in 0..1."""

    reliability: float = 0.1
    threshold: float = 0.5
    dwell: float = 0.5

    def on_reliability(self, pi: float, z: float, cap: float) -> float:
        """The reliability in force; ``cap`` is the most that it may become."""
        return min(cap, pi * (1 - self.reliability * slack(z)))

    def on_threshold(self, threshold: float, z: float) -> float:
        """The threshold, or margin, in force."""
        return max(0.0, 1 - (1 - threshold) * (1 - self.threshold * slack(z)))

    def on_dwell(self, dwell: float, z: float) -> float:
        """The shortest time from a menu to its choice in force, in the unit of ``dwell``."""
        return dwell * (1 + self.dwell * slack(z))
