"""The tab: a search box, and a form that a script fetches when somebody looks."""

from __future__ import annotations

import gradio as gr

from gesso import Page, text

MOUNT = """
import(new URL("plugins/settings_tab/tab.js", document.baseURI)).then((tab) => tab.mount(element));
"""


def build(page: Page) -> None:
    """All is in the routes, so that the page does not grow with the settings."""
    gr.HTML(skeleton(), js_on_load=MOUNT, apply_default_css=False, elem_classes="gesso-settings-tab")


def skeleton() -> str:
    search = text("settings_tab.search")
    box = f'<input type="search" class="gesso-input gs-search" placeholder="{search}" aria-label="{search}">'
    changed = f'<input type="checkbox" class="gs-changed"> {text("settings_tab.changed")}'
    loading = f'<p class="gesso-loading">{text("shell.loading")}</p>'
    head = f'<div class="gs-head">{box}<label class="gs-only">{changed}</label></div>'
    return f'<div class="gs">{head}<div class="gs-body">{loading}</div></div>'
