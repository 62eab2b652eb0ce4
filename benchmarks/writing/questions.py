"""All questions, in the order of the page."""

from __future__ import annotations

from benchmarks.store import Row
from benchmarks.writing.eeg import eeg
from benchmarks.writing.experiments import Bench, channels, oracle, people, speed, stopping
from benchmarks.writing.leaning import leaning
from benchmarks.writing.learning import learning

QUESTIONS = {
    "oracle": oracle,
    "people": people,
    "channels": channels,
    "eeg": eeg,
    "stopping": stopping,
    "learning": learning,
    "leaning": leaning,
    "speed": speed,
}


def answers(bench: Bench, only: list[str] | None = None) -> dict[str, list[Row]]:
    """The rows of each question, or of some."""
    return {name: list(ask(bench)) for name, ask in QUESTIONS.items() if not only or name in only}
