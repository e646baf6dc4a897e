"""A tab that makes pictures: prompts, settings and result. Whatever starts from a prompt shares it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from gesso import Page, text

from .components import JobView, SeedButtons, SizeButtons, error_text, token_counter
from .form import RequestForm
from .panels import add_panels
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
            _prompts(form)
            if before is not None:
                before(form)
            with gr.Row(elem_classes="gesso-buttons"):
                generate = gr.Button(text("shell.generate"), variant="primary", elem_classes="gesso-generate-button")
                view.buttons()
            add_panels(page, form, "prompts")
        with gr.Column(elem_classes="gesso-result"):
            view.panel()
            add_panels(page, form, "result")
        with gr.Column(elem_classes="gesso-settings"):
            rescan, seed_buttons, size_buttons = _settings(form, first)
            add_panels(page, form, "settings")
    form.wire_options()
    view.wire()
    seed_buttons.wire(form.component("seed"), view.selected)
    size_buttons.wire(*(form.component(part) for part in ("model", "width", "height")))
    page.shows(view.actions, view.selected)
    _wire(page, form, view, generate, rescan)
    return form


def _prompts(form: RequestForm) -> None:
    """Both prompts, each with its counter of tokens."""
    made = {}
    for name, lines in {"prompt": 3, "negative_prompt": 2}.items():
        made[name] = form.add(
            name, lines=lines, max_lines=12, placeholder=text(f"shell.{name}.placeholder"),
            autofocus=name == "prompt", elem_classes="gesso-prompt",
        )  # fmt: skip
    for name, role in {"prompt": "positive", "negative_prompt": "negative"}.items():
        token_counter(made[name].elem_id, f"{form.name}-model", f"{form.name}-steps", role)


def _settings(form: RequestForm, first: Part | None) -> tuple[gr.Button, SeedButtons, SizeButtons]:
    with gr.Row(equal_height=True, elem_classes="gesso-line-of-one"):
        form.add("model", scale=8)
        rescan = gr.Button(text("shell.rescan"), size="sm", min_width=64, scale=1, elem_classes="gesso-side-button")
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
    with gr.Row(equal_height=True, elem_classes="gesso-line-of-one"):
        size_buttons = SizeButtons(form.service, form.name)
    with gr.Row():
        form.add("count", min_width=150)
        form.add("batch_size", min_width=150)
    with gr.Row(equal_height=True, elem_classes="gesso-line-of-one"):
        form.add("seed", scale=8, min_width=120)
        seed_buttons = SeedButtons()
    with gr.Accordion(text("shell.sampler_options"), open=False):
        form.add_options("sampler")
        form.add_options("scheduler")
        form.add("guider")
        form.add_options("guider")
    form.add_records()
    return rescan, seed_buttons, size_buttons


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

    own = [place for place, made in enumerate(form.controls) if not made.section]
    rest = [place for place, made in enumerate(form.controls) if made.section]

    def prefilled(draft: str, request: gr.Request) -> list[Any]:
        """What was typed here and not run, else what this session asked for last in this tab."""
        jobs = service.queue.jobs(owner=owner_of(request), kind="generate", newest_first=True, limit=20)
        last = next((record.job.request for record in jobs if form.fits(record.job.request)), None)
        return form.prefilled(last, _read(draft))

    generate.click(on_generate, form.inputs, view.notice, **PRIVATE)
    rescan.click(on_rescan, outputs=form.inputs, **PRIVATE)
    # `input`: by a person's hand, not when an earlier request is filled in.
    form.component("model").input(
        on_model, form.component("model"), [form.component("width"), form.component("height")], **PRIVATE
    )

    def on_load(draft: str, request: gr.Request) -> list[Any]:
        """gesso's own controls; plugins' only when there is something to put into them, which is for `on_rest`."""
        updates = prefilled(draft, request)
        wanted = draft or " " if any(updates[place] != gr.skip() for place in rest) else gr.skip()
        return [wanted, *(updates[place] for place in own)]

    def on_rest(draft: str, request: gr.Request) -> list[Any]:
        updates = prefilled(draft, request)
        return [updates[place] for place in rest]

    # Plugins bring hundreds of controls, and Gradio takes seconds to look so many outputs up, changed or not.
    more = gr.Textbox(elem_classes="gesso-hidden")
    more.change(on_rest, more, [form.inputs[place] for place in rest], **PRIVATE)
    page.on_load(on_load, [more, *(form.inputs[place] for place in own)], draft=form.name)
    page.keep(form.name, form.kept)


def _read(draft: str) -> dict[str, Any]:
    """What a browser kept; nothing when that is not what this page wrote."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        data = json.loads(draft)
        if isinstance(data, dict):
            return data
    return {}
