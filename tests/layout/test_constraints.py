"""constraints.txt: exact, complete, and without anything of the machine it was made on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def pins(repository: Path) -> dict[str, str]:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in entries if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line)] == []
    return {canonicalize_name(name): version for name, _, version in (entry.partition("==") for entry in entries)}


def test_every_direct_dependency_is_pinned_within_its_bounds(project_file, pins):
    project = project_file["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    for line in lines:
        requirement = Requirement(line)
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), f"{line}, but {version} is pinned"


def test_torch_is_the_tested_one(pins):
    assert pins["torch"] == "2.13.0"


def test_dependencies_have_lower_bounds_only(project_file):
    """An upper bound here would stop people who know better; the tested versions are the constraints' matter."""
    for line in project_file["project"]["dependencies"]:
        assert {specifier.operator for specifier in Requirement(line).specifier} == {">="}, line
