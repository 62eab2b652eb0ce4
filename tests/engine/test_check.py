"""``volition check``: every mistake, with its place and its hint, and never a traceback."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from volition.cli.check import check as command
from volition.engine.check import MAX_PROBLEMS, check
from volition.engine.load import load_with_problems

HERE = Path(__file__).parent
TIMEFLUX_APP = HERE.parent / "timeflux_app"
MARK = re.compile(r"«(\w+)»")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the module ``parts`` in it."""
    shutil.copy(HERE / "apps" / "parts.py", tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> tuple[Path, dict[str, tuple[int, int]]]:
    """Write ``app.yaml`` without its marks «name», and where each mark stood."""
    places = {}
    while match := MARK.search(text):
        before = text[: match.start()]
        places[match[1]] = (before.count("\n") + 1, match.start() - before.rfind("\n"))
        text = before + text[match.end() :]
    (folder / "app.yaml").write_text(text)
    return folder / "app.yaml", places


def expect(folder: Path, text: str, *expected: tuple[str, str, str | None]) -> None:
    """Check that a text has just the ``expected`` problems: (mark, part of the message, part of the hint)."""
    file, places = write(folder, text)
    found = check(file)
    rest = list(found)
    for mark, message, hint in expected:
        fitting = [p for p in rest if (p.line, p.column) == places[mark] and message in p.message]
        assert fitting, f"{mark} {places[mark]} {message!r} is not among\n" + "\n".join(map(str, found))
        assert fitting[0].file == str(file)
        assert hint is None or hint in (fitting[0].hint or ""), fitting[0]
        rest.remove(fitting[0])
    assert rest == []
    assert [(p.line, p.column) for p in found] == sorted((p.line, p.column) for p in found)


ALL = """\
versoin: 1.0
«top»grahps: []
graphs:
  - id: signals
    «graph_key»rat: 10
    nodes:
      - id: eeg
        module: parts
        class: Amplifier
        params: {channels: [Fz, Cz], unit: V}
      - id: same
        module: «module»prats
        class: Amplifier
      - id: «duplicate»same
        module: parts
        class: Band
      - id: narrow
        module: parts
        class: «class»Bnad
      - id: band
        «node_key»parms: {}
        module: parts
        class: Band
        params:
          «parameter»hihg: 40
          «range»low: -1
          «type»order: four
      - id: fine
        module: parts
        class: Amplifier
      - id: nyquist
        module: parts
        class: Band
        params:
          «nyquist»high: 130
      - id: pick
        module: parts
        class: Pick
        params: {channels: [Fz, «channel»Cx]}
      - id: volts
        module: parts
        class: Band
      - «unfed»id: gaze
        module: parts
        class: Gaze
      - {id: one, module: parts, class: Plain, params: {rate: 1}}
      - {id: two, module: parts, class: Plain, params: {«plain»rte: 1, rate: 2}}
    edges:
      - {source: fine, target: nyquist}
      - {source: fine, target: pick}
      - {source: eeg, target: «unit»volts}
      - {source: fine, target: band}
      - {source: «nowhere»enne, target: narrow}
      - {source: «out_port»fine:mraks, target: gaze:turn}
      - {source: fine, target: «in_port»pick:j}
      - {«edge_key»sourc: fine, target: narrow}
      - {source: fine, target: «doubled»nyquist}
      - {source: fine, target: «kind»gaze:turn}
      - {source: one, target: two}
      - {source: two:x, target: «cycle»one:y}
edges:
  - {source: signals.fine, target: «no_graph»signal.band}
"""


def test_all_mistakes_in_one_go(folder):
    text = "«version»" + ALL
    expect(
        folder,
        text,
        ("version", "no key 'versoin'", "did you mean 'version'?"),
        ("top", "no key 'grahps'", "did you mean 'graphs'?"),
        ("graph_key", "no key 'rat'", "did you mean 'rate'?"),
        ("module", "'prats'", "did you mean 'parts'?"),
        ("duplicate", "there is a node 'same' already", None),
        ("class", "no class 'Bnad'", "did you mean 'Band'?"),
        ("node_key", "no key 'parms'", "did you mean 'params'?"),
        ("parameter", "no parameter 'hihg'", "did you mean 'high'?"),
        ("range", "greater than 0", None),
        ("type", "valid integer", None),
        ("nyquist", "Nyquist", None),
        ("channel", "no channel 'Cx'", "did you mean 'Cz'?"),
        ("unit", "takes uV, but eeg gives V", "convert it to uV"),
        ("plain", "no parameter 'rte'", None),
        ("nowhere", "no node 'enne'", None),
        ("out_port", "no output 'fine:mraks'", "did you mean 'fine:marks'?"),
        ("in_port", "no input 'pick:j'", "did you mean 'pick'?"),
        ("edge_key", "no key 'sourc'", "did you mean 'source'?"),
        ("doubled", "is fed by 'fine' already", None),
        ("kind", "fine gives a signal, and gaze:turn takes events", None),
        ("unfed", "nothing feeds its input 'gaze'", None),
        ("cycle", "one -> two -> one", "graph of its own"),
        ("no_graph", "no graph 'signal'", "did you mean 'signals'?"),
    )


def app(nodes: str, edges: str = "", more: str = "") -> str:
    """One graph around nodes and edges that are written one a line."""
    lines = ["graphs:", "  - id: g", "    nodes:"]
    lines += [f"      - {{{node.strip()}}}" for node in nodes.strip().splitlines()]
    if edges:
        lines += ["    edges:"] + [f"      - {{{edge.strip()}}}" for edge in edges.strip().splitlines()]
    return "\n".join(lines) + "\n" + more


SOURCE = "id: eeg, module: parts, class: Amplifier"


@pytest.mark.parametrize(
    ("node", "message", "hint"),
    [
        (
            "module: «x»volition.nodes.eeg.filtres, class: Bandpass",
            "no module",
            "did you mean 'volition.nodes.eeg.filters'?",
        ),
        (
            "module: «x»volition.nodes.filters, class: Bandpass",
            "no module",
            "did you mean 'volition.nodes.eeg.filters'?",
        ),
        (
            "module: «x»timeflux.nodes.debgu, class: Display",
            "no module",
            "did you mean 'timeflux.nodes.debug'?",
        ),
        (
            "module: «x»timeflx.nodes.debug, class: Display",
            "not installed",
            "did you mean 'timeflux.nodes.debug'?",
        ),
        ("module: timeflux.nodes.debug, class: «x»Dispaly", "no class", "did you mean 'Display'?"),
        (
            "module: «x»timeflux_wonders.nodes.one, class: Two",
            "not installed",
            "pip install timeflux_wonders",
        ),
        ("module: «x»wonders, class: Two", "not installed and does not lie beside", "install the package"),
        ("module: «x»lacking, class: Two", "needs 'wonders', which is not installed", "install the package"),
        ("module: «x»broken, class: Two", "cannot be imported: ZeroDivisionError", None),
        ("module: «x»mangled, class: Two", "cannot be imported: SyntaxError", None),
        ("module: «x»leaving, class: Two", "cannot be imported: SystemExit", None),
        ("module: parts, class: «x»Thing", "is not a node", None),
        ("module: parts, class: «x»SOMETHING", "no class", None),
        ("module: parts, class: «x»Unfinished", "no update()", None),
        ("module: parts, class: Plain, params: «x»{}", "'rate' is missing", None),
        ("module: parts, class: Amplifier, params: {«x»rate: '250'}", "valid number", "write 250.0"),
        ("module: parts, class: Amplifier, params: {channels: [a, «x»5]}", "valid string", None),
        ("module: parts, class: Pick, params: «x»{}", "'channels' is missing", None),
        ("module: parts, class: Amplifier, params: «x»[1]", "params is a mapping", None),
        (
            "module: parts, class: Store, params: {path: a, «x»speed: 1}",
            "no parameter 'speed'",
            "it has path",
        ),
    ],
)
def test_mistakes_of_a_node(folder, node, message, hint):
    (folder / "lacking.py").write_text("import wonders\n")
    (folder / "broken.py").write_text("print('aside')\n1 / 0\n")
    (folder / "mangled.py").write_text("def :\n")
    (folder / "leaving.py").write_text("raise SystemExit(3)\n")
    edges = "source: eeg, target: n" if "Pick" in node else ""
    expect(folder, app(f"{SOURCE}\nid: n, {node}", edges), ("x", message, hint))


@pytest.mark.parametrize(
    ("nodes", "edges", "expected"),
    [
        ("id: b, module: parts, class: Band", "source: eeg:«x»o, target: b", None),
        (
            "id: s, module: parts, class: Store",
            "source: «x»eeg:o, target: s:a",
            ("no output", "did you mean 'eeg'?"),
        ),
        (
            "id: s, module: parts, class: Store",
            "source: eeg, target: «x»s",
            ("no input", "did you mean 's:*'?"),
        ),
        ("id: b, module: parts, class: Band", "source: eeg:*, target: «x»b", ("for more than one port", "")),
        ("id: s, module: parts, class: Store", "source: «x»eeg:z*, target: s:a", ("no output", "")),
        (
            "id: b, module: parts, class: Band",
            "source: eeg:marks, target: «x»b",
            ("gives events, and b takes a signal", ""),
        ),
        (
            "id: c, module: parts, class: Careless",
            "source: eeg, target: c",
            ("cannot be checked, KeyError", ""),
        ),
        ("id: g, module: parts, class: Gaze", "source: eeg, target: «x»g", ("lacks channels 'x', 'y'", "")),
        ("id: b, module: parts, class: Band", "source: eeg, target: «x»x.b", ("no graph 'x'", "")),
    ],
)
def test_mistakes_of_an_edge(folder, nodes, edges, expected):
    if expected is None:
        edges = edges.replace("eeg:«x»o", "eeg")
    text = app(f"{SOURCE}\n{nodes}", edges)
    if expected and expected[0].startswith("cannot be checked"):
        text = text.replace("{id: c", "«x»{id: c")
    if "x.b" in edges:
        text = text.replace("class: Band", "class: Store")
    expect(folder, text, *([("x", *expected)] if expected else []))


def test_two_signals_into_a_recorder_s_one_port(folder):
    nodes = f"{SOURCE}\n{SOURCE.replace('eeg', 'emg')}\nid: s, module: parts, class: Store"
    good = "source: eeg, target: s:eeg\nsource: emg, target: s:emg\nsource: emg:marks, target: s:marks\n"
    expect(folder, app(nodes, good + "source: eeg:marks, target: s:marks"))
    expect(
        folder,
        app(nodes, good + "source: emg, target: «x»s:eeg"),
        ("x", "'s:eeg' is fed by 'eeg' already", None),
    )


def test_specs_travel_across_graphs_and_circles_of_graphs(folder):
    text = """\
graphs:
  - id: first
    nodes:
      - {id: eeg, module: parts, class: Amplifier, params: {rate: 64}}
      - {id: a, module: parts, class: Plain, params: {rate: 1}}
    edges:
      - {source: second.slow, target: a}
  - id: second
    nodes:
      - {id: slow, module: parts, class: Band, params: {«high»high: 40}}
      - {id: plain, module: parts, class: Plain, params: {rate: 1}}
    edges:
      - {source: first.eeg, target: slow}
      - {source: first.a, target: plain}
      - {source: plain, target: first.a:again}
"""
    expect(folder, text, ("high", "Nyquist frequency of 32 Hz", None))


def test_a_node_of_its_own_folder_in_a_wrong_graph_is_pointed_to(folder):
    text = app(
        SOURCE,
        "source: eeg, target: «x»store",
        "  - {id: h, nodes: [{id: store, module: parts, class: Store}]}\n",
    )
    expect(folder, text, ("x", "no node 'store' in graph 'g'", "did you mean 'h.store'?"))


def test_units_are_known_by_all_their_names(folder):
    for unit in ("µV", "uV", "microvolts"):
        nodes = f"{SOURCE}, params: {{unit: {unit}}}\nid: b, module: parts, class: Band"
        expect(folder, app(nodes, "source: eeg, target: b"))


def test_unset_variables_do_not_hide_other_mistakes(folder, monkeypatch):
    monkeypatch.delenv("NO_SUCH_RATE", raising=False)
    node = "{id: n, module: parts, class: Amplifier, params: {rate: «x»{{ NO_SUCH_RATE }}, «y»unti: V}}"
    text = f"graphs:\n  - nodes:\n      - {node}\n"
    expect(
        folder,
        text,
        ("x", "NO_SUCH_RATE is not set", None),
        ("y", "no parameter 'unti'", "did you mean 'unit'?"),
    )


@pytest.mark.slow
def test_the_timeflux_app_passes_and_leaves_nothing_behind(monkeypatch, capfd):
    pytest.importorskip("timeflux_dsp")
    monkeypatch.delenv("RATE", raising=False)
    path = list(sys.path)
    assert check(TIMEFLUX_APP / "main.yaml") == []
    assert sys.path == path
    assert "helpers" not in sys.modules and "nodes.predict" not in sys.modules
    assert capfd.readouterr().out == ""


def test_what_a_module_prints_is_not_in_the_answer(folder, capfd):
    (folder / "chatty.py").write_text("print('hello')\nfrom parts import *\n")
    file, _ = write(folder, app("id: a, module: chatty, class: Amplifier"))
    assert check(file) == []
    assert capfd.readouterr().out == ""


def test_many_mistakes_are_cut_off_and_said_to_be(folder):
    file, _ = write(folder, app("\n".join(f"id: n{n}, module: m{n}.o, class: C, bad: 1" for n in range(900))))
    started = time.perf_counter()
    found = check(file)
    assert time.perf_counter() - started < 2
    assert len(found) == MAX_PROBLEMS + 1
    assert "more mistakes" in found[-1].message


@pytest.mark.slow
def test_the_largest_file_is_answered_in_time(folder):
    nodes = "\n".join(f"id: n{n}, module: parts, class: Amplifier, paramz: {{unit: V}}" for n in range(1000))
    edges = "\n".join(f"source: n{n % 1000}, target: m{n}" for n in range(6000))
    file, _ = write(folder, app(nodes, edges))
    assert 250_000 < file.stat().st_size < 500_000
    started = time.perf_counter()
    assert len(check(file)) == MAX_PROBLEMS + 1
    assert time.perf_counter() - started < 4  # under the load of a whole test run; about one second alone


def run(*arguments: str):
    program = typer.Typer()
    program.command()(command)
    return CliRunner().invoke(program, list(arguments))


def test_the_command(folder):
    file, places = write(folder, app(f"{SOURCE}\nid: b, module: parts, class: «x»Bnad"))
    result = run(str(file))
    line, column = places["x"]
    assert result.exit_code == 2
    expected = f"{file}:{line}:{column}: b: the module parts has no class 'Bnad' (did you mean 'Band'?)\n"
    assert result.output == expected
    result = run("--json", str(file))
    assert result.exit_code == 2
    assert json.loads(result.output)["errors"] == [
        {
            "file": str(file),
            "line": line,
            "column": column,
            "message": "b: the module parts has no class 'Bnad'",
            "hint": "did you mean 'Band'?",
        }
    ]
    write(folder, app(SOURCE))
    assert (run(str(file)).exit_code, run(str(file)).output) == (0, "ok: 1 graph, 1 node\n")
    assert json.loads(run("--json", str(file)).output) == {"errors": [], "graphs": 1, "nodes": 1}
    result = run(str(folder / "gone.yaml"))
    assert result.exit_code == 2 and "no such file" in result.output


TEXTS = [MARK.sub("", ALL), *(file.read_text() for file in sorted(TIMEFLUX_APP.glob("*.yaml")))]
PIECES = [
    "\t",
    "\n",
    " ",
    ":",
    "- ",
    "{{",
    "}}",
    "{%",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "'",
    '"',
    "|",
    ">",
]
PIECES += [
    "null",
    "~",
    ".inf",
    "0x",
    "1e999",
    "9" * 400,
    "2001-99-99",
    "\ue000",
    "\x00",
    "é",
    "%",
    "@",
    "`",
    "? ",
    "---\n",
    "#",
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A text of a real app with some pieces taken out, put in, doubled or moved."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 6))):
        first = draw(st.integers(0, len(text)))
        last = min(len(text), first + draw(st.integers(0, 30)))
        place = draw(st.integers(0, len(text)))
        piece = draw(st.sampled_from([*PIECES, text[first:last]]) | st.text(max_size=5))
        cut = draw(st.booleans())
        text = text[:first] + text[last:] if cut else text[:place] + piece + text[place:]
    return text


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=mutated())
def test_no_text_makes_it_raise(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp() / "mutated"
    folder.mkdir(exist_ok=True)
    file = folder / "app.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    _, problems = load_with_problems(file, {"RATE": "5"})
    n_lines = text.count("\n") + 1
    for problem in problems:
        assert 1 <= problem.line <= n_lines + 1 and problem.column >= 1
        assert problem.message and "\n" not in problem.message
    for problem in check(file):
        assert str(problem).startswith(str(problem.file))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(max_size=200))
def test_no_bytes_make_it_raise(tmp_path_factory, raw):
    for name in ("raw.yaml", "raw.json"):
        file = tmp_path_factory.getbasetemp() / name
        file.write_bytes(raw)
        assert check(file)
