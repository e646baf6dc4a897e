"""The tab "Extensions": one piece of HTML, made anew after whatever a person does in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from gesso import GessoError, HostService, Page, PluginState, text
from gesso_builtin.extensions_tab.cards import overview

SCRIPT = "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("installs.js", "tab.js"))


def build(page: Page) -> None:
    """The cards, and what happens when somebody presses a button on one."""
    desk = Desk(page.service)
    # Filled when it comes into sight: with many extensions the cards are a megabyte nobody may ever look at.
    waiting = f'<div class="gx"><p role="status" class="gesso-loading">{text("shell.loading")}</p></div>'
    cards = gr.HTML(waiting, js_on_load=SCRIPT, elem_classes="gesso-extensions")
    private: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
    cards.act(desk.act, outputs=cards, **private)


class Desk:
    """What the buttons do."""

    def __init__(self, service: HostService) -> None:
        self._service = service

    def show(self, said: str = "") -> str:
        """The cards as they are now."""
        return overview(self._service.plugins.states(), said)

    def act(self, event: gr.EventData) -> str:
        """A button: enable, disable, reset, or only look again."""
        what, id_ = str(event._data.get("what", "")), str(event._data.get("id", ""))
        try:
            return self.show(self._done(what, id_))
        except (GessoError, OSError) as error:
            return self.show(text("extensions.failed", error=error))

    def _done(self, what: str, id_: str) -> str:
        plugins = self._service.plugins
        if what in ("enable", "disable"):
            return _switched(plugins.set_enabled(id_, what == "enable"))
        if what == "reset":
            state = plugins.reset(id_)
            if state.state in ("enabled", "quarantined"):
                return text("extensions.said.reset", id=state.id)
            return text("extensions.said.probed", id=state.id)
        return ""


def _switched(state: PluginState) -> str:
    if state.next_start:
        return text(f"extensions.said.{state.next_start}_next", id=state.id)
    return text(f"extensions.said.{state.state}", id=state.id)
