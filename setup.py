"""What is installed, and from where: the folders at the top become parts of the package.

``volition/nodes`` is a link to ``nodes``, so that an editable install, the type checker and editors
find ``volition.nodes``. A wheel is built without it: everything is mapped here by name, once.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

CODE = {"volition": "volition", "volition.nodes": "nodes"}
DATA = {"volition.graphs": "graphs", "volition.recordings": "recordings", "volition.models": "models"}
LINK = Path("volition", "nodes")


class CleanBuildPy(build_py):
    """Builds from nothing: what an earlier build left behind would travel in the wheel."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


def packages_in(package: str, folder: str) -> list[str]:
    """Names of the package and of all packages below it."""
    return [package, *(f"{package}.{name}" for name in find_packages(folder, exclude=["nodes", "nodes.*"]))]


def data_in(folder: str, *, skip: tuple[str, ...]) -> list[str]:
    """Files below a folder that are not modules, relative to it."""
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file() and path != LINK)
    return [
        path.relative_to(folder).as_posix()
        for path in files
        if path.suffix not in skip and "__pycache__" not in path.parts
    ]


# A folder without files would not be found in a source package.
data = {package: folder for package, folder in DATA.items() if Path(folder).is_dir()}

setup(
    cmdclass={"build_py": CleanBuildPy},
    package_dir={**CODE, **data},
    packages=[name for package, folder in CODE.items() for name in packages_in(package, folder)] + list(data),
    package_data={
        **{package: data_in(folder, skip=(".py", ".pyc")) for package, folder in CODE.items()},
        **{package: data_in(folder, skip=(".pyc",)) for package, folder in data.items()},
    },
)
