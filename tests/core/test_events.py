"""The event vocabulary."""

import json

import pytest

from tests.contract.streams import EXAMPLES
from volition.core import EventFrame, FrameError
from volition.core.events import VOCABULARY, parse

LABELS = {
    "stream", "gap", "dropped", "quality", "layout", "flash", "fixation", "evidence", "engagement", "menu",
    "posterior", "choice", "undo", "text", "turn", "focus", "command", "key", "calibration", "state", "error",
}  # fmt: skip


def test_the_vocabulary_is_complete():
    assert set(VOCABULARY) >= LABELS
    assert set(EXAMPLES) == set(VOCABULARY), "tests/contract/streams.py has no example of a label"


@pytest.mark.parametrize("label", sorted(VOCABULARY))
def test_round_trip(label):
    event = parse(label, EXAMPLES[label])
    frame = EventFrame.of(event.at(7))
    time, given, data = next(iter(frame))
    assert (time, given) == (7, label)
    assert parse(label, json.loads(json.dumps(data))) == event
    assert EXAMPLES[label].items() <= data.items()


@pytest.mark.parametrize("label", sorted(VOCABULARY))
def test_unknown_fields_are_refused(label):
    with pytest.raises(FrameError, match=f"event {label}: mistake"):
        parse(label, {**EXAMPLES[label], "mistake": 1})


@pytest.mark.parametrize("label", sorted(VOCABULARY))
def test_missing_fields_are_refused_by_name(label):
    for name, field in VOCABULARY[label].model_fields.items():
        if field.is_required():
            with pytest.raises(FrameError, match=f"event {label}: {name}"):
                parse(label, {k: v for k, v in EXAMPLES[label].items() if k != name})


def test_unknown_labels_are_refused():
    with pytest.raises(FrameError, match=r"'flsh' is no event; the vocabulary is .*flash"):
        parse("flsh", {})


def test_probabilities_are_probabilities():
    with pytest.raises(FrameError, match="p_none"):
        parse("menu", {**EXAMPLES["menu"], "p_none": 1.5})
    with pytest.raises(FrameError, match="state"):
        parse("stream", {"source": "eeg", "state": "vanished"})
