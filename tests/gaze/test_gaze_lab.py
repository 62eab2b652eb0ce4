"""Evaluating gaze evidence through gaze.yaml, on a real session."""

from pathlib import Path

import pytest

from tests.data import data_path
from volition.core import EventFrame, SessionError
from volition.lab.gaze import evaluate, prompts_of
from volition.sessions.convert import import_file

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
TOBII = "gaze/tobii_matrix_speller/eyetracker_data_tobii-p0.csv.gz"


def cues(*pairs: tuple[float, str, int]) -> EventFrame:
    return EventFrame.of(
        *((T0 + round(s * SECOND), "calibration", {"step": "cue", "target": t, "menu": m}) for s, t, m in pairs)
    )


def layouts(*pairs: tuple[float, int]) -> EventFrame:
    box = {"id": "a", "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
    data = {"boxes": [box], "unit": "norm"}
    return EventFrame.of(*((T0 + round(s * SECOND), "layout", data | {"menu": m}) for s, m in pairs))


def test_prompts_end_after_their_flashes_or_at_the_next():
    flash = EventFrame.of((T0 + 2 * SECOND, "flash", {"ids": ["a"], "menu": 0}))
    prompts = prompts_of(layouts((1, 0), (9, 1), (15, 2)), cues((1, "a", 0), (9, "a", 1)), flash, 3 * SECOND)
    assert sorted(prompts) == [0, 1]
    assert prompts[0][:3] == (T0 + SECOND, T0 + 5 * SECOND, "a")
    assert prompts[1][:3] == (T0 + 9 * SECOND, T0 + 15 * SECOND, "a")
    with pytest.raises(SessionError, match="nothing to evaluate"):
        prompts_of(layouts((1, 0)), cues((1, "a", 5)), None, SECOND)


@pytest.mark.slow
def test_the_prompted_key_of_a_real_session(tmp_path: Path):
    """A Tobii matrix speller: at least 54 of 55 prompts, and the same bytes for every tick."""
    [session] = import_file(data_path(TOBII), tmp_path / "gaze.xdf")
    found = [evaluate(session, chunk=chunk) for chunk in (10, 26, 256)]
    assert len({f["sha256"] for f in found}) == 1
    for answer in found:
        assert answer["prompts_total"] == 55
        assert answer["prompts_right"] >= 54
        assert answer["log_loss"] < 0.15
        assert 28 < answer["error_px_median"] < 34
