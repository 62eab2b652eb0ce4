"""What is installed: every module once, the shipped folders, nothing else, and nothing heavy at import."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import volition.nodes

ROOT = Path(__file__).resolve().parent.parent
CODE = {"volition": "volition", "nodes": "volition/nodes"}
DATA = ("graphs", "recordings", "models")
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", *CODE, *DATA, "tests")


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Standard output of a Python command; its standard error is in the failure."""
    result = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def files_in(folder: Path) -> Iterator[str]:
    """Files that belong to a folder of the repository, relative to it; links and caches do not."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not path.is_symlink() and "__pycache__" not in parts and path.name[0] != ".":
            yield "/".join(parts)


def copy_sources(target: Path, *, link: bool) -> Path:
    """A copy of what a wheel is built from; without the link as on systems that have none."""
    target.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True, ignore=ignore)
        elif source.exists():
            shutil.copy(source, target / name)
    if not link:
        (target / "volition" / "nodes").unlink()
        (target / "volition" / "nodes").write_text("../nodes")  # what git leaves there
    return target


def build_wheel(source: Path, target: Path) -> zipfile.ZipFile:
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
    run(*command, cwd=source.parent)
    (wheel,) = target.glob("*.whl")
    return zipfile.ZipFile(wheel)


def test_nodes_are_found_in_the_repository():
    assert [Path(path).resolve() for path in volition.nodes.__path__] == [ROOT / "nodes"]


def test_the_link_is_relative():
    link = ROOT / "volition" / "nodes"
    if not link.is_symlink():
        pytest.skip("no symbolic links here")
    assert Path(os.readlink(link)) == Path("..", "nodes")


@pytest.mark.slow
@pytest.mark.parametrize("link", [True, False], ids=["with the link", "without the link"])
def test_a_wheel_holds_everything_once(tmp_path, link):
    source = copy_sources(tmp_path / "source", link=link)
    left_over = source / "build" / "lib" / "volition" / "left_over.py"
    left_over.parent.mkdir(parents=True)
    left_over.touch()

    with build_wheel(source, tmp_path / "wheel") as wheel:
        names = wheel.namelist()
        wheel.extractall(tmp_path / "installed")

    expected = {f"{place}/{name}" for folder, place in CODE.items() for name in files_in(ROOT / folder)}
    expected |= {f"volition/{folder}/{name}" for folder in DATA for name in files_in(ROOT / folder)}
    contents = [name for name in names if ".dist-info/" not in name]
    assert sorted(contents) == sorted(expected)
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert "volition/py.typed" in contents
    assert any(name.startswith("volition/graphs/") and name.endswith(".yaml") for name in contents)

    found = run(
        "-c",
        "import volition.nodes; print(volition.nodes.__file__)",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path / "installed"),
    )
    assert Path(found.strip()) == tmp_path / "installed" / "volition" / "nodes" / "__init__.py"


@pytest.mark.slow
def test_importing_volition_does_no_heavy_work():
    heavy = ["brainflow", "llama_cpp", "matplotlib", "mne", "pyriemann", "sklearn", "torch"]
    code = f"import sys, volition; print(*sorted(set({heavy}) & set(sys.modules)))"
    assert run("-W", "error", "-c", code, cwd=ROOT).split() == []


@pytest.mark.parametrize("name", ["LICENSE", ".ci/run", "packaging/llama.cmake"])
def test_what_a_fresh_machine_needs_is_there(name):
    assert (ROOT / name).is_file()


@pytest.mark.skipif(os.name != "posix", reason="the bit has no meaning here")
def test_the_ci_script_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
