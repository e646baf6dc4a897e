"""Deliberately wrong plugins: each is caught by its own check, and no other check fails."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from gesso.testing import find_plugins
from gesso_smoke.rules import ORDER
from gesso_smoke.run import Result, check_plugins

pytestmark = pytest.mark.slow


def _texts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wrong_plugins", Path(__file__).with_name("wrong.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRONG: Mapping[str, Mapping[str, str]] = _texts().WRONG
DEAR = {"demo_picture", "weights_restored", "adapter_applies"}
CHEAP = [name for name in ORDER if name not in DEAR]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugins folder with all of them: single files, and packages where code must lie apart."""
    root = tmp_path_factory.mktemp("wrong")
    for name, files in WRONG.items():
        for part, text in files.items():
            file = part if "." in part else f"{part}.py"
            path = root / f"bad_{name}" / file if part else root / f"bad_{name}.py"
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text.replace("Wrong one", f"Wrong {name}"), encoding="utf-8")
        if "plugin" in files:
            (root / f"bad_{name}" / "__init__.py").touch()
    return root


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, list[Result]]:
    """All checks over all of them; demo pictures only where they are the rule that is broken, since they are dear."""
    names = {f"bad_{name}": name for name in WRONG}
    plugins = find_plugins(list(names), plugins_dir=folder)
    dear = [plugin for plugin in plugins if names[plugin.name] in DEAR]
    rest = [plugin for plugin in plugins if plugin not in dear]
    found = check_plugins(rest, plugins_dir=folder, checks=CHEAP) + check_plugins(dear, plugins_dir=folder)
    return {name: [r for r in found if r.plugin == f"local:{id_}"] for id_, name in names.items()}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_caught_by_its_own_check_and_by_no_other(name: str, results: dict[str, list[Result]]) -> None:
    failed = {result.check: result.message for result in results[name] if result.outcome == "fail"}
    assert set(failed) == {name}, failed
    assert len(failed[name]) > 20  # a sentence that says what is wrong


def test_every_check_has_a_plugin_that_breaks_it() -> None:
    assert set(WRONG) | {"metadata"} == set(ORDER)


METADATA = "Metadata-Version: 2.1\nName: gesso-silent\nVersion: 1.0\n"
SAID = "Summary: Says what it is\nLicense-Expression: MIT\nRequires-Python: >=3.11\nRequires-Dist: gesso\n\n# Silent\n"


@pytest.mark.parametrize(("text", "fails"), [(METADATA, True), (METADATA + SAID, False)])
def test_a_distribution_that_does_not_say_what_it_is(text: str, fails: bool, tmp_path: Path) -> None:
    info = tmp_path / "gesso_silent-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(text)
    (info / "entry_points.txt").write_text("[gesso]\nsilent = gesso_silent\n")
    (tmp_path / "gesso_silent.py").write_text('"""Says nothing."""\napi = "1"\n')
    done = subprocess.run(
        [sys.executable, "-m", "gesso", "smoke", "silent", "--check", "metadata", "--check", "probe"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == int(fails), done.stdout + done.stderr
    assert ("a summary" in done.stdout) == fails
