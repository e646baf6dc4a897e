"""Registries: filled on first use, all or none of a plugin's records, one owner for each name and key."""

from __future__ import annotations

from typing import Any

import pytest

from gesso import Sampler, UnknownNameError
from gesso.plugins.registries import REGISTRIES, kind_of

SAMPLERS = """
from gesso import Sampler, lazy
@hookimpl
def gesso_register_samplers(registry):
    {body}
def sampler(name, **more): return Sampler(name=name, run=lazy(".sampling:run", object), **more)
"""
PARAMS = """
from gesso import Params, Record, param
class Mine(Params):
    value: float = param(1.0, infotext={infotext!r}, api={api!r}, flag={flag!r})
@hookimpl
def gesso_register_params(registry):
    registry.add(Record(name="{name}", params=Mine))
"""
RESULT = """
result = {
    "states": {s.name: s.model_dump(mode="json") for s in host.states},
    "samplers": {s.name: host.registry("samplers").owner(s.name) for s in host.registry("samplers")},
    "params": [r.name for r in host.registry("params")],
    "infotext": host.keys.infotext, "api": host.keys.api, "flag": host.keys.options,
}
"""


def samplers(body: str) -> str:
    return SAMPLERS.format(body=body)


def test_the_table_comes_from_the_hookspecs():
    assert REGISTRIES["samplers"] is Sampler
    assert {"schedulers", "families", "params", "commands", "stages"} <= set(REGISTRIES)
    assert [kind_of(REGISTRIES[name]) for name in ("model_folders", "samplers")] == ["model folder", "sampler"]


def test_filled_on_first_use(make_host):
    host = make_host({"a": samplers("registry.add(sampler('mine', label='My Own', aliases=('m',)))")})
    assert host.states[-1].calls == 0
    assert host.registry("samplers").get("my own").name == "mine"
    assert host.registry("samplers") is host.registry("samplers")
    assert host.states[-1].calls == 1
    with pytest.raises(UnknownNameError, match="Did you mean 'samplers'"):
        host.registry("sampler")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("registry.add(sampler('new')); 1/0", "ZeroDivisionError"),
        ("registry.add(sampler('new')); raise SystemExit", "SystemExit"),
        ("registry.add(sampler('new')); raise KeyboardInterrupt", "KeyboardInterrupt"),
        (
            "registry.add(sampler('new'), sampler('euler'))",
            "claims the sampler name 'euler', which aaa:aaa already owns",
        ),
        ("registry.add(sampler('new'), sampler('x', aliases=('EULER',)))", "aaa:aaa already owns"),
        ("registry.add(sampler('new'), sampler('new'))", "claims the sampler name 'new'"),
        ("registry.add(sampler('new'), 'no sampler')", "expected Sampler"),
        ("registry.add(sampler(7))", "AttributeError"),
    ],
)
def test_a_failing_plugin_adds_nothing_and_the_others_stay(site, body: str, words: str):
    """The second claimant fails, the message names both, and nothing else of it stays in use."""
    params = PARAMS.format(infotext="My key", api="my_name", flag="mine", name="mine")
    site.plugin("aaa", samplers("registry.add(sampler('euler'))"))
    site.plugin("bbb", samplers(body) + params + "@hookimpl\ndef gesso_on_startup(process): ...\n")
    site.plugin("ccc", samplers("registry.add(sampler('heun'))"))
    result = site.load(RESULT)
    assert result["samplers"] == {"euler": "aaa:aaa", "heun": "ccc:ccc"}
    row = result["states"]["bbb"]
    assert (row["state"], row["phase"]) == ("failed", "register")
    assert row["hook"] == "gesso_register_samplers"
    assert words in row["error"]
    assert "bbb:bbb" in row["error"] or "claims" not in words
    assert result["params"] == []
    assert "my key" not in result["infotext"]
    assert {result["states"][name]["state"] for name in ("aaa", "ccc")} == {"enabled"}


def test_the_name_of_a_built_in_is_taken(site):
    site.add(
        "gesso",
        {"core_plugin.py": 'from gesso import hookimpl\napi = "1"\n' + samplers("registry.add(sampler('euler'))")},
        points={"samplers": "core_plugin"},
    )
    site.plugin("aaa", samplers("registry.add(sampler('euler'))"))
    result = site.load(RESULT)
    assert result["samplers"] == {"euler": "gesso:samplers"}
    assert "which gesso:samplers already owns" in result["states"]["aaa"]["error"]


def test_a_plugin_reaches_no_registry_but_its_own(site):
    """Emptying what it was given, or adding to it later, changes nothing for the others."""
    site.plugin("aaa", samplers("registry.add(sampler('euler'))"))
    body = "global kept; kept = registry; registry.add(sampler('mine')); registry._registry._items.clear()"
    site.plugin("bbb", samplers(body) + "@hookimpl\ndef gesso_on_shutdown(process): kept.add(sampler('late'))\n")
    then = "host.registry('samplers'); host.emit('gesso_on_shutdown', process='both')\n"
    result = site.load(then + RESULT, process="'both'", heavy_allowed="True")
    assert result["samplers"] == {"euler": "aaa:aaa"}


def params_plugin(site: Any, name: str, *, infotext: str = "", api: str = "", flag: str = "") -> None:
    site.plugin(name, PARAMS.format(infotext=infotext, api=api, flag=flag, name=name))


@pytest.mark.parametrize("kind", ["infotext", "api", "flag"])
def test_a_key_has_one_owner(site, kind: str):
    params_plugin(site, "aaa", **{kind: "Some Key"})
    params_plugin(site, "bbb", **{kind: "some key"})
    result = site.load(RESULT)
    error = result["states"]["bbb"]["error"]
    assert result["states"]["bbb"]["state"] == "failed"
    assert "bbb:bbb claims the" in error
    assert "which aaa:aaa already owns" in error
    assert result["params"] == ["aaa"]
    assert result[kind]["some key"] == "aaa:aaa"


def test_the_keys_of_the_core_belong_to_gesso(site):
    params_plugin(site, "aaa", infotext="Steps")
    params_plugin(site, "bbb", api="cfg_scale")
    params_plugin(site, "ccc", flag="batch-size")
    result = site.load(RESULT)
    for name, key in (("aaa", "'Steps'"), ("bbb", "'cfg_scale'"), ("ccc", "'batch-size'")):
        assert f"{key} (record {name!r}), which gesso already owns" in result["states"][name]["error"]


def test_a_failing_claim_gives_all_its_keys_back(site):
    site.plugin(
        "aaa",
        "from gesso import Params, Record, param\n"
        "class P(Params):\n a: int = param(1, infotext='Free')\n b: int = param(1, infotext='Steps')\n"
        "@hookimpl\ndef gesso_register_params(registry): registry.add(Record(name='aaa', params=P))\n",
    )
    params_plugin(site, "bbb", infotext="Free")
    result = site.load(RESULT)
    assert result["params"] == ["bbb"]
    assert result["infotext"]["free"] == "bbb:bbb"


def test_registries_of_the_other_process_are_empty(make_host):
    code = """
    from gesso import Command, lazy
    @hookimpl
    def gesso_register_commands(registry): registry.add(Command(name="hello", app=lazy("json:dumps", object)))
    """
    assert len(make_host({"a": code}, "worker").registry("commands")) == 0
    assert len(make_host({"a": code}, "host").registry("commands")) == 1
