"""Every text that page and built-ins name is there in English; what is translated is of use; `gesso i18n report`."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesso import Catalog, Service
from gesso.paths import Paths
from gesso.testing import load_host
from gesso_ui.texts import catalog_of

ROOT = Path(__file__).parents[3]
OURS = ("de", "ja", "zh_CN")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    names = sorted(path.parent.name for path in (ROOT / "builtin_extensions/gesso_builtin").glob("*/plugin.py"))
    with load_host(names) as host:
        yield catalog_of(Service(host, Paths.of(tmp_path_factory.mktemp("home"))))


def sources(*suffixes: str) -> Iterator[Path]:
    for root in ("ui/gesso_ui", "builtin_extensions/gesso_builtin"):
        yield from (path for path in sorted((ROOT / root).rglob("*")) if path.suffix in suffixes)


def keys_of_python(path: Path) -> Iterator[str]:
    """Keys of `text("…")`, those put together from parts as a pattern."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text" and node.args
        ):
            continue
        key = node.args[0]
        has_default = len(node.args) > 1
        if isinstance(key, ast.Constant) and key.value and not has_default:
            yield re.escape(key.value)
        elif isinstance(key, ast.JoinedStr) and not has_default:
            yield "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else r"[\w.]+" for p in key.values)


def test_no_key_is_missing_from_english(catalog: Catalog) -> None:
    missing, count = [], 0
    for path in sources(".py"):
        for pattern in keys_of_python(path):
            count += 1
            if not any(re.fullmatch(pattern, key) for key in catalog.english):
                missing.append(f"{path.relative_to(ROOT)}: {pattern}")
    for path in sources(".js"):
        for key in re.findall(r'\bsay\("([\w.]+)"', path.read_text("utf-8")):
            count += 1
            if key not in catalog.english:
                missing.append(f"{path.relative_to(ROOT)}: {key}")
    assert missing == []
    assert count > 60, "the search finds what it is for"


@pytest.mark.parametrize("language", ["en", *OURS])
def test_nothing_is_stale_or_unusable(catalog: Catalog, language: str) -> None:
    report = catalog.report(language)
    assert report.unusable == ()
    assert report.stale == ()


@pytest.mark.parametrize("language", OURS)
def test_the_shell_and_the_generation_tabs_are_whole(catalog: Catalog, language: str) -> None:
    ours = ("shell.", "js.shell.", "js.live.", "extensions.", "core.", "stages.", "params.img2img.", "params.inpaint.")
    assert [key for key in catalog.report(language).missing if key.startswith(ours)] == []


@pytest.mark.parametrize("language", OURS)
def test_values_keep_their_places(catalog: Catalog, language: str) -> None:
    """A translation without {count} would swallow the number, one with {cuont} would show it."""
    wrong = {}
    for key, english in catalog.english.items():
        words = catalog.get(key, language) or ""
        if set(re.findall(r"\{\w+\}", words)) != set(re.findall(r"\{\w+\}", english)):
            wrong[key] = words
    assert wrong == {}


def test_the_command_lists_what_is_missing_and_a_flat_file_counts(tmp_path: Path) -> None:
    (tmp_path / "locales").mkdir()
    (tmp_path / "locales" / "pl.json").write_text('{"Steps": "Kroki", "Nobody": "Nikt"}', encoding="utf-8")
    command = [sys.executable, "-P", "-m", "gesso", "i18n", "report", "pl", "--json"]
    environment = {"GESSO_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    made = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    (report,) = json.loads(made.stdout)
    assert report["language"] == "pl"
    assert "core.prompt" in report["missing"]
    assert "core.steps" not in report["missing"]
    assert report["stale"] == ["Nobody"]
