"""The page: asks for tabs, builds each inside its own boundary, and puts them in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

import gesso
from gesso import GessoError, HostService, PageSettings, Tab, text

from .assets import links
from .boundary import build_in
from .theme import THEMES

WATCHED = ("gradio", "gradio.components", "gradio.blocks")
"""No tab may replace functions of these for the others."""
STATIC = Path(__file__).with_name("static")
FOOT = """
import(new URL("gesso/static/live.js", document.baseURI)).then((live) => live.mountFoot(element));
import(new URL("gesso/static/shell.js", document.baseURI)).then((shell) => shell.mountFoot(element));
"""
HEAD = """
<link rel="stylesheet" href="gesso/theme.css"><link rel="stylesheet" href="gesso/static/access.css">
<script src="gesso/static/early.js"></script>
<script src="gesso/static/drafts.js"></script>
"""


@dataclass(frozen=True)
class Shell:
    """What tabs are built with."""

    service: HostService
    blocks: gr.Blocks
    tabs: list[str] = field(default_factory=list)
    """Names of the tabs begun, the last being the one that is built now."""
    receivers: list[Receiver] = field(default_factory=list)
    senders: list[tuple[Any, Any]] = field(default_factory=list)

    def on_load(self, handler: Callable[..., Any], outputs: Sequence[Any], *, draft: str = "") -> None:
        """Call `handler` whenever somebody opens the page: see `gesso.Page`."""
        private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        if not draft:
            self.blocks.load(handler, outputs=list(outputs), **private)
            return
        kept = gr.Textbox(visible=False)
        read = f"() => window.gessoDrafts.read({json.dumps(draft)})"
        self.blocks.load(handler, kept, list(outputs), js=read, **private)

    def keep(self, draft: str, components: Sequence[Any]) -> None:
        """Store values in the person's browser: see `gesso.Page`."""
        ids = json.dumps([component.elem_id for component in components])
        script = f"(...values) => window.gessoDrafts.keep({json.dumps(draft)}, {ids}, values)"
        # One event, fired by drafts.js a moment after whatever somebody does: one for each component, of which plugins
        # bring hundreds, would cost Gradio seconds.
        button = gr.Button(elem_classes="gesso-keep-button")
        button.click(None, list(components), js=script, show_progress="hidden", api_visibility="private", queue=False)

    def takes(self, label: str, take: Callable[[dict[str, Any]], Sequence[Any]], outputs: Sequence[Any]) -> None:
        """This tab takes pictures: see `gesso.Page`."""
        self.receivers.append(Receiver(self.tabs[-1], label, take, tuple(outputs)))

    def shows(self, place: Any, selected: Any) -> None:
        """Pictures are shown here: see `gesso.Page`."""
        self.senders.append((place, selected))

    def connect(self, tabs: gr.Tabs) -> None:
        """A button for each tab that takes pictures, wherever some are shown. Call it when all tabs are there."""
        host = self.service.host
        for place, selected in self.senders:
            for receiver in self.receivers:
                owner, label = host.registry("tabs").owner(receiver.tab), host.registry("tabs").get(receiver.tab).label
                said = text("shell.send_to", tab=text(f"tabs.{receiver.tab}", label))
                with host.guarded(owner, phase="build", hook=f"the tab {receiver.tab}"), place:
                    button = gr.Button(
                        said if receiver.label in (label, receiver.tab) else receiver.label, size="sm",
                        elem_classes="gesso-send-button",
                    )  # fmt: skip
                    button.click(
                        receiver.send, selected, [tabs, *receiver.outputs], show_progress="hidden",
                        api_visibility="private",
                    )  # fmt: skip


@dataclass(frozen=True)
class Receiver:
    """A tab that takes pictures."""

    tab: str
    label: str
    take: Callable[[dict[str, Any]], Sequence[Any]]
    outputs: tuple[Any, ...]

    def send(self, data: dict[str, Any]) -> list[Any]:
        """Updates of the tabs and of `outputs`."""
        if not data.get("file") and not data.get("infotext"):
            return [gr.skip() for _ in range(len(self.outputs) + 1)]
        return [gr.Tabs(selected=self.tab), *self.take(data)]


def build_page(service: HostService, languages: Mapping[str, str]) -> gr.Blocks:
    """All tabs in one `gr.Blocks`. A tab that cannot be built is replaced by a card that says why.

    `languages`: code → its own name, for the choice at the foot.
    """
    service.host.watch(WATCHED)
    tabs = in_order(service.host.registry("tabs"), settings_of(service).tab_order)
    with gr.Blocks(title="gesso", analytics_enabled=False, fill_width=True) as page:
        shell = Shell(service, page)
        with gr.Tabs(elem_id="gesso-tabs") as all_tabs:
            for tab in tabs:
                _add(shell, tab)
            if not tabs:
                gr.HTML(f"<p>{text('shell.no_tabs')}</p>", js_on_load=None)
        shell.connect(all_tabs)
        gr.HTML(_foot(languages), js_on_load=FOOT, elem_id="gesso-foot")
    page.api_open = False  # events come from the page alone
    return page


def settings_of(service: HostService) -> PageSettings:
    """The page's settings; the defaults while the file cannot be read."""
    try:
        return service.settings.section("page", PageSettings)
    except GessoError:
        return PageSettings()


def in_order(tabs: Iterable[Tab], wanted: Sequence[str]) -> list[Tab]:
    """Those a person named first, in that order; the others as they ask for it."""
    place = {name: number for number, name in reversed(list(enumerate(wanted)))}
    return sorted(tabs, key=lambda tab: (place.get(tab.name, len(wanted)), tab.order, tab.name))


def head_of(service: HostService) -> str:
    """What every reader gets in the page's head: colours, and the rules that hide tabs."""
    names = [tab.name for tab in service.host.registry("tabs") if tab.name in settings_of(service).hidden_tabs]
    hidden = ",".join(f'#gesso-tabs button[id="tab-{name}-button"]' for name in names)
    rule = f"<style>{hidden}{{display:none!important}}</style>" if hidden else ""
    return f"{HEAD}{links(service)}{rule}"


def _foot(languages: Mapping[str, str]) -> str:
    """Version, choice of theme and language, memory."""
    themes = {name: text(f"shell.theme.{name}") for name in THEMES}
    return (
        f'<footer class="gesso-foot"><span>gesso {escape(gesso.__version__)}</span>'
        f"{_choice('theme', themes)}{_choice('language', languages)}"
        '<span class="gesso-memory"></span></footer>'
    )


def _choice(name: str, choices: Mapping[str, str]) -> str:
    options = "".join(f'<option value="{escape(value)}">{escape(words)}</option>' for value, words in choices.items())
    label = text(f"shell.{name}")
    return f'<label>{label} <select class="gesso-select" data-choose="{name}">{options}</select></label>'


def _add(shell: Shell, tab: Tab) -> None:
    """Build a tab, or in its place the card that says why it could not be."""
    label = text(f"tabs.{tab.name}", tab.label)
    takers, showers = len(shell.receivers), len(shell.senders)
    shell.tabs.append(tab.name)
    host = shell.service.host
    owner = host.registry("tabs").owner(tab.name)
    place = gr.Tab(label, id=tab.name, elem_id=f"tab-{tab.name}")
    title = text("shell.card.title", tab=label)
    if not build_in(place, host, owner, f"the tab {tab.name}", title, lambda: tab.build.load()(shell)):
        del shell.receivers[takers:], shell.senders[showers:]


def options() -> dict[str, Any]:
    """How the page is mounted: own look, system fonts, nothing from elsewhere."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Ubuntu", "Cantarell", "Noto Sans", "sans-serif"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]
    theme = gr.themes.Base(
        primary_hue="indigo", secondary_hue="slate", neutral_hue="slate", spacing_size="sm", radius_size="md",
        font=fonts, font_mono=mono,
    )  # fmt: skip
    return {
        "theme": theme, "css_paths": [STATIC / "page.css"], "footer_links": [], "run_history": False, "ssr_mode": False,
        "enable_monitoring": False, "mcp_server": False, "pwa": False, "show_error": True,
    }  # fmt: skip
