"""A tiny project folder with the real launch.py: pip, venv and locks are real, only the packages are small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

# A build backend in the project folder itself: pip builds the editable install with no network. It waits while a file
# `hold` exists, so that a test can kill or overtake an install that is under way.
BACKEND = """
import time, tomllib, zipfile
from pathlib import Path

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    while Path("hold").exists():
        time.sleep(0.05)
    with open("builds.txt", "a") as log:
        log.write("built\\n")
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    name = project["name"]
    info = f"{name.replace('-', '_')}-1.dist-info"
    wheel = f"{name.replace('-', '_')}-1-py3-none-any.whl"
    extras = project.get("optional-dependencies", {})
    needs = "".join(f"Requires-Dist: {need}\\n" for need in project.get("dependencies", []))
    for extra, names in extras.items():
        needs += f"Provides-Extra: {extra}\\n" + "".join(f'Requires-Dist: {n}; extra == "{extra}"\\n' for n in names)
    with zipfile.ZipFile(Path(wheel_directory, wheel), "w") as archive:
        archive.writestr(f"{name}.pth", str(Path("source").resolve()))
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1\\n{needs}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "{name}"
dependencies = {dependencies}
[project.optional-dependencies]
test = ["pytest"]
"""
# What the launcher runs: says what it was given, what is installed beside it, and ends as it is told.
GESSO = """
import importlib.metadata, json, os, sys
if sys.argv[1:3] == ["plugins", "probe"]:
    sys.exit(os.path.exists(os.path.join(os.path.dirname(__file__), "..", "broken")))
if sys.argv[1:2] == ["exit"]:
    sys.exit(int(sys.argv[2]))
installed = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
json.dump({"arguments": sys.argv[1:], "cwd": os.getcwd(), "installed": installed, "path": sys.path}, sys.stdout)
"""
FAKE_PYTEST = "import json, os, sys; json.dump({'arguments': sys.argv[1:], 'cwd': os.getcwd()}, sys.stdout)\n"


def write_wheel(folder: Path, name: str, version: str, source: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


class Project:
    """A clone in small; `launch` runs its launch.py as a person would."""

    def __init__(self, root: Path, wheels: Path) -> None:
        self.root = root
        self.venv = root / ".venv"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        self.environment |= {
            "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_RETRIES": "1",
        }  # fmt: skip

    def write_project(self, where: str, name: str, dependencies: list[str]) -> None:
        folder = self.root / where
        (folder / "source").mkdir(parents=True, exist_ok=True)
        (folder / "backend.py").write_text(BACKEND)
        (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name, dependencies=dependencies))

    def launch(self, *arguments: str, cwd: Path | None = None, **environment: str) -> SimpleNamespace:
        child = self.start(*arguments, cwd=cwd, **environment)
        out, err = child.communicate(timeout=120)
        return SimpleNamespace(code=child.returncode, out=out, err=err)

    def start(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.root / "launch.py"), *arguments]
        return subprocess.Popen(
            command, cwd=cwd or self.root, env=self.environment | environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def builds(self) -> int:
        """How often pip has built the project: once an install."""
        log = self.root / "builds.txt"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    write_wheel(folder, "tinydep", "1")
    write_wheel(folder, "tinydep", "2")
    write_wheel(folder, "pytest", "99", FAKE_PYTEST)
    return folder


@pytest.fixture(scope="session")
def pip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pip alone, to be seen from environments that were made without it."""
    import pip

    folder = tmp_path_factory.mktemp("pip")
    shutil.copytree(Path(pip.__file__).parent, folder / "pip")
    return folder


@pytest.fixture
def project(tmp_path: Path, repository: Path, wheels: Path) -> Project:
    """A project nothing is installed for yet, in a folder with a blank in its name."""
    root = tmp_path / "a clone"
    root.mkdir()
    shutil.copy(repository / "launch.py", root)
    made = Project(root, wheels)
    made.write_project(".", "gesso", ["tinydep"])
    (root / "source" / "gesso").mkdir()
    (root / "source" / "gesso" / "__main__.py").write_text(GESSO)
    (root / "constraints.txt").write_text("tinydep==1\n")
    made.write_project("plugins/one", "gesso-one", [])
    made.write_project("plugins/_template", "gesso-template", ["not-to-be-had"])
    return made


@pytest.fixture
def ready(project: Project, pip_folder: Path) -> Project:
    """The project with an empty .venv, made without the seconds that ensurepip takes."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project.venv], check=True)
    (packages,) = project.venv.glob("lib/python3*/site-packages")
    (packages / "pip.pth").write_text(str(pip_folder))
    return project


@pytest.fixture
def launcher(repository: Path) -> SimpleNamespace:
    """launch.py as a module, loaded by its path."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("gesso_launch_under_test", repository / "launch.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module  # type: ignore[return-value]
