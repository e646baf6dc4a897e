"""Who may import what. import-linter (`tox -e lint`) holds the contracts inside the main wheel; here is the rest."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAVY = {"torch", "diffusers", "transformers", "gradio", "bitsandbytes", "accelerate", "scipy"}
LIGHT = [
    "gesso",
    "gesso.plugins",
    "gesso.params",
    "gesso.registry",
    "gesso.cli.main",
    "gesso.metadata",
    "gesso.models.headers",
    "gesso.models.library",
    "gesso.jobs.worker_executor",
    "gesso.serving",
    "gesso.store",
    "gesso.telemetry",
]


def imported_names(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each absolute import in the folder's files, wherever in the file it stands."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield path, node.module


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_bring_in_nothing_heavy(module: str):
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list", "--json"]])
def test_light_commands_bring_in_nothing_heavy(arguments: list[str], gesso_home):
    """With the plugins loaded, and after the start that probes them."""
    code = (
        "import sys\nfrom gesso.cli.main import main\n"
        f"sys.argv = ['gesso', *{arguments!r}]\n"
        f"try:\n    main()\nfinally:\n    print('heavy:', *sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    for _ in range(2):
        result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert result.stderr.splitlines()[-1].split() == ["heavy:"]


def test_plugins_import_public_names_only_and_never_each_other(plugin_folders):
    wrong = []
    for folder in plugin_folders:
        own = f"gesso_{folder.name}"
        for path, name in imported_names(folder / own):
            top = name.partition(".")[0]
            private = top == "gesso" and name != "gesso" and not f"{name}.".startswith("gesso.testing.")
            neighbour = top.startswith("gesso_") and top != own
            if private or neighbour:
                wrong.append(f"{path.relative_to(folder.parent)}: {name}")
    assert wrong == []


def declared(project: dict[str, Any], *extras: str) -> set[str]:
    lines = list(project.get("dependencies", []))
    for extra in extras:
        lines += project.get("optional-dependencies", {}).get(extra, [])
    return {canonicalize_name(Requirement(line).name) for line in lines}


def undeclared(folders: list[Path], allowed: set[str], own: set[str]) -> list[str]:
    """Third-party imports below the folders that belong to no allowed distribution."""
    owners = packages_distributions()
    found = set()
    for folder in folders:
        for path, name in imported_names(folder):
            top = name.partition(".")[0]
            if top in sys.stdlib_module_names or top in own:
                continue
            distributions = {canonicalize_name(owner) for owner in owners.get(top, [top])}
            if not distributions & allowed:
                found.add(f"{path.name}: {top}")
    return sorted(found)


def test_what_is_imported_is_declared(repository: Path, project_file):
    """An import that works only because some other package happens to bring it breaks when that package changes."""
    own = {"gesso", "gesso_ui", "gesso_builtin", "gesso_smoke"}
    roots = [repository / "core", repository / "ui", repository / "builtin_extensions", repository / "extension_smoke"]
    testing = repository / "core" / "gesso" / "testing"
    assert undeclared(roots, declared(project_file["project"], "test"), own) == []
    shipped = [path for root in roots for path in root.glob("*/*") if path.is_dir() and path != testing]
    assert undeclared(shipped, declared(project_file["project"]), own) == []


def test_what_a_plugin_imports_is_declared(plugin_folders, project_file):
    ours = declared(project_file["project"])
    for folder in plugin_folders:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        package = f"gesso_{folder.name}"
        assert "gesso" in declared(project)
        assert undeclared([folder / package], declared(project) | ours, {"gesso", package}) == []
