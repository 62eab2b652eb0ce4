"""What is remembered, as it comes into the prompt."""

from __future__ import annotations

from pathlib import Path

from volition.nodes.text.memory import Memory, own_file
from volition.nodes.text.requests import Request

OWN = "own"
"""Names the memory of this account."""

LINES = 3
"""How many lines are looked for."""

_TURN = 0.5
_TURNS = 2


class Recall:
    """Finds the lines that fit a request, and keeps the sentences that were written.

    Parameters
    ----------
    place
        The file of the memory, or ``own``.

    Raises
    ------
    LoadError
        When the file is there and cannot be read.
    """

    def __init__(self, place: str):
        self.memory = Memory(own_file() if place == OWN else Path(place).expanduser())

    def __call__(self, request: Request) -> tuple[str, ...]:
        """Lines for the prompt, the best first; those of the request's ``recalled``, while the best is among them.

        The words of the text count in full, those of the last turns by half, those attended to by their weight.
        """
        self.memory.refresh()
        query: dict[str, float] = {}
        for phrase, weight in (
            (request.text, 1.0),
            *((turn, _TURN) for turn in request.turns[-_TURNS:]),
            *request.focus,
        ):
            query[phrase] = query.get(phrase, 0.0) + weight
        found = self.memory.search(query, LINES, (request.text, *request.turns))
        lines = tuple(passage.text for passage in found)
        return request.recalled if lines[:1] and lines[0] in request.recalled else lines

    def keep(self, text: str) -> None:
        """Remember a sentence that was written."""
        self.memory.add(text)
