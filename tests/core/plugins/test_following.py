"""Plugins are switched on and off while the program runs, where their kind allows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gesso.errors import UnknownNameError
from gesso.plugins.desk import PluginDesk
from gesso.plugins.following import needs_start
from gesso.plugins.host import Host, Selection
from gesso.plugins.registries import REGISTRY_HOOKS
from gesso.plugins.verdicts import set_enabled
from gesso.types import Request

SAMPLER = """
from gesso import Sampler, SamplerFn, lazy
@hookimpl
def gesso_register_samplers(registry):
    registry.add(Sampler(name="{0}", label="{0}", run=lazy(".x:run", SamplerFn)))
@hookimpl
def gesso_filter_request(request):
    return request.model_copy(update={{"prompt": request.prompt + "{0}"}})
"""
TAB = """
from gesso import Tab, TabFn, lazy
@hookimpl
def gesso_register_tabs(registry):
    registry.add(Tab(name="mine", label="Mine", build=lazy(".x:build", TabFn)))
"""


def ids(host: Host) -> dict[str, str]:
    """Name without its number → id."""
    return {state.name.rpartition("_")[0]: state.id for state in host.states}


def prompt(host: Host) -> str:
    return host.filter("gesso_filter_request", Request(prompt=""), service=None).prompt


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    made = make_host({name: SAMPLER.format(name) for name in ("aa", "bb", "cc")}, "both")
    made.fill()
    return made


def test_out_and_back_at_once_and_at_its_place(host: Host):
    assert prompt(host) == "aabbcc"
    assert host.follow() == []
    set_enabled(host.paths, ids(host)["bb"], False)
    assert host.follow() == [ids(host)["bb"]]
    assert host.follow() == []
    assert prompt(host) == "aacc"
    with pytest.raises(UnknownNameError):
        host.registry("samplers").get("bb")
    state = host.state(ids(host)["bb"])
    assert (state.state, state.hooks != ()) == ("disabled", True)

    set_enabled(host.paths, ids(host)["bb"], True)
    assert host.follow() == [ids(host)["bb"]]
    assert prompt(host) == "aabbcc"
    assert host.registry("samplers").owner("bb") == ids(host)["bb"]
    assert host.state(ids(host)["bb"]).state == "enabled"


def test_what_was_disabled_at_the_start_comes_in(host: Host):
    set_enabled(host.paths, ids(host)["bb"], False)
    selection = Selection(only=tuple(s.name for s in host.states if s.dist == "local"), plugins_dir=host.plugins_dir)
    with Host.load("both", home=host.paths.home, selection=selection, heavy_allowed=True) as later:
        later.fill()
        assert prompt(later) == "aacc"
        set_enabled(host.paths, ids(host)["bb"], True)
        assert later.follow() == [ids(host)["bb"]]
        assert prompt(later) == "aabbcc"
        assert "bb" in {sampler.name for sampler in later.registry("samplers")}


def test_one_that_has_become_bad_does_not_come_in(host: Host):
    id_ = ids(host)["bb"]
    set_enabled(host.paths, id_, False)
    host.follow()
    (Path(str(host.plugins_dir)) / f"{id_.partition(':')[2]}.py").write_text("raise RuntimeError('spoilt')\n")
    set_enabled(host.paths, id_, True)
    assert host.follow() == []  # what was imported is not what is there now: the next start decides
    assert prompt(host) == "aacc"


def test_left_out_by_an_option_stays_out(host: Host):
    id_ = ids(host)["bb"]
    set_enabled(host.paths, id_, False)
    with Host.load("both", home=host.paths.home, selection=Selection(only=(), plugins_dir=host.plugins_dir)) as bare:
        set_enabled(host.paths, id_, True)
        assert bare.follow() == []


def test_a_tab_waits_for_the_next_start(make_host: Callable[..., Host]):
    host = make_host({"tabbed": TAB}, "both")
    host.fill()
    desk = PluginDesk(host)
    state = desk.set_enabled(ids(host)["tabbed"], False)
    assert (state.state, state.next_start) == ("enabled", "disabled")
    assert "mine" in {tab.name for tab in host.registry("tabs")}


def test_the_desk_says_what_holds_now(host: Host):
    desk, id_ = PluginDesk(host), ids(host)["aa"]
    state = desk.set_enabled(id_, False)
    assert (state.state, state.next_start) == ("disabled", "")
    state = desk.set_enabled(id_, True)
    assert (state.state, state.next_start) == ("enabled", "")


def test_every_kind_is_decided():
    """Whoever adds a registry says whether its records are looked up when they are used."""
    at_once = {name for name, hook in REGISTRY_HOOKS.items() if not needs_start([hook])}
    assert at_once == {"samplers", "schedulers", "guiders", "stages", "checks", "filename_tokens"}
    assert not needs_start(["gesso_filter_request", "gesso_on_step"])
