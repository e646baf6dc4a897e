"""The tab: tools, and cards that a script fetches when somebody looks."""

from __future__ import annotations

import gradio as gr

from gesso import Page, text

MOUNT = """
import(new URL("plugins/models_tab/tab.js", document.baseURI)).then((tab) => tab.mount(element));
"""


def build(page: Page) -> None:
    """All is in the routes: people have thousands of models."""
    gr.HTML(skeleton(), js_on_load=MOUNT, apply_default_css=False, elem_classes="gesso-models-tab")


def skeleton() -> str:
    search = text("models_tab.search")
    box = f'<input type="search" class="gesso-input gm-search" placeholder="{search}" aria-label="{search}">'
    roles = f'<select class="gesso-select gm-role" aria-label="{text("models_tab.kind")}"></select>'
    rescan = f'<button type="button" class="gesso-button" data-do="rescan">{text("models_tab.rescan")}</button>'
    loading = f'<p class="gesso-loading">{text("shell.loading")}</p>'
    head = f'<div class="gm-head">{box}{roles}{rescan}</div>'
    return f'<div class="gm"><div class="gm-memory"></div>{head}<div class="gm-list">{loading}</div></div>'
