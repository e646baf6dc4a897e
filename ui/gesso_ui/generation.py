"""A tab that makes pictures: prompts, settings and result. Whatever starts from a prompt shares it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from gesso import Page

from .components import JobView, SeedButtons, error_text
from .form import RequestForm
from .session import owner_of

PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
Part = Callable[[RequestForm], None]


def build_generation(page: Page, name: str, *, before: Part | None = None, first: Part | None = None) -> RequestForm:
    """Build the tab `name` in the current Gradio context, and wire it.

    `before` makes controls between the prompts and the button, `first` the first of the settings. Records of plugins
    follow by themselves, those that belong into this tab.
    """
    form = RequestForm(page.service, name)
    view = JobView(page.service, form.fits)
    with gr.Row(elem_classes="gesso-generation"):
        with gr.Column(elem_classes="gesso-prompts gesso-acts"):
            form.add("prompt", lines=3, max_lines=12, placeholder="What to paint", autofocus=True)
            form.add("negative_prompt", lines=2, max_lines=12, placeholder="What to keep out")
            if before is not None:
                before(form)
            with gr.Row(elem_classes="gesso-buttons"):
                generate = gr.Button("Generate", variant="primary", elem_classes="gesso-generate-button")
                view.buttons()
        with gr.Column(elem_classes="gesso-result"):
            view.panel()
        with gr.Column(elem_classes="gesso-settings"):
            rescan, seed_buttons = _settings(form, first)
    form.wire_options()
    view.wire()
    seed_buttons.wire(form.component("seed"), view.selected)
    page.shows(view.actions, view.selected)
    _wire(page, form, view, generate, rescan)
    return form


def _settings(form: RequestForm, first: Part | None) -> tuple[gr.Button, SeedButtons]:
    with gr.Row(equal_height=True, elem_classes="gesso-line-of-one"):
        form.add("model", scale=8)
        rescan = gr.Button("Rescan", size="sm", min_width=64, scale=1, elem_classes="gesso-side-button")
    if first is not None:
        first(form)
    with gr.Row():
        form.add("sampler", min_width=150)
        form.add("scheduler", min_width=150)
    with gr.Row():
        form.add("steps", min_width=150)
        form.add("cfg_scale", min_width=150)
    with gr.Row():
        form.add("width", min_width=150)
        form.add("height", min_width=150)
    with gr.Row():
        form.add("count", min_width=150)
        form.add("batch_size", min_width=150)
    with gr.Row(equal_height=True, elem_classes="gesso-line-of-one"):
        form.add("seed", scale=8, min_width=120)
        seed_buttons = SeedButtons()
    with gr.Accordion("Sampler and schedule options", open=False):
        form.add_options("sampler")
        form.add_options("scheduler")
        form.add("guider")
        form.add_options("guider")
    form.add_records()
    return rescan, seed_buttons


def _wire(page: Page, form: RequestForm, view: JobView, generate: gr.Button, rescan: gr.Button) -> None:
    service = page.service

    def on_generate(request: gr.Request, *values: Any) -> str:
        try:
            service.submit(form.given(values), owner=owner_of(request))
        except Exception as error:
            return error_text(error)
        return ""

    def on_rescan() -> list[Any]:
        service.library.entries(rescan=True)
        return list(form.refreshed_choices())

    def on_model(model: str) -> list[Any]:
        size = service.profile(model) if model else {}
        return [size.get("width", gr.skip()), size.get("height", gr.skip())]

    def on_load(request: gr.Request) -> list[Any]:
        """What this session asked for last in this tab."""
        jobs = service.queue.jobs(owner=owner_of(request), kind="generate", newest_first=True, limit=20)
        last = next((record.job.request for record in jobs if form.fits(record.job.request)), None)
        return form.updates(last) if last else [gr.skip() for _ in form.inputs]

    generate.click(on_generate, form.inputs, view.notice, **PRIVATE)
    rescan.click(on_rescan, outputs=form.inputs, **PRIVATE)
    # `input`: by a person's hand, not when an earlier request is filled in.
    form.component("model").input(
        on_model, form.component("model"), [form.component("width"), form.component("height")], **PRIVATE
    )
    page.on_load(on_load, form.inputs)
