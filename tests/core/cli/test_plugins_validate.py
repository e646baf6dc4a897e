"""`gesso plugins validate`: what can be told from the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesso.cli.plugins import KINDS
from gesso.cli.plugins_new import new_plugin
from gesso.cli.plugins_validate import validate
from gesso.errors import BadFileError

GOOD = 'from gesso import hookimpl\napi = "1"\n\n@hookimpl\ndef gesso_register_samplers(registry): pass\n'


@pytest.mark.parametrize("kind", KINDS)
def test_new_projects_are_fine(kind: str, tmp_path: Path) -> None:
    new_plugin("fine", kind, tmp_path)
    assert validate(tmp_path / "gesso-fine") == []


def test_bundled_plugins_are_fine(repository: Path) -> None:
    found = sorted((repository / "builtin_extensions" / "gesso_builtin").glob("*/plugin.py"))
    assert len(found) > 5
    assert [str(problem) for path in found for problem in validate(path)] == []


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('api = "1"\n', "\n", 1, "declares no api"),
        ('api = "1"', 'api = "99"', 2, "not one this gesso supports"),
        ("register_samplers", "register_sampler", 5, "Did you mean gesso_register_samplers?"),
        ("(registry)", "(samplers)", 5, "no argument 'samplers'; it has: registry"),
        ("@hookimpl\n", "\n", 5, "never called"),
        ("@hookimpl\n", "@hookimpl(wrapper=True)\n", 5, "choose hooks only"),
        ("def gesso", "async def gesso", 5, "plain functions"),
        ("api =", "import torch.nn\napi =", 2, "imports torch.nn"),
        ("api =", "try:\n    import gradio\nexcept ImportError:\n    pass\napi =", 3, "imports gradio"),
        ("api =", "if True:\n    from diffusers import X\napi =", 3, "imports diffusers"),
        ("pass", "pass pass", 5, "cannot be read"),
        ("api =", "capabilities = ('teleport',)\napi =", 2, "unknown capabilities: teleport"),
        ("api =", "capabilities = tuple(x)\napi =", 2, "no plain tuple"),
    ],
)
def test_a_wrong_module(old: str, new: str, line: int, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD.replace(old, new, 1))
    (problem,) = validate(path)
    assert said in problem.text
    assert problem.line == line


def test_what_only_type_checkers_and_functions_import_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD + "\nif TYPE_CHECKING:\n    import torch\n\n\ndef later():\n    import torch\n")
    assert validate(path) == []


def test_an_unknown_hook_may_be_optional(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD + "\n@hookimpl(optionalhook=True)\ndef gesso_on_moonrise(moon): pass\n")
    assert validate(path) == []


def test_nothing_is_imported(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD + f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert validate(path) == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('description = "', 'summary = "', "no description"),
        ('dependencies = ["gesso"]', "dependencies = []", "do not name gesso"),
        ("entry-points.gesso", "entry-points.other", "no entry point"),
        ('.plugin"', '.plugins"', "is not here"),
        ("[project]", "[project", "cannot be read"),
    ],
)
def test_a_wrong_project(old: str, new: str, said: str, tmp_path: Path) -> None:
    new_plugin("wrong", "sampler", tmp_path)
    file = tmp_path / "gesso-wrong" / "pyproject.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    assert [said in problem.text for problem in validate(file.parent)] == [True]


def test_no_plugin_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"neither pyproject.toml nor plugin.py"):
        validate(tmp_path)
