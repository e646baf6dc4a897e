"""What is in the wheel and in the sdist: everything that runs, nothing that does not."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PACKAGES = {
    "gesso": "core", "gesso_ui": "ui", "gesso_builtin": "builtin_extensions", "gesso_smoke": "extension_smoke",
}  # fmt: skip


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sdist of the present tree, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-P", "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, check=True, cwd=repository, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("gesso-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def tracked(repository: Path, *folders: str) -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--", *folders]
    listed = subprocess.run(command, check=True, cwd=repository, capture_output=True, text=True).stdout.split("\0")
    return [name for name in listed if name and (repository / name).is_file()]


def test_every_file_of_the_packages_is_in_the_wheel(wheel: zipfile.ZipFile, repository: Path):
    """Data files too: locales, vocabularies, the demo model, py.typed."""
    names = set(wheel.namelist())
    expected = {name.partition("/")[2] for name in tracked(repository, *PACKAGES.values())}
    assert expected - names == set()
    assert len(expected) > len(PACKAGES)


def test_nothing_else_is_in_the_wheel(wheel: zipfile.ZipFile):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    (info,) = tops - set(PACKAGES)
    assert info.endswith(".dist-info")
    # The templates of `gesso plugins new` bring the tests of the plugins they make.
    names = [name for name in wheel.namelist() if not name.startswith("gesso/cli/templates/")]
    odd = [name for name in names if "__pycache__" in name or "/tests/" in name or name.endswith(".pyc")]
    assert odd == []


def test_the_tested_versions_come_along(wheel: zipfile.ZipFile, repository: Path):
    """`gesso plugins install` holds to them what the core needs."""
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/extra_metadata/constraints.txt")]
    assert wheel.read(name) == (repository / "constraints.txt").read_bytes()


def test_metadata_and_entry_points(wheel: zipfile.ZipFile, built_ins):
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    assert parser["console_scripts"]["gesso"] == "gesso.cli.main:main"
    assert set(parser["gesso"]) == set(built_ins)
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(wheel.namelist())


def test_the_sdist_builds_the_same_packages(built: Path, repository: Path):
    (path,) = built.glob("gesso-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = set(tracked(repository, *PACKAGES.values())) | {"pyproject.toml", "README.md", "LICENSE", "NOTICE"}
    assert expected - names == set()
    assert not [name for name in names if name.startswith(("plugins/", ".venv", ".tox", "dist/"))]
