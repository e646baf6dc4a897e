"""The cards say how each plugin is, and the buttons do what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from starlette.testclient import TestClient

from gesso import Catalog, HookState, PluginState
from gesso.testing import headless_page, load_host
from gesso_builtin.extensions_tab import cards, ui
from gesso_builtin.extensions_tab.ui import build

WORDS = Catalog([Path(ui.__file__).with_name("locales")])


def overview(states: list[PluginState]) -> str:
    """The cards, in English."""
    return WORDS.translate(cards.overview(states), "en")


class Desk(ui.Desk):
    """The desk, in English."""

    def act(self, event: gr.EventData) -> str:
        return WORDS.translate(super().act(event), "en")


def state(name: str = "odd", **fields: Any) -> PluginState:
    return PluginState(name=name, dist=f"gesso-{name}", version="1.2", **fields)


def test_a_card_names_who_where_and_what() -> None:
    html = overview(
        [state(state="quarantined", phase="hook", hook="gesso_on_step", error="<b>no</b>", traceback="Traceback …",
               hook_states=(HookState(hook="gesso_on_step", process="worker", calls=7, errors=3, quarantined=True),))]
    )  # fmt: skip
    for part in ("gesso-odd 1.2", "gesso_on_step · hook", "&lt;b&gt;no&lt;/b&gt;", "In quarantine", "Traceback …",
                 "on_step</code> (in quarantine)", "worker", 'data-do="reset"', 'data-do="disable"'):  # fmt: skip
        assert part in html
    assert "<b>no</b>" not in html


def test_what_it_declares_and_what_it_does_beside() -> None:
    html = overview([state(capabilities=("network",), import_ms=1.0, warnings=("It uses <b>subprocess</b>.",))])
    assert "<dt>Declares</dt><dd>network</dd>" in html
    assert "It uses &lt;b&gt;subprocess&lt;/b&gt;." in html


def test_problems_come_first_and_what_ships_with_gesso_is_folded() -> None:
    html = overview([state("aa"), state("bb", state="failed", error="no"), state("own", built_in=True)])
    assert html.index("gesso-bb") < html.index("gesso-aa") < html.index("<details") < html.index("gesso-own")
    assert "3 extensions, 2 in use. 1 with a problem." in html


def test_with_none_installed_it_says_how_to_get_one() -> None:
    assert "gesso plugins install" in overview([state("own", built_in=True)])


@pytest.mark.parametrize(
    ("fields", "button"),
    [({}, "disable"), ({"next_start": "disabled"}, "enable"), ({"state": "disabled"}, "enable"),
     ({"state": "disabled", "next_start": "enabled"}, "disable")],
)  # fmt: skip
def test_the_button_is_for_what_the_next_start_does(fields: dict[str, Any], button: str) -> None:
    html = overview([state(**fields)])
    assert f'data-do="{button}"' in html
    assert f'data-do="{"enable" if button == "disable" else "disable"}"' not in html


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with load_host(["extensions_tab", "samplers"]) as host, headless_page(host) as found:
        yield found


def test_buttons_disable_enable_and_reset(page: Any) -> None:
    desk = Desk(page.service)

    def press(what: str) -> str:
        event: Any = SimpleNamespace(_data={"what": what, "id": "gesso:samplers"})
        return desk.act(event)

    assert "gesso:samplers is disabled" in press("disable")
    state = page.service.plugins.state("samplers")
    assert "disabled" in (state.state, state.next_start)
    assert "gesso:samplers is enabled" in press("enable")
    page.service.host.note("gesso:samplers", ValueError("odd"), phase="stage", hook="the stage sample")
    assert "ValueError: odd" in press("look")
    assert "its errors are forgotten" in press("reset")
    assert page.service.plugins.state("samplers").error == ""
    assert "That did not work: Unknown plugin &#x27;nobody&#x27;" in desk.act(
        SimpleNamespace(_data={"what": "disable", "id": "nobody"})  # type: ignore[arg-type]
    )


def test_it_costs_nothing_until_somebody_looks(page: Any) -> None:

    async def built() -> None:  # without a running event loop Gradio makes some and closes none
        with gr.Blocks(analytics_enabled=False):
            build(page)

    asyncio.run(built())
    assert page.loads == []  # the cards are asked for when they come into sight


def test_the_same_over_http(page: Any) -> None:
    from fastapi import FastAPI

    from gesso_ui.plugins_api import router

    app = FastAPI()
    app.include_router(router(page.service))
    client = TestClient(app)
    rows = client.get("/gesso/plugins").json()
    assert {"gesso:samplers", "gesso:extensions_tab"} <= {f"{row['dist']}:{row['name']}" for row in rows}
    off = client.post("/gesso/plugins/gesso:samplers/disable").json()
    assert "disabled" in (off["state"], off["next_start"])
    on = client.post("/gesso/plugins/gesso:samplers/enable").json()
    assert (on["state"], on["next_start"]) == ("enabled", "")
    assert "`gesso:samplers`" in client.get("/gesso/plugins/gesso:samplers/report").text
    assert client.get("/gesso/plugins/nobody").status_code == 404
    assert client.post("/gesso/plugins/gesso:samplers/explode").status_code == 404


def test_what_came_by_an_install_can_be_updated_and_removed():
    """Neither gesso's own nor a file in a plugins folder."""
    shown = overview([
        PluginState(name="own", dist="gesso", version="1", built_in=True),
        PluginState(name="file", dist="local", version=""),
        PluginState(name="up", dist="gesso-up", version="1.0"),
        PluginState(name="gone", dist="gesso-gone", version="1.0", next_start="uninstalled"),
    ])  # fmt: skip
    named = [part.partition('"')[0] for part in shown.split('data-name="')[1:]]
    assert [name for name in named if name] == ["gesso-up:up", "gesso-up:up"]
    assert named.count("") == 2, "all of them, and the way back"
