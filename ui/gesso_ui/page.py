"""The page: asks for tabs, builds each inside its own boundary, and puts them in order."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

import gesso
from gesso import GessoError, HostService, PageSettings, PluginState, Tab, text

from .theme import THEMES

WATCHED = ("gradio", "gradio.components", "gradio.blocks")
"""No tab may replace functions of these for the others."""
STATIC = Path(__file__).with_name("static")
FOOT = """
import(new URL("gesso/static/live.js", document.baseURI)).then((live) => live.mountFoot(element));
import(new URL("gesso/static/shell.js", document.baseURI)).then((shell) => shell.mountFoot(element));
"""
HEAD = """
<link rel="stylesheet" href="gesso/theme.css"><script src="gesso/static/early.js"></script>
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
        changes = [component.change for component in components]
        gr.on(changes, None, list(components), js=script, show_progress="hidden", api_visibility="private")

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
                owner = host.registry("tabs").owner(receiver.tab)
                with host.guarded(owner, phase="build", hook=f"the tab {receiver.tab}"), place:
                    button = gr.Button(
                        text("shell.send_to", tab=text(f"tabs.{receiver.tab}", receiver.label)), size="sm",
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
        if not data.get("file"):
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
    return f"{HEAD}<style>{hidden}{{display:none!important}}</style>" if hidden else HEAD


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
    with gr.Tab(text(f"tabs.{tab.name}", tab.label), id=tab.name, elem_id=f"tab-{tab.name}") as place:
        # A `Blocks` of its own for each tab would be the documented way to throw half a tab away; it costs 0.1 s each,
        # since Gradio makes a whole application for it.
        made = shell.blocks.default_config
        blocks, events, number = set(made.blocks), set(made.fns), made.fn_id
        takers, showers = len(shell.receivers), len(shell.senders)
        shell.tabs.append(tab.name)
        host = shell.service.host
        owner = host.registry("tabs").owner(tab.name)
        with host.guarded(owner, phase="build", hook=f"the tab {tab.name}") as outcome:
            tab.build.load()(shell)
        if outcome.error is not None:
            made.blocks = {key: block for key, block in made.blocks.items() if key in blocks}
            made.fns = {key: event for key, event in made.fns.items() if key in events}
            made.fn_id = number
            del shell.receivers[takers:], shell.senders[showers:]
            place.children.clear()
            gr.HTML(_card(host.state(owner), tab, outcome.error), js_on_load=None)
        elif not host.state(owner).built_in:
            for event in [event for key, event in made.fns.items() if key not in events]:
                event.fn = _attributed(host, owner, tab.name, event.fn)


def _attributed(host: Any, owner: str, tab: str, handler: Any) -> Any:
    """A tab's handler whose errors are put down to its plugin; Gradio shows them to the person as before."""
    plain = inspect.isfunction(handler) or inspect.ismethod(handler)
    if not plain or inspect.isgeneratorfunction(handler) or inspect.iscoroutinefunction(handler):
        return handler

    @functools.wraps(handler)
    def call(*values: Any, **named: Any) -> Any:
        try:
            return handler(*values, **named)
        except Exception as error:
            if not isinstance(error, (gr.Error, GessoError)):  # those are words for the person
                host.note(owner, error, phase="handler", hook=f"the tab {tab}")
            raise

    return call


def _card(state: PluginState, tab: Tab, error: BaseException) -> str:
    """Who failed, how, and what to do."""
    cause = error.__cause__ or error
    rows = {
        text("shell.card.plugin"): f"{state.dist}:{state.name} {state.version}",
        text("shell.card.error"): f"{type(cause).__name__}: {cause}",
    }
    cells = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in rows.items())
    title = text("shell.card.title", tab=escape(text(f"tabs.{tab.name}", tab.label)))
    command = f"<code>gesso plugins disable {escape(state.name)}</code>"
    return (
        f'<section class="gesso-card" role="alert"><h2>{title}</h2><dl>{cells}</dl>'
        f"<p>{text('shell.card.advice', command=command)}</p></section>"
    )


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
