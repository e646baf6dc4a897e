"""`gesso settings`: shown, changed, given back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gesso.cli.main import root

RUNNER = CliRunner()


def run(*arguments: str, code: int = 0) -> Any:
    result = RUNNER.invoke(root, ["settings", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_set_list_and_reset(gesso_home: Path) -> None:
    run("set", "outputs.format=webp", "outputs.sidecar=true", "format.webp.quality=91", "worker.preview_side=256")
    shown = json.loads(run("list", "--json").stdout)
    assert (shown["outputs"]["format"], shown["outputs"]["sidecar"], shown["format.webp"]["quality"]) == (
        "webp", True, 91,
    )  # fmt: skip
    assert {"core", "models", "worker", "outputs", "format.png"} <= set(shown)
    assert "outputs.format        webp*" in run("list", "outputs").stdout
    run("reset", "outputs.format", "format.webp")
    shown = json.loads(run("list", "--json").stdout)
    assert (shown["outputs"]["format"], shown["outputs"]["sidecar"], shown["format.webp"]["quality"]) == (
        "png", True, 80,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "outputs.format"], "section.field=value"),
        (["set", "outputs.fromat=png"], "Did you mean"),
        (["set", "otuputs.format=png"], "settings section"),
        (["set", "format.jpeg.quality=900"], "less than or equal to 100"),
        (["set", "outputs.sidecar=true", "outputs.prompt_words=x"], "prompt_words"),
        (["reset", "nothing"], "names no field"),
        (["list", "nothing"], "settings section"),
    ],
)
def test_what_is_wrong_is_one_error_and_changes_nothing(gesso_home: Path, arguments: list[str], message: str) -> None:
    assert message in run(*arguments, code=2).stderr
    assert not (gesso_home / "settings" / "settings.json").exists()
