"""The loader: what it reads, where it says things stand, and what it refuses."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path

import pytest
import yaml
from timeflux.core.manager import Manager

from volition.core.errors import LoadError
from volition.engine.load import App, load, load_with_problems
from volition.engine.modules import beside

NODE = "{id: a, module: timeflux.nodes.debug, class: Display}"
GRAPH = f"graphs:\n  - nodes:\n      - {NODE}\n"
TIMEFLUX_APP = Path(__file__).parent.parent / "timeflux_app"


def read(folder: Path, text: str | bytes, name: str = "app.yaml", **variables: str):
    """What the loader makes of a text: the app, and (line, column, message, hint) of each problem."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    app, problems = load_with_problems(file, variables)
    return app, [(p.line, p.column, p.message, p.hint) for p in problems]


def only(found):
    _, problems = found
    assert len(problems) == 1, problems
    return problems[0]


def test_everything_an_app_may_say(tmp_path):
    text = """\
version: 1.0
graphs:
  - id: one
    rate: 25
    nodes:
      - id: a
        module: some.module
        class: Thing
        params:
          low: 1.5
          list: [x, 2, {deep: true}]
      - {id: b, module: m, class: C, params: null}
    edges:
      - {source: a, target: b}
      - source: a:left*
        target: b:x
      - {source: a, target: graph_2.c:in}
  - nodes:
      - {id: c, module: m, class: C}
edges:
  - {source: graph_2.c:out, target: one.b, policy: latest, capacity: 7}
"""
    app, problems = read(tmp_path, text)
    assert problems == []
    assert [(g.id, g.rate, [n.id for n in g.nodes]) for g in app.graphs] == [
        ("one", 25.0, ["a", "b"]),
        ("graph_2", None, ["c"]),
    ]
    node = app.graphs[0].nodes[0]
    assert (node.module, node.class_name) == ("some.module", "Thing")
    assert node.params == {"low": 1.5, "list": ["x", 2, {"deep": True}]}
    assert app.graphs[0].nodes[1].params == {}
    assert (node.position.line, node.position.column) == (6, 9)
    low, deep = node.at("params", "low"), node.at("params", "list", 2, "deep")
    assert (low.line, low.column) == (10, 11)
    assert (deep.line, deep.column) == (11, 25)
    assert node.at("params", "absent") == node.at("params")
    inside = app.graphs[0].edges
    assert [(e.source_node, e.source_port, e.target_node, e.target_port) for e in inside] == [
        ("a", "o", "b", "i"),
        ("a", "o_left*", "b", "i_x"),
    ]
    across = [(e.source_key, e.source_port, e.target_key, e.target_port, e.policy, e.capacity) for e in app.edges]
    assert across == [
        (("one", "a"), "o", ("graph_2", "c"), "i_in", "block", 1024),
        (("graph_2", "c"), "o_out", ("one", "b"), "i", "latest", 7),
    ]
    assert not any(edge.crosses for edge in inside) and all(edge.crosses for edge in app.edges)


def test_the_resolved_text_is_the_same_app(tmp_path):
    app, problems = read(tmp_path, GRAPH + "    rate: {{ RATE }}\n", RATE="3.5")
    assert not problems
    again, problems = read(tmp_path, app.text, "resolved.yaml")
    assert not problems and again.text == app.text and again.graphs[0].rate == 3.5


def test_values_are_what_timeflux_reads():
    """Against Timeflux's own loader, file by file."""
    for file in sorted(TIMEFLUX_APP.glob("*.*")):
        if file.suffix not in (".yaml", ".json"):
            continue
        theirs = Manager._load_file(object.__new__(Manager), str(file))
        ours = {graph.id: graph for graph in load(file).graphs}
        for number, graph in enumerate(theirs["graphs"], 1):
            mine = ours[graph.get("id") or f"graph_{number}"]
            assert mine.rate == graph.get("rate")
            for node, other in zip(mine.nodes, graph["nodes"], strict=True):
                assert (node.id, node.module, node.class_name) == (
                    other["id"],
                    other["module"],
                    other["class"],
                )
                assert node.params == (other.get("params") or {})


def test_imports_are_read_once_relative_to_their_file(tmp_path):
    (tmp_path / "sub").mkdir()
    named = GRAPH.replace("nodes", "id: b\n    nodes", 1)
    (tmp_path / "sub" / "b.yaml").write_text(f"import: [../a.yaml, c.json]\n{named}")
    (tmp_path / "sub" / "c.json").write_text(json.dumps({"graphs": [{"id": "c", "nodes": [yaml.safe_load(NODE)]}]}))
    app, problems = read(tmp_path, "import: [sub/b.yaml, sub/../sub/b.yaml]\n" + GRAPH, "a.yaml")
    assert problems == []
    assert [graph.id for graph in app.graphs] == ["graph_1", "b", "c"]
    assert app.folders == (tmp_path, tmp_path / "sub")
    assert app.graphs[1].position.file == str(tmp_path / "sub" / "b.yaml")


def test_problems_of_an_imported_file_name_it_and_its_line(tmp_path):
    (tmp_path / "sub.yaml").write_text("graphs:\n  - nodez: []\n")
    _, problems = load_with_problems(_write(tmp_path, "import:\n  - sub.yaml\n  - gone.yaml\n"))
    assert [(Path(p.file).name, p.line, p.column) for p in problems] == [
        ("app.yaml", 3, 5),
        ("sub.yaml", 2, 5),
        ("sub.yaml", 2, 5),
    ]
    assert "no such file" in problems[0].message
    assert any(p.hint == "did you mean 'nodes'?" for p in problems)


def _write(folder: Path, text: str) -> Path:
    (folder / "app.yaml").write_text(text)
    return folder / "app.yaml"


@pytest.mark.parametrize(
    ("template", "variables", "value"),
    [
        ("{{ X }}", {"X": "5"}, 5),
        ("{{X}}", {"X": "text"}, "text"),
        ("a{{ X }}b", {"X": "-"}, "a-b"),
        ("{{ X | default(7) }}", {}, 7),
        ("{{ X | default('seven') }}", {}, "seven"),
        ('{{ X|d("7")|int }}', {}, 7),
        ("'{{ X | default(\"\") }}'", {}, ""),
        ("{{ X | default(3, true) }}", {"X": ""}, 3),
        ("{{ X | int }}", {"X": "2.9"}, 2),
        ("{{ X | float }}", {"X": "2"}, 2.0),
        ("{{ X | lower }}{{ X | upper }}", {"X": "aB"}, "abAB"),
        ("'{{ X | trim }}'", {"X": " a "}, "a"),
        ("{{ 'x' }}{# gone #}", {}, "x"),
        ("{low: {{ X }}}", {"X": "[1, 2]"}, {"low": [1, 2]}),
    ],
)
def test_templates_give_what_jinja_gives(tmp_path, template, variables, value):
    from jinja2 import Template

    app, problems = read(tmp_path, GRAPH.replace("Display", f"Display, params: {{p: {template}}}"), **variables)
    assert problems == []
    assert app.graphs[0].nodes[0].params == {"p": value}
    assert yaml.safe_load(Template(template).render(variables)) == value


def test_positions_are_those_of_the_file_not_of_the_rendered_text(tmp_path):
    text = GRAPH.replace("id: a", "id: {{ LONG }}, {# a\n comment #} bad: 1")
    app, problems = read(tmp_path, text, LONG="a_very_long_name_indeed")
    assert app.graphs[0].nodes[0].id == "a_very_long_name_indeed"
    assert [(line, column) for line, column, _, _ in problems] == [(4, 13)]
    assert text.splitlines()[3][12:].startswith("bad")


def test_a_variable_that_is_not_set_is_a_problem_where_it_stands(tmp_path):
    text = GRAPH.replace("id: a", "id: a, params: {x: '{{ SERIAL_PRT }}', y: {{ Y }}}") + "    rat: 3\n"
    _, problems = read(tmp_path, text, SERIAL_PORT="x", Y="1")
    assert [(p[0], p[1], p[3]) for p in problems] == [
        (3, 30, "did you mean 'SERIAL_PORT'?"),
        (4, 5, "did you mean 'rate'?"),
    ]
    assert "SERIAL_PRT is not set" in problems[0][2]


def test_templates_in_comments_are_left_alone(tmp_path):
    _, problems = read(tmp_path, "# {{ OLD }} {% if x %}\n" + GRAPH + "    rate: 5 # {{ OLD }}\n")
    assert problems == []


@pytest.mark.parametrize(
    "template",
    [
        "{% for x in y %}",
        "{{ X.__class__ }}",
        "{{ X() }}",
        "{{ 1 + 1 }}",
        "{{ X | attr('a') }}",
        "{{ }}",
        "{{ X",
        "{{ X['a'] }}",
    ],
)
def test_nothing_in_a_template_is_executed(tmp_path, template):
    _, problems = read(tmp_path, f"{template}\n{GRAPH}", X="x")
    line, column, message, _ = problems[0]
    assert (line, column) == (1, 1)
    assert any(words in message for words in ("not run", "not closed"))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (b"", (1, 1), "empty"),
        (b"# only a comment\n", (1, 1), "empty"),
        (b"---\n...\n", None, "mapping"),
        (b"null", (1, 1), "an app is a mapping"),
        (b"- a\n", (1, 1), "an app is a mapping"),
        (b"graphs:\n\t- nodes: []\n", (2, 1), "tab"),
        (b"graphs:\n  - id: x\n \tnodes: []\n", (3, 2), "tab"),
        (b"graphs: \xff\n", (1, 9), "not UTF-8"),
        (b"version: 1\ngraphs: \xd0\xbf\xd0\n", (2, 10), "not UTF-8"),
        (b"graphs: [\n", (2, 1), "not YAML"),
        (b"graphs: {a: b: c}\n", (1, 14), "not YAML"),
        (b"graphs: \x07\n", None, "not YAML"),
        (b"graphs: *nowhere\n", (1, 9), "no anchor"),
        (b"graphs: &a [*a]\n", (1, 13), "inside its own anchor"),
        (b"graphs: !!python/object/apply:os.system [ls]\n", (1, 9), "not allowed"),
        (b"graphs: " + b"[" * 400_000, None, "levels deep"),
        (b"graphs: " + b"{a: " * 100_000, None, "levels deep"),
        (b"import: []\n---\nb: 2\n", (2, 1), "one YAML document"),
        (b"x" * 10_000_000, (1, 1), "10.0 MB"),
    ],
)
def test_files_that_are_no_app(tmp_path, text, place, message):
    started = time.perf_counter()
    _, problems = read(tmp_path, text)
    assert time.perf_counter() - started < 2
    line, column, found, _ = problems[0]
    assert message in found
    assert place is None or (line, column) == place


def test_an_anchor_bomb_is_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    started = time.perf_counter()
    line, _, message, _ = only(read(tmp_path, "\n".join(lines)))
    assert time.perf_counter() - started < 1
    assert "aliases" in message and line == 5


def test_anchors_and_merges_work_as_in_timeflux(tmp_path):
    text = """\
defaults: &defaults {module: m, class: C, params: {a: 1}}
graphs:
  - nodes:
      - {id: a, <<: *defaults}
      - {<<: [*defaults], id: b, params: {a: 2}}
"""
    app, problems = read(tmp_path, text)
    assert problems == []
    assert [(n.id, n.module, n.params) for n in app.graphs[0].nodes] == [
        ("a", "m", {"a": 1}),
        ("b", "m", {"a": 2}),
    ]
    theirs = yaml.safe_load(text)["graphs"][0]["nodes"]
    assert [n["params"] for n in theirs] == [n.params for n in app.graphs[0].nodes]


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        (GRAPH + "    nodes: []\n", (4, 5), "'nodes' is here twice; first in line 2", None),
        (GRAPH + "    rate: fast\n", (4, 11), "rate is a number", None),
        (GRAPH + "    rate: '25'\n", (4, 11), "rate is a number", "write 25.0"),
        (GRAPH + "    rate: -1\n", (4, 11), "from 0 to a million", None),
        (GRAPH + "    rate: .nan\n", (4, 11), "from 0 to a million", None),
        (GRAPH + "    id: a b\n", (4, 9), "letters, digits", None),
        (GRAPH + "    id: 7\n", (4, 9), "is text, not 7", "quotes"),
        (GRAPH + "edgs: []\n", (4, 1), "no key 'edgs'", "did you mean 'edges'?"),
        (GRAPH.replace("module", "modul"), (3, 17), "no key 'modul'", "did you mean 'module'?"),
        (GRAPH.replace("id: a, ", ""), (3, 9), "needs the key 'id'", None),
        (GRAPH + f"      - {NODE}\n", (4, 14), "there is a node 'a' already", None),
        (GRAPH + "  - 5\n", (4, 5), "a graph is a mapping", None),
        (GRAPH + "    edges: [a]\n", (4, 13), "an edge is a mapping", None),
        (GRAPH + "    edges: [{source: a, target: 'a:b:c'}]\n", (4, 33), "'node' or 'node:port'", None),
        (GRAPH + "    edges: [{source: a, target: 'a:x*'}]\n", (4, 33), "only a source may end in '*'", None),
        (GRAPH + "    edges: [{sorce: a, target: a}]\n", (4, 14), "no key 'sorce'", "did you mean 'source'?"),
        (
            GRAPH + "edges: [{source: a, target: graph_1.a}]\n",
            (4, 18),
            "'graph.node:port'",
            "did you mean 'graph_1.a'?",
        ),
        (GRAPH + "    edges: [{source: a, target: b, policy: latest}]\n", (4, 36), "across graphs", None),
        (
            GRAPH + "edges: [{source: a.b, target: c.d, policy: lates}]\n",
            (4, 44),
            "policy is one of",
            "latest",
        ),
        (GRAPH + "edges: [{source: a.b, target: c.d, capacity: 0}]\n", (4, 46), "capacity", None),
        (GRAPH + "    ? [a, b]\n    : c\n", (4, 7), "a key is a word", None),
        ("version: 1\n", (1, 1), "an app has graphs", "add graphs:"),
        ("graphs: {}\n", (1, 9), "graphs is a list", None),
        ("graphs: [{nodes: }]\n", (1, 10), "has no nodes", None),
        ("import: 5\n", (1, 9), "import is a list of files", None),
        ("import: [5]\n", (1, 10), "is a name, not 5", None),
        ('import: ["a\\0.yaml"]\n', (1, 10), "cannot be the name of a file", None),
        ("import: [a.txt]\n", (1, 10), "does not end in .yaml", None),
    ],
)
def test_mistakes_of_form(tmp_path, text, place, message, hint):
    line, column, found, found_hint = only(read(tmp_path, text))
    assert (line, column) == place
    assert message in found
    assert hint is None or hint in found_hint


def test_json_is_read_as_json(tmp_path):
    node = '{"id": "a", "module": "m", "class": "C", "params": {"x": 1e5, "y": "on"}}'
    text = f'{{\n\t"graphs": [{{"nodes": [{node}]}}]}}'
    app, problems = read(tmp_path, text, "app.json")
    assert problems == []
    assert app.graphs[0].nodes[0].params == {"x": 1e5, "y": "on"}
    line, column, message, _ = only(read(tmp_path, '{\n  "graphs": [,]}', "bad.json"))
    assert (line, column) == (2, 14) and "not JSON" in message


def test_load_raises_the_first_problem(tmp_path):
    with pytest.raises(LoadError, match=r"app.yaml:4:5: a graph has no key 'rat' \(did you mean 'rate'\?\)"):
        load(_write(tmp_path, GRAPH + "    rat: 3\n    edgez: []\n"))
    with pytest.raises(LoadError, match=r"ap.yaml: no such file \(did you mean 'app.yaml'\?\)"):
        load(tmp_path / "ap.yaml")
    with pytest.raises(LoadError, match="not a file"):
        load(_folder(tmp_path / "dir.yaml"))
    assert isinstance(load(_write(tmp_path, GRAPH)), App)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_modules_beside_two_apps_do_not_meet(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "nodes").mkdir(parents=True)
        (tmp_path / name / "nodes" / "own.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "signal.py").write_text("raise RuntimeError('shadows the standard library')\n")
        (tmp_path / name / "sklearn").mkdir()
    path, modules = list(sys.path), set(sys.modules)
    for name in ("one", "two"):
        with beside(tmp_path / name):
            assert name == importlib.import_module("nodes.own").NAME
            importlib.import_module("signal")
            assert "site-packages" in importlib.util.find_spec("sklearn").origin
    assert sys.path == path
    assert {name for name in set(sys.modules) - modules if name.startswith("nodes")} == set()
