"""How choices turn out, and what an undo brings back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from volition.nodes.decide.belief import NONE, Belief

BY_ERROR = "error potential"
"""The reason of an undo that nobody asked for."""
WRONG = "wrong"
"""The key under which evidence speaks about a choice that was made, and not about an option."""

_REMEMBERED = 32


@dataclass
class Taken:
    """A choice, and what it was made from.

    Attributes
    ----------
    context, text
        What the menu went on from, and what was added to it.
    log_prior
        Of every option and none, with what was kept from before.
    ratios, log_v
        Log-likelihood ratio, and log V, of each source and option.
    texts
        By option; nothing for ``none``.
    kept
        Log V by option that the menu began with.
    error
        Log-likelihood ratio, so far, that the choice was wrong.
    """

    menu: int
    option: str
    context: str | None
    text: str
    log_prior: Mapping[str, float]
    ratios: Mapping[str, Mapping[str, float]]
    log_v: Mapping[str, Mapping[str, float]]
    texts: Mapping[str, str]
    kept: Mapping[str, float]
    error: float = 0.0

    @classmethod
    def of(cls, belief: Belief, option: str, log_v: Mapping[str, Mapping[str, float]]) -> Taken:
        """The choice of ``option``."""
        return cls(
            menu=belief.menu,
            option=option,
            context=belief.context,
            text=belief.text(option),
            log_prior=belief.start(),
            ratios=belief.ratios(),
            log_v=log_v,
            texts={name: belief.text(name) for name in belief.start()},
            kept=belief.kept,
        )

    def without(self, wrong: float | None) -> dict[str, float]:
        """Log V by text, as a later menu of the same context begins with it.

        For the option that was undone, the signal of the error counts: p(signal | right) / p(signal | wrong) is
        exp(-error). Where the person took it back, log V is at most ``wrong`` as well, since that says more than any
        signal; None where a signal did.
        """
        total = {name: self.kept.get(name, 0.0) for name in self.texts}
        for values in self.log_v.values():
            for name, value in values.items():
                total[name] += value
        total[self.option] -= self.error
        if wrong is not None:
            total[self.option] = min(total[self.option], wrong)
        return {self.texts[name]: value for name, value in total.items()}


class Outcomes:
    """The last choices, and which of them an undo takes back.

    An undo that says its menu takes back the last choice if it is of that menu. One that says none takes back the
    last choice if the text has not gone on since by other means (a letter that was typed, say), which shows in the
    context of the menus. A choice of ``none`` adds nothing that could be taken back: the one before it is meant.
    """

    def __init__(self) -> None:
        self._choices: deque[Taken] = deque(maxlen=_REMEMBERED)
        self._open: Taken | None = None
        self._line: str | None = None
        self._strayed = False

    def show(self, context: str) -> None:
        """A menu came."""
        last = self._last()
        self._strayed = last is not None and context not in (self._line, last.context)

    def take(self, taken: Taken) -> Taken | None:
        """A choice was made; gives the one before it, which has stood, if it had not been undone."""
        stood, self._open = self._open, taken
        self._choices.append(taken)
        self._line = None if taken.context is None else taken.context + taken.text
        self._strayed = False
        return stood

    def wrong(self, menu: int, llr: float) -> bool:
        """Note a signal that the choice of a menu was wrong; whether that is the last choice."""
        if self._open is None or self._open.menu != menu:
            return False
        self._open.error += llr
        return True

    def undo(self, menu: int | None) -> tuple[Taken, bool] | None:
        """The choice that an undo takes back, and whether its outcome is news; None when it is of something else."""
        last = self._last()
        if last is None or not self._meant(last, menu):
            return None
        while self._choices.pop() is not last:
            pass
        news, self._open = self._open is last, None
        self._line = last.context
        return last, news

    def _last(self) -> Taken | None:
        return next((taken for taken in reversed(self._choices) if taken.option != NONE), None)

    def _meant(self, last: Taken, menu: int | None) -> bool:
        if menu is not None:
            return menu == last.menu
        if last.context is None or self._line is None:
            return True
        return not self._strayed and last.context + last.text == self._line
