"""The rules of the house that a newcomer relies on: where things are, and what they are called."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE_ROOTS = {
    "core": "gesso", "ui": "gesso_ui", "builtin_extensions": "gesso_builtin", "extension_smoke": "gesso_smoke",
}  # fmt: skip
LONGEST_FUNCTION = 60
LONGEST_FILE = 600


def own_files(folder: Path) -> Iterator[Path]:
    """Python files that people wrote: no caches, no migrations that a tool generated."""
    for path in sorted(folder.rglob("*.py")):
        if not {"__pycache__", "versions"} & set(path.parts):
            yield path


def all_sources(repository: Path) -> Iterator[Path]:
    yield repository / "launch.py"
    for root in (*SOURCE_ROOTS, "tools", "benchmarks"):
        yield from own_files(repository / root)
    for package in sorted((repository / "plugins").glob("*/gesso_*")):
        yield from own_files(package)


@pytest.mark.parametrize("root", [*SOURCE_ROOTS, "plugins", "tests", "docs"])
def test_roots_are_no_packages(repository: Path, root: str):
    assert not (repository / root / "__init__.py").exists()


@pytest.mark.parametrize(("root", "package"), SOURCE_ROOTS.items())
def test_a_source_root_holds_its_one_package_and_nothing_else(repository: Path, root: str, package: str):
    """An editable install puts the root on the path: whatever lay in it would be importable."""
    found = {path.name for path in (repository / root).iterdir()} - {"__pycache__"}
    assert found == {package}
    assert (repository / root / package / "__init__.py").is_file()
    assert (repository / root / package / "py.typed").is_file()


def test_every_folder_with_python_is_a_package(repository: Path):
    """A folder without __init__.py would be a namespace, which two distributions can share by accident."""
    folders = {path.parent for root, package in SOURCE_ROOTS.items() for path in own_files(repository / root / package)}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_built_in_is_an_entry_point(project_file, built_ins):
    expected = {name: f"gesso_builtin.{name}.plugin" for name in built_ins}
    assert project_file["project"]["entry-points"]["gesso"] == expected
    assert list(project_file["project"]["entry-points"]["gesso"]) == sorted(expected)
    assert len(expected) > 0


def test_a_feature_has_one_name_everywhere(repository: Path, built_ins):
    lacking = []
    for name in built_ins:
        if not list((repository / "tests" / "builtin" / name).glob("test_*.py")):
            lacking.append(f"tests/builtin/{name}/test_*.py")
        if not (repository / "docs" / "features" / f"{name}.md").is_file():
            lacking.append(f"docs/features/{name}.md")
    assert lacking == []


def test_no_page_and_no_tests_for_a_feature_that_is_not_there(repository: Path, built_ins, plugin_folders):
    features = {*built_ins, *(folder.name for folder in plugin_folders)}
    pages = {path.stem for path in (repository / "docs" / "features").glob("*.md")}
    tests = {path.name for path in (repository / "tests" / "builtin").iterdir() if path.is_dir()} - {"__pycache__"}
    assert pages - features == set()
    assert tests - set(built_ins) == set()


def test_a_plugin_is_named_like_its_folder(repository: Path, plugin_folders):
    for folder in plugin_folders:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        package = f"gesso_{folder.name}"
        assert project["name"] == "gesso-" + folder.name.replace("_", "-")
        assert set(project["entry-points"]["gesso"].values()) == {f"{package}.plugin"}, folder.name
        assert (folder / package / "py.typed").is_file()
        assert (repository / "docs" / "features" / f"{folder.name}.md").is_file()
        for wanted in ("README.md", "CHANGELOG.md"):
            assert (folder / wanted).is_file(), f"{folder.name} has no {wanted}"
        assert list((folder / "tests").glob("test_*.py")), f"{folder.name} has no tests"


def test_functions_and_files_can_be_read_at_a_glance(repository: Path):
    long = []
    for path in all_sources(repository):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(repository)
        if text.count("\n") > LONGEST_FILE:
            long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{name}:{node.lineno} {node.name}: {lines} lines")
    assert long == []
