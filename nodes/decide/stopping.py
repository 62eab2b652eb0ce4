"""When the evidence is enough.

Three rules, each a bound that a number has to reach:

    threshold   p of the best >= threshold
    margin      p of the best - p of the second >= margin
    cost        (1 - p of the best) undo_cost <= look_cost,   that is p >= 1 - look_cost / undo_cost

**Where the default of the cost comes from.** A wrong choice costs U seconds. Looking on until the error is e takes
about log(1 / e) / D looks of L seconds each, D being the nats that a look adds to the log odds of what is attended to.
The sum e U + (L / D) log(1 / e) is least at

    e* = (L / D) / U

(the sequential test of Wald 1945, Ann. Math. Statist. 16, with the stopping bound that Chernoff 1959, ibid. 30, shows
to be asymptotically best). So ``look_cost`` is L / D, the time that one nat takes. Looks that hit the right one of five
options 95 % of the time have D = (0.95 - 0.05 / 4) log(0.95 / (0.05 / 4)) = 4.06 nats; at 0.3 s a look, a nat takes
0.074 s. A wrong choice is seen, undone, and made again: three times the 2.5 s of a choice. Hence 0.075 s and 7.5 s, and
p >= 0.99, the default of ``threshold`` as well. Simulated, two agreeing looks are then needed: 0.1 % of choices are
wrong. Stopping after one takes the same time (within 3 %, wrong choices included), with 5 % of choices wrong.

``none`` may need less. A wrong one costs a menu and changes no text; and where ``none`` is no place on the screen, it
is found by elimination only: each source can speak against the options up to the factor 1 - pi, so that two of
reliability 0.95 bring a ``none`` of prior 0.1 to 0.978, however long they are listened to.

A bound can lie beyond what a source can ever say. Gaze with the defaults of GazeOnBox ends at V of about 66 for what is
looked at and 0.1 for the rest, which takes an option of prior 0.03 to 0.95: with gaze alone, take a lower threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

Rule = Literal["threshold", "margin", "cost"]


def nats_per_look(accuracy: float, n_options: int) -> float:
    """What a look adds on average to the log odds of what is attended to, against one other option.

    A look hits the right option with the probability ``accuracy``, else any of the others alike.

    >>> round(nats_per_look(0.95, 5), 2)
    4.06
    """
    miss = (1 - accuracy) / (n_options - 1)
    return (accuracy - miss) * math.log(accuracy / miss)


def bound_of_cost(undo_cost: float, look_cost: float) -> float:
    """The probability from which taking an option costs less than looking on; never below 0.

    >>> round(bound_of_cost(7.5, 0.075), 4)
    0.99
    """
    return max(0.0, 1.0 - look_cost / undo_cost)


def reached(rule: Rule, bound: float, best: Any, second: Any) -> Any:
    """Whether the two highest probabilities, numbers or arrays, are enough; a bound of 1 is for never."""
    value = best - second if rule == "margin" else best
    return (bound < 1.0) & (value >= bound)


def two_best(p: Mapping[str, float]) -> tuple[float, float]:
    """The two highest probabilities; the second is 0 where there is one."""
    ordered = sorted(p.values(), reverse=True)
    return ordered[0], ordered[1] if len(ordered) > 1 else 0.0


def winner(p: Mapping[str, float], log_v: Mapping[str, float]) -> str | None:
    """The likeliest option; None while the evidence speaks more for another one, and when two are equal.

    A menu's prior alone can pass a threshold. Without this a person would be made to choose by not having
    looked.
    """
    best = max(p, key=lambda name: p[name])
    if list(p.values()).count(p[best]) > 1:
        return None
    return best if log_v[best] >= max(log_v.values()) else None
