"""The panel "Save as style" below the prompts."""

from __future__ import annotations

from typing import Any

import gradio as gr

from gesso import GessoError, HostService, Page, TabForm, text
from gesso_builtin.styles.files import StyleBook
from gesso_builtin.styles.texts import Style


def build(page: Page, form: TabForm) -> None:
    """A name and a button. The drop-down of styles knows the new one at once."""
    with gr.Row(equal_height=True, elem_classes="gesso-line-of-one"):
        name = gr.Textbox(label=text("styles.name"), max_lines=1, scale=8, elem_id=f"{form.name}-style-name")
        save = gr.Button(text("styles.save"), size="sm", min_width=64, elem_classes="gesso-side-button")
    replace = gr.Checkbox(label=text("styles.replace"), elem_id=f"{form.name}-style-replace")
    private: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    prompts = [form.component("prompt"), form.component("negative_prompt")]

    def on_save(name: str, replace: bool, prompt: str, negative: str) -> None:
        said = saved(page.service, Style(name.strip(), prompt, negative), replace=replace)
        gr.Info(said)

    save.click(on_save, [name, replace, *prompts], **private)


def saved(service: HostService, style: Style, *, replace: bool) -> str:
    """What the person is told; a `gr.Error` where it cannot be."""
    if not style.name:
        raise gr.Error(text("styles.no_name"))
    try:
        file = StyleBook.of(service).add(style, replace=replace)
    except GessoError as error:
        raise gr.Error(str(error)) from None
    return text("styles.saved", name=style.name, file=file.name)
