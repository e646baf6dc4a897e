"""Facts about the tree that the layout tests share."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def project_file(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def built_ins(repository: Path) -> list[str]:
    """The features that ship in the main wheel: folders with a plugin.py."""
    found = (repository / "builtin_extensions" / "gesso_builtin").glob("*/plugin.py")
    return sorted(path.parent.name for path in found)


@pytest.fixture(scope="session")
def plugin_folders(repository: Path) -> list[Path]:
    """The bundled plugins, each a distribution of its own."""
    return sorted(path.parent for path in (repository / "plugins").glob("[!_.]*/pyproject.toml"))
