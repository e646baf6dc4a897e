"""The tab: a script asks for the status every two seconds while somebody looks."""

from __future__ import annotations

import gradio as gr

from gesso import Page, text

MOUNT = """
import(new URL("plugins/system_tab/tab.js", document.baseURI)).then((tab) => tab.mount(element));
"""


def build(page: Page) -> None:
    copy = f'<button type="button" class="gesso-button" data-do="copy">{text("system_tab.copy")}</button>'
    loading = f'<p class="gesso-loading">{text("shell.loading")}</p>'
    html = f'<div class="gy"><div class="gy-head">{copy}</div><div class="gy-body">{loading}</div></div>'
    gr.HTML(html, js_on_load=MOUNT, apply_default_css=False, elem_classes="gesso-system-tab")
