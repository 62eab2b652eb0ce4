"""Point 10 of the contract: what the source code of nodes must not contain."""

from __future__ import annotations

import ast

import pytest

from tests.contract.discover import FOLDER, sources

BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "random"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
# The wall clock; a deadline towards a device may read the monotonic one.
BANNED_NAMES = {
    "time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "datetime.datetime.now",
    "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle",
}  # fmt: skip
CHANCE = {"default_rng", "Generator", "SeedSequence", "PCG64"}


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute; empty for anything else."""
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return node.id if isinstance(node, ast.Name) else ""


def faults(tree: ast.AST, package: str) -> list[str]:
    """What a module of the folder ``package`` does that no node may."""
    found = []
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [f"{line}: imports {name}" for name in names if name.split(".")[0] in BANNED_MODULES]
        for name in names:
            if name.startswith("volition.nodes.") and name.split(".")[2] != package:
                found.append(f"{line}: imports {name}, another package of nodes")
            if name.startswith(("volition.engine", "volition.lab", "volition.cli")):
                found.append(f"{line}: imports {name}, which stands above the nodes")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            found.append(f"{line}: calls {node.func.id}")
        name = dotted(node)
        if name in BANNED_NAMES:
            found.append(f"{line}: uses {name}")
        if name.startswith(("np.random.", "numpy.random.")) and name.split(".")[2] not in CHANCE:
            found.append(f"{line}: uses {name}, a global generator")
        if isinstance(node, (ast.FunctionDef, ast.Lambda)) and node.args.kwarg is not None:
            found.append(f"{line}: takes **{node.args.kwarg.arg}")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"{line}: a bare except")
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(FOLDER)))
def test_10_source_code(path):
    package = path.relative_to(FOLDER).parts[0]
    assert faults(ast.parse(path.read_text(encoding="utf-8")), package) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from joblib import load", "eval('1')", "import time\nt = time.time()",
        "import numpy as np\nx = np.random.rand(3)", "def f(**kwargs): pass",
        "from volition.nodes.gaze.likelihood import GazeOnBox", "from volition.engine.graph import Graph",
        "try:\n    pass\nexcept:\n    pass",
    ],
)  # fmt: skip
def test_the_check_sees_what_it_should(code):
    assert len(faults(ast.parse(code), "eeg")) == 1


def test_the_check_leaves_good_code_alone():
    code = "import numpy as np\nfrom volition.nodes.eeg.filters import Bandpass\nr = np.random.default_rng(0)"
    assert faults(ast.parse(code), "eeg") == []
