"""A throw-away environment: what is installed here, and beside it whatever wheels a test builds and installs with pip.

Nothing here needs a network: wheels are built by hatchling in this environment and installed from their files.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BUILD = """
import os, sys
from hatchling.build import build_wheel
for folder in sys.argv[2:]:
    os.chdir(folder)
    build_wheel(sys.argv[1])
"""


@dataclass(frozen=True)
class Source:
    """A distribution to build. `files` by path; `points` are its entry points in the group `gesso`.

    Without `points` it has one of its own name, without "gesso-", at `<package>.plugin`.
    """

    name: str
    files: Mapping[str, str]
    points: Mapping[str, str] | None = None
    version: str = "1.0"
    requires: Sequence[str] = ()
    more: str = ""
    """Further lines of pyproject.toml."""

    @property
    def package(self) -> str:
        return re.sub(r"[-.]+", "_", self.name)

    def write(self, folder: Path) -> Path:
        """The project's folder, ready to be built."""
        project = folder / f"{self.name}-{self.version}"
        for name, text in self.files.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        points = self.points
        if points is None:
            points = {self.package.removeprefix("gesso_"): f"{self.package}.plugin"}
        lines = "".join(f'{name} = "{value}"\n' for name, value in points.items())
        requires = ", ".join(f'"{line}"' for line in self.requires)
        (project / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            f'[project]\nname = "{self.name}"\nversion = "{self.version}"\nrequires-python = ">=3.11"\n'
            f"dependencies = [{requires}]\n"
            f"[project.entry-points.gesso]\n{lines}"
            f'[tool.hatch.build.targets.wheel]\ninclude = ["*.py"]\n{self.more}',
            encoding="utf-8",
        )
        return project


@dataclass
class Overlay:
    """A virtual environment in `folder` that sees everything this one has; installing there changes nothing here."""

    folder: Path
    home: Path = field(init=False)
    """GESSO_HOME of what `run` starts."""

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        venv.create(self.folder / "venv", symlinks=os.name == "posix", with_pip=False)
        self.home.mkdir(exist_ok=True)
        places = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        # addsitedir, so that the .pth files there count too: an editable gesso is one.
        lines = "".join(f"import site; site.addsitedir({place!r})\n" for place in dict.fromkeys(places))
        (self.site / "_beside.pth").write_text(lines, encoding="utf-8")

    @property
    def python(self) -> Path:
        return self.folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def site(self) -> Path:
        """Where its own distributions lie."""
        root = self.folder / "venv"
        variables = {"base": str(root), "platbase": str(root)}
        return Path(sysconfig.get_path("purelib", "venv", variables))

    def environment(self, **more: str) -> dict[str, str]:
        """The variables its processes get."""
        clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
        return {
            **clean,
            "GESSO_HOME": str(self.home),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            **more,
        }

    def run(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Its Python with these arguments (`-m`, `gesso`, …); output is captured, a failure raises with it."""
        environment = self.environment(**options.pop("env", {}))
        done = subprocess.run(
            [str(self.python), *arguments], capture_output=True, text=True, env=environment, check=False, **options
        )
        if check and done.returncode:
            raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done

    def build(self, *sources: Source) -> list[Path]:
        """Their wheels, in this order."""
        wheels = self.folder / "wheels"
        wheels.mkdir(exist_ok=True)
        projects = [str(source.write(self.folder / "projects")) for source in sources]
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(wheels), *projects], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"The wheels could not be built:\n{done.stderr[-4000:]}")
        return [wheels / f"{s.package}-{s.version}-py3-none-any.whl" for s in sources]

    def pip(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """pip for this environment, with no index: `pip("install", "--no-deps", str(wheel))`."""
        where = ["--no-index", "--find-links", str(self.folder / "wheels")] if arguments[0] == "install" else []
        return self.run("-m", "pip", arguments[0], *where, *arguments[1:], check=check)

    def install(self, *sources: Source) -> None:
        """Build wheels and install them with pip in one go; nothing they require is looked for."""
        self.pip("install", "--quiet", "--no-deps", "--no-compile", *map(str, self.build(*sources)))
