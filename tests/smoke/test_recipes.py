"""Recipes: a third party's plugin from a file, installed aside, checked, and nothing of it left here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gesso import BadFileError
from gesso.testing import find_plugins
from gesso_smoke.recipes import read_recipes

RECIPES = Path(__file__).with_name("recipes")


def smoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "gesso", "smoke", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.slow
def test_the_example_is_installed_aside_and_checked() -> None:
    done = smoke("--recipe", str(RECIPES), "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["plugins"]
    assert (row["plugin"], row["version"], row["built_in"]) == ("gesso-tidy:tidy", "0.3", False)
    outcomes = {check["check"]: check["outcome"] for check in row["checks"]}
    assert (outcomes["install"], outcomes["params_infotext"], outcomes["described"]) == ("pass", "pass", "gap")
    assert "demo_picture" not in outcomes
    assert "gesso-tidy" not in {plugin.dist for plugin in find_plugins()}


@pytest.mark.slow
def test_what_cannot_be_installed_is_a_failed_check(tmp_path: Path) -> None:
    (tmp_path / "nobody.toml").write_text('install = ["./nobody"]\npip = ["--no-index"]\n')
    done = smoke("--recipe", str(tmp_path / "nobody.toml"), "--json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)["plugins"]
    (check,) = row["checks"]
    assert (row["plugin"], check["check"], check["outcome"]) == ("recipe:nobody", "install", "fail")
    assert "nobody" in check["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "what to install"), ("install = 'x'", "wrong type"), ("install = []", "what to install"), ("a = 1", "'a'"),
     ("install = [", "Invalid"), ("install = ['x']\nchecks = ['prob']", "no check 'prob'"),
     ("install = ['x']\n[[gap]]\ncheck = 'probe'", "reason")],
)  # fmt: skip
def test_what_is_no_recipe_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(BadFileError, match=said):
        read_recipes([file])


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no recipe"):
        read_recipes([tmp_path])
