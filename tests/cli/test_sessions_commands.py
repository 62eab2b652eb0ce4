"""``import``, ``calibrate`` and ``evaluate``: what they pass on, what they print, how they fail."""

import json

import pytest

from tests.cli.command import answer, call
from tests.data import data_path
from volition.core.errors import SessionError
from volition.lab import erp, gaze

MODEL = {"auc": 0.81234, "letters_right": 4, "letters_total": 5, "flashes": 900, "targets": 150}


@pytest.fixture
def session(tmp_path):
    path = tmp_path / "s.xdf"
    path.touch()
    return str(path)


def test_calibrate_passes_everything_on(monkeypatch, session, tmp_path):
    seen = {}

    def calibrate(*arguments, **options):
        options.pop("progress")(0.5)
        seen.update(arguments=[str(a) for a in arguments], options=options)
        return MODEL

    monkeypatch.setattr(erp, "calibrate", calibrate)
    out = str(tmp_path / "m.skops")
    arguments = ("calibrate", "erp", session, "-o", out, "--graph", "mine.yaml", "--skip", "2")
    assert answer(*arguments) == MODEL
    assert seen == {"arguments": [session, out, "mine.yaml"], "options": {"skip": 2.0}}
    assert "AUC 0.812, 4 of 5 letters" in call(*arguments).stdout


def test_evaluate_erp_passes_everything_on(monkeypatch, session):
    seen = {}

    def evaluate(*arguments, **options):
        options.pop("progress")(0.5)
        seen.update(arguments=[str(a) for a in arguments], options=options)
        return {**MODEL, "letters": "WATEQ", "target_letters": "WATER", "notes": ["the filters differ"]}

    monkeypatch.setattr(erp, "evaluate", evaluate)
    result = call("evaluate", "erp", session, "--model", "m.skops", "--chunk", "10", "--json")
    assert json.loads(result.stdout)["auc"] == MODEL["auc"]
    assert "note: the filters differ" in result.stderr
    assert seen == {"arguments": [session, "m.skops", "p300.yaml"], "options": {"chunk": 10}}
    assert "WATEQ for WATER" in call("evaluate", "erp", session, "--model", "m.skops").stdout


def test_evaluate_gaze_passes_everything_on(monkeypatch, session):
    seen = {}

    def evaluate(*arguments, **options):
        options.pop("progress")(0.5)
        seen.update(arguments=[str(a) for a in arguments], options=options)
        return {"prompts_right": 54, "prompts_total": 55}

    monkeypatch.setattr(gaze, "evaluate", evaluate)
    assert answer("evaluate", "gaze", session, "--seconds", "2") == {"prompts_right": 54, "prompts_total": 55}
    assert seen == {"arguments": [session, "gaze.yaml"], "options": {"seconds": 2.0, "chunk": 26}}
    assert "54 of 55 prompts" in call("evaluate", "gaze", session).stdout


def test_what_went_wrong_is_one_sentence(monkeypatch, session):
    def evaluate(*arguments, **options):
        raise SessionError("the flashes do not say which held the target")

    monkeypatch.setattr(erp, "evaluate", evaluate)
    result = call("evaluate", "erp", session, "--model", "m.skops")
    assert result.exit_code == 2
    assert result.stderr == "error: the flashes do not say which held the target\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "no-such-file.mat", "-o", "o.xdf"),
        ("calibrate", "erp", "no-such-session.xdf", "-o", "m.skops"),
        ("calibrate", "erp", "s.xdf", "-o", "no-such-folder/m.skops"),
        ("evaluate", "erp", "no-such-session.xdf", "--model", "m.skops"),
        ("evaluate", "gaze", "no-such-session.xdf"),
    ],
)
def test_what_is_missing_is_named(arguments):
    result = call(*arguments)
    assert result.exit_code == 2
    assert "no-such" in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
def test_a_real_gaze_recording_from_import_to_figure(tmp_path):
    source = data_path("gaze/tobii_matrix_speller/eyetracker_data_tobii-p0.csv.gz")
    out = tmp_path / "g.xdf"
    imported = answer("import", str(source), "-o", str(out))
    assert imported["sessions"] == [{"path": str(out), "bytes": out.stat().st_size}]
    assert imported["notes"]
    found = answer("evaluate", "gaze", str(out))
    assert found["prompts_total"] == 55
    assert found["prompts_right"] >= 54
