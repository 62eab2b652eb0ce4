"""``volition nodes``: the list is whole, the page is fresh, the skeleton works."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml

from tests.cli.command import answer, call
from volition.cli import catalogue as catalogue_module
from volition.cli.catalogue import catalogue, describe, type_name
from volition.cli.nodes import page
from volition.core import EventsIn, Ge, Gt, Node, SignalIn, SignalOut, Unit
from volition.engine.check import check

ROOT = Path(__file__).resolve().parents[2]


class Sample(Node):
    """What this test looks at: <b>, a | and ``code``.

    More of it.
    """

    i = SignalIn(channels=["x", "y"], unit="px")
    many = EventsIn("flash", "layout", name="i_events*", optional=True)
    o = SignalOut(unit="deg")

    def __init__(
        self,
        low: Annotated[float, Unit("Hz"), Gt(0)] = 0.5,
        count: Annotated[int, Ge(1)] | None = None,
        kind: Literal["a", "b", "c"] = "a",
        name: str = "",
        *,
        needed: dict[str, list[float]],
    ):
        """Store.

        low: lower edge, and
            the rest of the sentence: here.
        needed: a map.
        """


def test_a_class_is_described_by_itself():
    entry = describe(Sample)
    assert entry.summary == "What this test looks at: <b>, a | and ``code``."
    assert not entry.source
    assert [str(port) for port in entry.inputs] == [
        "i (signal x, y px)",
        "i_events* (events flash layout optional)",
    ]
    assert [str(port) for port in entry.outputs] == ["o (signal deg)"]
    facts = {p.name: (p.type, p.unit, p.bounds, p.default, p.doc) for p in entry.params}
    assert facts == {
        "low": ("number", "Hz", "> 0", "0.5", "lower edge, and the rest of the sentence: here."),
        "count": ("whole number or null", "", ">= 1", "null", ""),
        "kind": ("a, b or c", "", "", "a", ""),
        "name": ("text", "", "", '""', ""),
        "needed": ("map of text to list of number", "", "", None, "a map."),
    }


def test_types_read_as_words():
    assert type_name(tuple[float, float]) == "[number, number]"
    assert type_name(list[Annotated[int, Gt(0)]]) == "list of whole number"
    assert type_name(bool) == "true or false"


def test_markdown_is_not_broken_by_what_it_shows():
    text = page([describe(Sample)])
    assert "| What this test looks at: &lt;b>, a \\| and `code`. |" in text
    assert "> 0" in text


def test_every_node_and_parameter_is_explained():
    entries, broken = catalogue()
    assert broken == []
    assert {"LslInlet", "BrainFlow", "Bandpass", "Epochs"} <= {entry.name for entry in entries}
    unexplained = [f"{e.name}.{p.name}" for e in entries for p in e.params if not p.doc]
    assert unexplained == []
    assert [e.name for e in entries if not e.summary.endswith(".")] == []


def test_the_page_of_all_nodes_is_fresh():
    made = call("nodes", "--markdown")
    assert made.exit_code == 0
    stored = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")
    assert stored == made.stdout, "stale: volition nodes --markdown > docs/nodes.md"


def test_json_holds_the_same_as_the_table():
    listed = answer("nodes")
    names = [node["name"] for node in listed["nodes"]]
    text = call("nodes").stdout
    assert names
    assert all(name in text for name in names)
    (bandpass,) = answer("nodes", "Bandpass")["nodes"]
    low = bandpass["params"][0]
    assert (low["name"], low["unit"], low["bounds"], low["default"]) == ("low", "Hz", "> 0", "0.5")


def test_a_module_that_fails_is_a_row_with_the_reason(monkeypatch):
    monkeypatch.setattr(catalogue_module, "_modules", lambda: iter(["volition.nodes.no_such_thing"]))
    listed = answer("nodes")
    assert listed["nodes"] == []
    assert listed["failed"][0]["module"] == "volition.nodes.no_such_thing"
    assert "ModuleNotFoundError" in listed["failed"][0]["reason"]
    assert "not available" in call("nodes").stdout


def test_a_misspelt_node_gets_a_suggestion():
    result = call("nodes", "bandpas")
    assert result.exit_code == 2
    assert "did you mean Bandpass?" in result.stderr


@pytest.mark.slow
def test_the_skeleton_passes_its_own_test_and_check(tmp_path):
    folder = tmp_path / "sensor"
    written = answer("nodes", "--new", "my_sensor", "--folder", str(folder))["written"]
    assert sorted(Path(path).name for path in written) == [
        "my_sensor.py",
        "my_sensor.yaml",
        "test_my_sensor.py",
    ]
    assert check(folder / "my_sensor.yaml") == []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error::UserWarning", "-p", "no:cacheprovider", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_skeleton_takes_its_name_from_the_sensor(tmp_path):
    call("nodes", "--new", "heart2_rate", "--folder", str(tmp_path))
    (graph,) = yaml.safe_load((tmp_path / "heart2_rate.yaml").read_text())["graphs"]
    assert graph["nodes"][0] == {
        "id": "sensor",
        "module": "heart2_rate",
        "class": "Heart2Rate",
        "params": {"rate": 250},
    }
    assert "class Heart2Rate(Source)" in (tmp_path / "heart2_rate.py").read_text()


@pytest.mark.parametrize(
    "name", ["My-Sensor", "1st", "class", "none", "signal", "numpy", "source", "fake_device", "nodes"]
)
def test_a_name_that_would_hide_another_is_refused(name, tmp_path):
    result = call("nodes", "--new", name, "--folder", str(tmp_path))
    assert result.exit_code == 2
    assert repr(name) in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "my_sensor.yaml").write_text("mine")
    result = call("nodes", "--new", "my_sensor", "--folder", str(tmp_path))
    assert result.exit_code == 2
    assert "exists" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["my_sensor.yaml"]
    assert (tmp_path / "my_sensor.yaml").read_text() == "mine"
