"""The tab: a picture is dropped, what it says is told, and it is sent on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from gesso import Difference, GessoError, HostService, Page, text
from gesso_builtin.png_info.report import problem, report
from gesso_ui.components import picture_input

PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def build(page: Page) -> None:
    """The picture on one side, what it says on the other."""
    selected = gr.State({})
    with gr.Row(elem_classes="gp-row"):
        with gr.Column(elem_classes="gp-drop"):
            picture = picture_input(label=text("png_info.picture"), height=380, elem_id="png_info-picture")
            actions = gr.Row(elem_classes="gesso-actions gp-actions", visible=False)
            infotext = gr.Textbox(
                label=text("png_info.infotext"), lines=3, max_lines=14, interactive=False, buttons=["copy"],
                visible=False, elem_classes="gp-infotext",
            )  # fmt: skip
        told = gr.HTML(_empty(), js_on_load=None, apply_default_css=False, elem_classes="gp-told")
    page.shows(actions, selected)

    def show(path: str | None) -> list[Any]:
        data, html = read(page.service, path)
        said = data.get("infotext", "")
        can = bool(data.get("file") or said)
        return [data, html, gr.Textbox(value=said, visible=bool(said)), gr.Row(visible=can)]

    picture.change(show, picture, [selected, told, infotext, actions], **PRIVATE)


def read(service: HostService, path: str | None) -> tuple[dict[str, Any], str]:
    """What the page keeps of a picture (as `Page.shows` has it), and what is told of it."""
    if not path:
        return {}, _empty()
    file = Path(path)
    try:
        found = service.read_picture(data := file.read_bytes(), stealth=True)
    except (GessoError, OSError) as error:
        return {}, problem(str(error))
    kept: dict[str, Any] = {"name": file.name, "seed": "", "infotext": found.infotext or ""}
    differences: tuple[Difference, ...] = ()
    trouble = ""
    try:
        kept["file"] = service.take_picture(data, file.name).model_dump()
        if found.infotext:
            closest = service.closest(found.infotext)
            differences, kept["seed"] = closest.differences, str(closest.request.seed)
    except GessoError as error:  # too large to start from, or no model to make one with
        trouble = str(error)
    return kept, report(service, found, differences, trouble)


def _empty() -> str:
    return f'<p class="gesso-empty">{text("png_info.empty")}</p>'
