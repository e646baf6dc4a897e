"""The tab "img2img": a generation tab with a picture to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from gesso import GessoError, Page, picture_size, text
from gesso_ui.form import RequestForm
from gesso_ui.generation import PRIVATE, build_generation

STEP = 8


def build(page: Page) -> None:
    """Prompts, picture and button; result; settings, this tab's own first."""
    fit: dict[str, Any] = {}

    def picture(form: RequestForm) -> None:
        form.add_field("img2img", "init", height=260, elem_classes="gesso-input-picture")
        fit["button"] = gr.Button(text("img2img.take_size"), size="sm", elem_classes="gesso-fit-button")

    def first(form: RequestForm) -> None:
        form.add_field("img2img", "strength")
        with gr.Row():
            form.add_field("img2img", "resize_mode", min_width=150)
            form.add_field("img2img", "scale", min_width=150)

    form = build_generation(page, "img2img", before=picture, first=first)
    init = form.component("init", "img2img")
    page.takes("img2img", lambda data: form.taken(data, "img2img", "init"), form.inputs)
    fit["button"].click(take_size, init, [form.component("width"), form.component("height")], **PRIVATE)


def take_size(path: str | None) -> list[Any]:
    """Width and height of the picture, down to what models take."""
    if not path:
        gr.Info(text("img2img.first"))
        return [gr.skip(), gr.skip()]
    try:
        size = picture_size(Path(path).read_bytes())
    except GessoError as error:
        gr.Warning(str(error))
        return [gr.skip(), gr.skip()]
    return [max(STEP, side // STEP * STEP) for side in size]
