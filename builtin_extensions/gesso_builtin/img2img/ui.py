"""The tab "img2img": a generation tab with a picture to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from gesso import GessoError, Page, picture_size, text
from gesso_ui.components import message, notice
from gesso_ui.form import RequestForm
from gesso_ui.generation import PRIVATE, build_generation
from gesso_ui.session import owner_of

STEP = 8


def build(page: Page) -> None:
    """Prompts, picture and button; result; settings, this tab's own first."""
    fit: dict[str, Any] = {}
    several: dict[str, Any] = {}

    def picture(form: RequestForm) -> None:
        form.add_field("img2img", "init", height=260, elem_classes="gesso-input-picture")
        fit["button"] = gr.Button(text("img2img.take_size"), size="sm", elem_classes="gesso-fit-button")
        with gr.Accordion(text("img2img.several"), open=False, elem_classes="gesso-several"):
            several["files"] = gr.File(
                file_count="multiple", file_types=["image"], label=text("img2img.several.files"), height=140
            )
            several["start"] = gr.Button(text("img2img.several.start"), elem_classes="gesso-fit-button", size="sm")
            several["said"] = notice()

    def first(form: RequestForm) -> None:
        form.add_field("img2img", "strength")
        with gr.Row():
            form.add_field("img2img", "resize_mode", min_width=150)
            form.add_field("img2img", "scale", min_width=150)

    form = build_generation(page, "img2img", before=picture, first=first)
    init = form.component("init", "img2img")
    page.takes("img2img", lambda data: form.taken(data, "img2img", "init"), form.inputs)

    def on_several(files: list[str] | None, request: gr.Request, *values: Any) -> str:
        return queue_each(form, files or [], values, owner_of(request))

    several["start"].click(on_several, [several["files"], *form.inputs], several["said"], **PRIVATE)
    fit["button"].click(take_size, init, [form.component("width"), form.component("height")], **PRIVATE)


def queue_each(form: RequestForm, files: Sequence[str], values: Sequence[Any], owner: str) -> str:
    """A job for each picture, with the settings as they stand; says how many, and which could not be used and why."""
    place = form.inputs.index(form.component("init", "img2img"))
    queued, problems = 0, []
    for file in files:
        try:
            form.service.submit(form.given([*values[:place], file, *values[place + 1 :]]), owner=owner)
            queued += 1
        except (GessoError, OSError) as error:
            problems.append(f"{Path(file).name}: {error}")
    if not files:
        return message(text("img2img.several.none"), "warning")
    said = message(text("img2img.several.queued", count=queued), "warning") if queued else ""
    return said + "".join(map(message, problems))


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
