"""`gesso plugins new`: from nothing to a sampler in three commands; every kind's project passes as it is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gesso.cli.plugins import KINDS
from gesso.cli.plugins_new import kinds, new_plugin
from gesso.errors import InvalidInputError, UnknownNameError

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps", "--no-index",
       "--no-build-isolation", "--target"]  # fmt: skip


def run(*command: str, site: Path, home: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "GESSO_HOME": str(home)}
    return subprocess.run(
        list(command), env=environment, cwd=cwd, capture_output=True, text=True, timeout=1800, check=False
    )


@pytest.mark.slow
def test_three_commands_from_nothing_to_a_sampler(tmp_path: Path) -> None:
    site, home = tmp_path / "site", tmp_path / "home"
    gesso = (sys.executable, "-m", "gesso")
    made = run(*gesso, "plugins", "new", "my-midpoint", "--kind", "sampler", site=site, home=home, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    done = run(*PIP, str(site), str(tmp_path / "gesso-my-midpoint"), site=site, home=home)
    assert done.returncode == 0, done.stderr
    listed = run(*gesso, "samplers", "--json", site=site, home=home)
    mine = {s["name"]: s for s in json.loads(listed.stdout)}["my_midpoint"]
    assert mine["plugin"] == "gesso-my-midpoint:my_midpoint"
    assert mine["options"] == ["where=0.5"]


def test_every_template_is_a_kind_and_fits_the_house(tmp_path: Path, repository: Path) -> None:
    assert sorted(KINDS) == kinds()
    for kind in KINDS:
        for path in new_plugin(f"a-{kind}", kind, tmp_path):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in ("@name@", "@package@", "@Class@", "@label@", "@dist@") if word in text], path
            if path.suffix == ".py":
                compile(text, str(path), "exec")
                assert max(map(len, text.splitlines()), default=0) <= 120


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "..", "ä"])
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be a plugin's name"):
        new_plugin(name, "sampler", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_overwrites_nothing_and_knows_its_kinds(tmp_path: Path) -> None:
    new_plugin("gesso-once", "tab", tmp_path)
    with pytest.raises(InvalidInputError, match="is there already"):
        new_plugin("once", "tab", tmp_path)
    with pytest.raises(UnknownNameError, match="sampler"):
        new_plugin("other", "sampelr", tmp_path)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of every kind, all installed by pip into one folder `site`."""
    root = tmp_path_factory.mktemp("projects")
    for kind in KINDS:
        new_plugin(f"try-{kind}", kind, root)
    folders = [str(root / f"gesso-try-{kind}") for kind in KINDS]
    done = run(*PIP, str(root / "site"), *folders, site=root / "site", home=root / "home")
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.slow
def test_all_kinds_pass_the_smoke_suite_together(projects: Path) -> None:
    names = [f"gesso-try-{kind}" for kind in KINDS]
    command = (sys.executable, "-m", "gesso", "smoke", *names, "--json")
    done = run(*command, site=projects / "site", home=projects / "home")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [plugin["outcome"] for plugin in document["plugins"]] == ["pass"] * len(KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_projects_own_tests_pass(kind: str, projects: Path) -> None:
    folder = projects / f"gesso-try-{kind}"
    done = run(
        sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", site=projects / "site",
        home=projects / "home", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
