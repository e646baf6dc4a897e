"""Retired things still work, say so with file and line, and show in the plugin's row; each has a page and a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import gesso
from gesso import deprecated
from gesso.deprecated import GessoDeprecationWarning, Retirement
from gesso.plugins import boundary
from gesso.plugins.host import Host, Selection

OLD = Retirement("gesso.Smpler", "0.9", "Use gesso.Sampler.", replaced_by="gesso.contributions:Sampler")
PLUGIN = """
import gesso
from gesso import hookimpl
api = "1"
Old = gesso.{name}

@hookimpl
def gesso_filter_prompt(prompt, request):
    return prompt + "!"
"""


def lacking(repository: Path, retired: Mapping[str, Retirement]) -> list[str]:
    """Pages and tests that entries of the tables do not have."""
    tests = "\n".join(p.read_text(encoding="utf-8") for p in (repository / "tests" / "core").rglob("test_*.py"))
    pages = repository / "docs" / "plugin_author" / "retired"
    lines = [f"docs/plugin_author/retired/{name}.md" for name in retired if not (pages / f"{name}.md").is_file()]
    return lines + [f"def test_retired_{name}" for name in retired if f"def test_retired_{name}(" not in tests]


def test_every_retirement_has_its_page_and_its_test(repository: Path) -> None:
    tables = [deprecated.NAMES, deprecated.HOOKS, *deprecated.ARGUMENTS.values()]
    assert [what for table in tables for what in lacking(repository, table)] == []
    wanted = "nothing_" + "like_it"
    assert lacking(repository, {wanted: OLD}) == [
        f"docs/plugin_author/retired/{wanted}.md", f"def test_retired_{wanted}"
    ]  # fmt: skip


@pytest.fixture
def retired_name(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(deprecated.NAMES, "Smpler", OLD)
    yield "Smpler"
    vars(gesso).pop("Smpler", None)


def load(folder: Path, name: str, text: str) -> gesso.PluginState:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    selection = Selection(only=(name,), plugins_dir=folder)
    with Host.load("both", home=folder / "home", selection=selection, probe=False) as host:
        host.fill()
        return host.state(name)


def test_a_retired_name_works_and_tells_file_and_line(tmp_path: Path, retired_name: str) -> None:
    with pytest.warns(
        GessoDeprecationWarning, match=r"^gesso\.Smpler goes in gesso 0\.9\. Use gesso\.Sampler\.$"
    ) as told:
        assert getattr(gesso, retired_name) is gesso.Sampler
    assert told[0].filename == __file__
    state = load(tmp_path, "uses_old_name", PLUGIN.format(name=retired_name))
    assert state.state == "enabled"
    (said,) = state.warnings
    assert said == f"{OLD} ({tmp_path / 'uses_old_name.py'}:5)"


def test_what_is_not_retired_is_no_name() -> None:
    with pytest.raises(AttributeError, match="no public name"):
        gesso.Smpler  # type: ignore[attr-defined]  # noqa: B018


def test_retired_hooks_and_arguments_are_told_of(tmp_path: Path) -> None:
    """In a process of its own: the tables are read when the hookspecs are."""
    (tmp_path / "uses_old_hook.py").write_text(PLUGIN.format(name="Sampler"), encoding="utf-8")
    code = f"""
from pathlib import Path
from gesso import deprecated
from gesso.deprecated import Retirement
deprecated.HOOKS["gesso_filter_prompt"] = Retirement("The hook", "0.9", "Use another.")
deprecated.ARGUMENTS["gesso_filter_prompt"] = {{"request": Retirement("Its argument", "0.9", "Leave it out.")}}
from gesso.plugins.host import Host, Selection
host = Host.load("both", selection=Selection(only=("uses_old_hook",), plugins_dir=Path({str(tmp_path)!r})), probe=False)
state = host.state("uses_old_hook")
print(state.state, *state.warnings, sep="\\n")
print(host.filter("gesso_filter_prompt", "a cat", request=None))
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    state, *said, made = done.stdout.splitlines()
    assert (state, made) == ("enabled", "a cat!")
    assert [text.partition(" (")[0] for text in said] == [
        "The hook goes in gesso 0.9. Use another.", "Its argument goes in gesso 0.9. Leave it out.",
    ]  # fmt: skip
    assert all("uses_old_hook.py:8)" in text or "uses_old_hook.py:7)" in text for text in said)


def test_the_plugin_api_before_the_newest_is_still_loaded_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "SUPPORTED_APIS", ("1", "2"))
    state = load(tmp_path, "of_api_one", PLUGIN.format(name="Sampler"))
    assert (state.state, state.api) == ("enabled", "1")
    assert state.warnings[0].startswith("It is written for plugin API 1; this gesso speaks 2.")
    assert load(tmp_path, "of_api_two", PLUGIN.format(name="Sampler").replace('"1"', '"2"')).warnings == ()
    monkeypatch.setattr(boundary, "SUPPORTED_APIS", ("2", "3"))
    assert load(tmp_path, "of_api_gone", PLUGIN.format(name="Sampler")).state == "incompatible"


def test_nothing_here_swallows_other_warnings() -> None:
    import warnings

    with pytest.warns(UserWarning, match="somebody else's"), deprecated.noted() as said:
        warnings.warn("somebody else's", UserWarning, stacklevel=1)
    assert said == []
