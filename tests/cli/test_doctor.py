"""``volition doctor``: each part says what it found, and a failure has a way out."""

import json

import pytest

from tests.cli.command import call
from volition.cli import doctor as module
from volition.cli.doctor import Finding
from volition.core.errors import LoadError
from volition.nodes.text import find, probe


@pytest.mark.parametrize(
    "check", [module.system, module.processor, module.disk, module.bus, module.clock, module.brainflow]
)
def test_this_machine_is_well(check):
    findings = list(check())
    assert findings
    assert [f for f in findings if f.state == "fail"] == []
    assert all(f.detail for f in findings)


@pytest.mark.slow
def test_a_sample_goes_through_lsl():
    (finding,) = module.lsl()
    assert finding.state == "ok", finding


def test_a_failure_ends_with_one_and_a_way_out(monkeypatch):
    bad = Finding("thing", "fail", "it is broken", "mend it")
    monkeypatch.setattr(module, "CHECKS", (module.processor, lambda: iter([bad])))
    monkeypatch.setattr(module.CHECKS[1], "__name__", "thing", raising=False)
    result = call("doctor")
    assert result.exit_code == 1
    assert "fail  thing      it is broken" in result.stdout
    assert "-> mend it" in result.stdout
    result = call("doctor", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert found["checks"][-1] == {
        "name": "thing",
        "state": "fail",
        "detail": "it is broken",
        "way_out": "mend it",
    }


def test_a_warning_is_no_failure(monkeypatch):
    monkeypatch.setattr(module, "CHECKS", (module.clock,))
    monkeypatch.setattr(module.time, "get_clock_info", lambda name: type("Info", (), {"resolution": 0.0156}))
    result = call("doctor", "--json")
    assert result.exit_code == 0
    (check,) = json.loads(result.stdout)["checks"]
    assert check["state"] == "warn"
    assert check["way_out"]


def test_a_missing_or_old_package_has_its_command(monkeypatch):
    monkeypatch.setattr(
        module.metadata, "requires", lambda name: ["numpy>=999", "no-such-thing>=1", "x; extra == 'dev'"]
    )
    findings = list(module.packages())
    assert [(f.state, f.way_out) for f in findings[:2]] == [
        ("fail", "pip install 'numpy>=999'"),
        ("fail", "pip install 'no-such-thing>=1'"),
    ]
    assert len(findings) == 3


def test_a_decode_that_crashes_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(find, "find_model", lambda name: tmp_path / "m.gguf")
    monkeypatch.setattr(probe, "probe", lambda path: probe.Probe(False, "llama.cpp crashed with SIGSEGV"))
    (finding,) = module.model()
    assert finding.state == "fail"
    assert "SIGSEGV" in finding.detail
    assert "small table of words" in finding.way_out


def test_a_missing_model_has_its_command(monkeypatch):
    def find_model(name):
        raise LoadError("model 'm' is not installed: run `pip install m`, or name a .gguf file")

    monkeypatch.setattr(find, "find_model", find_model)
    (finding,) = module.model()
    assert finding == Finding(
        "model", "fail", "model 'm' is not installed", "run `pip install m`, or name a .gguf file"
    )


def test_which_models_are_quick_enough(monkeypatch, tmp_path):
    monkeypatch.setenv(find.FOLDER, str(tmp_path / "kept"))
    names = ("quick", "slow", "broken")
    for name in names:
        (tmp_path / f"{name}.gguf").write_bytes(b"GGUF")
        find.register(name, tmp_path / f"{name}.gguf")
    measured = []

    def measure(path, adapters=None, *, timeout=0.0):
        measured.append(path.stem)
        if path.stem == "broken":
            raise LoadError(f"{path}: llama.cpp crashed with SIGILL")
        menu = {"quick": 90.0, "slow": 200.0}[path.stem]
        speed = {"cached_menu_ms_p50": menu, "budget_ms": 150.0, "deadline_ms": max(150.0, 1.5 * menu)}
        speed |= {"within_budget": menu <= 150.0, "adapters": {}}
        find.keep_measurement(path, {"speed": speed})
        return speed

    monkeypatch.setattr("volition.lab.speed.measure", measure)
    monkeypatch.setattr(find, "NAMES", ())
    found = {finding.detail.split(":")[0]: finding for finding in module.speed()}
    assert found["quick"].state == "ok" and "a menu in 90 ms, within 150 ms" in found["quick"].detail
    assert found["slow"].state == "warn" and "its deadline is 300 ms" in found["slow"].detail
    assert "volition model quantise slow" in found["slow"].way_out
    assert [f.state for f in found.values()] == ["warn", "ok", "warn"]
    assert sorted(measured) == sorted(names)
    monkeypatch.setattr(module, "CHECKS", (module.speed,))
    checks = json.loads(call("doctor", "--json").stdout)["checks"]
    assert checks[1]["figures"] == {
        "model": "quick",
        "cached_menu_ms": 90.0,
        "budget_ms": 150.0,
        "deadline_ms": 150.0,
        "within_budget": True,
    }
    assert measured == [*measured[:3], "broken"]  # the others are known


def test_little_room_is_said(monkeypatch):
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda place: usage)
    assert {f.state for f in module.disk()} == {"fail"}
    assert all("make room" in f.way_out for f in module.disk())
