"""The façade: every name loads, checkers and table agree, light names stay light."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import gesso

HEAVY = ("torch", "diffusers", "transformers", "gradio", "bitsandbytes")


def test_every_public_name_loads() -> None:
    for name in gesso.__all__:
        assert getattr(gesso, name) is not None


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        gesso.no_such_name  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(str(gesso.__file__)).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {
        (statement.module, alias.asname)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    table = {(home, name) for home, names in gesso._HOMES.items() for name in names}
    assert seen == table


def test_names_do_not_hide_modules() -> None:
    for name in gesso.__all__:
        with pytest.raises(ImportError):
            importlib.import_module(f"gesso.{name}")


@pytest.mark.parametrize(
    "arguments",
    [["-c", "import gesso; gesso.hookimpl; gesso.Sampler; gesso.SamplerFn; gesso.Params"], ["-m", "gesso", "--help"],
     ["-m", "gesso", "plugins", "list"], ["-m", "gesso", "samplers"], ["-m", "gesso", "models", "list"],
     ["-m", "gesso", "explain"]],
)  # fmt: skip
def test_light_commands_import_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "gesso" in imported
    assert not imported & set(HEAVY)
