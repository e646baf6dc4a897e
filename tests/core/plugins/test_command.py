"""`gesso plugins` on real distributions."""

from __future__ import annotations

import json
from typing import Any

from gesso.types import PluginState

HELLO = """
from gesso import Command, lazy
@hookimpl
def gesso_register_commands(registry):
    registry.add(Command(name="hello", app=lazy(".hello:main", object), help="Says hello."))
"""


def gesso(site: Any, *args: str, check: bool = True) -> Any:
    return site.run("", args=("-m", "gesso", *args), check=check)


def test_list_is_one_json_document_of_states(site):
    site.plugin("good", HELLO)
    site.plugin("noisy", "import os\nprint('x' * 10**6)\nos.write(1, b'y' * 10**5)\n")
    site.plugin("bad", "1/0")
    for _ in range(2):
        rows = json.loads(gesso(site, "plugins", "list", "--json").stdout)
        states = {row["name"]: PluginState.model_validate(row) for row in rows}
        assert {name: state.state for name, state in states.items()} == {
            "bad": "failed",
            "good": "enabled",
            "noisy": "enabled",
        }
        assert states["bad"].dist == "bad"
        assert states["bad"].version == "1.0"
        assert "1/0" in states["bad"].traceback


def test_list_for_people(site):
    site.plugin("good")
    site.plugin("bad", "raise RuntimeError('[bold]what went wrong')")
    text = gesso(site, "plugins", "list").stdout
    assert "good 1.0" in text
    assert "[import] RuntimeError: [bold]what went wrong" in text


def test_a_duplicate_shows_in_the_list(site):
    for name in ("aaa", "bbb"):
        site.plugin(name, HELLO)
    rows = {row["name"]: row for row in json.loads(gesso(site, "plugins", "list", "--json").stdout)}
    assert rows["bbb"]["state"] == "failed"
    assert "aaa:aaa already owns" in rows["bbb"]["error"]


def test_disable_and_enable(site):
    site.plugin("crashes", "import os; os._exit(1)")
    site.plugin("good", HELLO)
    gesso(site, "plugins", "list")
    assert "good:good is disabled" in gesso(site, "plugins", "disable", "good").stdout
    rows = {row["name"]: row for row in json.loads(gesso(site, "plugins", "list", "--json").stdout)}
    assert rows["good"]["state"] == "disabled"
    assert "hello" not in gesso(site, "--help").stdout
    gesso(site, "plugins", "enable", "good:good")
    rows = {row["name"]: row for row in json.loads(gesso(site, "plugins", "list", "--json").stdout)}
    assert rows["good"]["state"] == "enabled"
    assert "hello       Says hello." in gesso(site, "--help").stdout


def test_unknown_and_ambiguous_names(site):
    site.plugin("first", points={"same": "first.plugin"})
    site.plugin("second", points={"same": "second.plugin"})
    unknown = gesso(site, "plugins", "disable", "frist", check=False)
    assert unknown.returncode == 2
    assert "Did you mean 'first'" in unknown.stderr
    ambiguous = gesso(site, "plugins", "disable", "same", check=False)
    assert ambiguous.returncode == 2
    assert "first:same, second:same" in ambiguous.stderr


def test_show(site):
    site.plugin("bad", "1/0")
    text = gesso(site, "plugins", "show", "bad").stdout
    assert "ZeroDivisionError: division by zero" in text
    assert "bad/plugin.py" in text
    assert json.loads(gesso(site, "plugins", "show", "bad", "--json").stdout)["phase"] == "import"


def test_probe_by_hand(site):
    site.plugin("bad", "1/0")
    site.plugin("good")
    rows = json.loads(gesso(site, "plugins", "probe", "--json").stdout)
    assert [(row["name"], row["state"]) for row in rows] == [("bad", "failed"), ("good", "enabled")]
    assert "bad:bad 1.0" in gesso(site, "plugins", "probe", "bad").stdout
