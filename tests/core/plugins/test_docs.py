"""The example in docs/plugins.md is a plugin that works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gesso.plugins.boundary import State
from gesso.plugins.dispatch import MAX_ERRORS
from gesso.plugins.events import MAX_WAITING
from gesso.plugins.verdicts import PROBE_SECONDS


def test_the_example_is_loaded(site, repository: Path):
    page = (repository / "docs" / "plugins.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", page, flags=re.DOTALL))
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    site.add(project["name"], files, points=project["entry-points"]["gesso"], version=project["version"])
    result = site.load(
        "sampler = host.registry('samplers').get('Halfway')\n"
        "result = [host.states[0].state, host.registry('samplers').owner('halfway'), sampler.run.load().__name__]"
    )
    assert result == ["enabled", "gesso-halfway:halfway", "halfway"]


def test_the_page_says_what_the_code_does(repository: Path):
    page = (repository / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert {1: "one", 2: "two", 3: "three"}[MAX_ERRORS] + " errors" in page
    assert f"one queue of {MAX_WAITING} per plugin" in page
    assert f"{PROBE_SECONDS:g} seconds, killed" in page
    for state in State.__args__:
        assert f"| `{state}` |" in page
