"""The authors' pages: all of their Python runs, and what they list is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import gesso_smoke
from gesso_smoke.rules import all_rules


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def pages(repository: Path) -> Path:
    return repository / "docs" / "plugin_author"


@pytest.mark.parametrize("name", ["types", "testing"])
def test_all_python_of_the_page_runs(name: str, pages: Path, tmp_path: Path) -> None:
    """Block after block in one namespace, in a fresh process."""
    code = blocks(pages / f"{name}.md", "python")
    assert len(code) >= 3
    script = tmp_path / f"{name}_page.py"
    script.write_text("\n\n".join(code), encoding="utf-8")
    done = subprocess.run([sys.executable, "-P", str(script)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's project, file by file; the first line of a block names the file."""
    root = tmp_path_factory.mktemp("tutorial")
    for language in ("toml", "markdown", "python"):
        for block in blocks(repository / "docs" / "plugin_author" / "tutorial.md", language):
            name, _, text = block.partition("\n")
            path = root / name.removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return root


def run(project: Path, *command: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project / "site"), "GESSO_HOME": str(home)}
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def test_the_tutorials_project_is_whole(project: Path) -> None:
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    module = settings["project"]["entry-points"]["gesso"]["halfway"]
    assert (project / f"{module.replace('.', '/')}.py").is_file()
    assert (project / settings["project"]["readme"]).is_file()


@pytest.mark.slow
def test_the_tutorial_works(project: Path, tmp_path: Path) -> None:
    """pip installs it, it is listed, it passes the contracts of its own tests."""
    pip = ("-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps", "--no-index",
           "--no-build-isolation", "--target", "site", ".")  # fmt: skip
    for command in (pip, ("-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")):
        done = run(project, *command, home=tmp_path)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    listed: list[dict[str, Any]] = json.loads(run(project, "-m", "gesso", "samplers", "--json", home=tmp_path).stdout)
    assert {s["name"]: s["plugin"] for s in listed}["halfway"] == "gesso-halfway:halfway"


def test_the_table_of_checks_is_the_suites(pages: Path) -> None:
    text = (pages / "testing.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", text, flags=re.MULTILINE) == [(r.name, r.title) for r in all_rules()]


def test_every_contract_is_named(pages: Path) -> None:
    text = (pages / "testing.md").read_text(encoding="utf-8")
    for name in gesso_smoke.__all__:
        if name.endswith("Contract") and name != "Contract":
            assert f"`{name}`" in text


def test_every_type_of_the_worker_and_the_host_has_its_example(pages: Path) -> None:
    """Those a plugin's functions are given or give back; records have their templates."""
    code = "\n".join(blocks(pages / "types.md", "python"))
    wanted = {
        "FileRef", "Artifact", "ModelRef", "Request", "Job", "JobEvent", "PluginState", "Metric", "Match", "Header",
        "Latents", "Cond", "DiscreteSampling", "ModelInput", "Prediction", "Step", "RunContext", "StashKey", "Output",
        "TaskContext", "AdapterMatch", "AdapterPatch", "AdapterTarget", "AdapterUse", "RouteFn",
    }  # fmt: skip
    assert {name for name in wanted if not re.search(rf"\b{name}[(\[:]|\b{name}\b", code)} == set()
