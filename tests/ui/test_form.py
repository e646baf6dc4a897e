"""Controls to request and back."""

from __future__ import annotations

import asyncio

import gradio as gr
import pytest

from gesso import CoreParams, fields, text
from gesso_ui.form import RequestForm


@pytest.fixture(scope="module")
def form(service):
    async def build():  # Gradio leaves event loops behind where none runs
        made = RequestForm(service, "test")
        with gr.Blocks():
            for name, _, _ in fields(CoreParams):
                made.add(name)
            for slot in ("sampler", "scheduler", "guider"):
                made.add_options(slot)
            made.add_records()
        return made

    return asyncio.run(build())


def values(form, **changed):
    return [changed.get(c.name, c.component.value) if not c.section else c.component.value for c in form.controls]


def test_a_fresh_form_is_the_models_profile(form, service):
    given = form.given(values(form))
    assert (given["model"], given["width"], given["seed"]) == ("shapes", 128, "-1")
    request = service.request(given)
    assert (request.width, request.seed, request.sampler) == (128, -1, service.profile("shapes")["sampler"])


def test_options_go_along_for_what_is_chosen_alone(form):
    assert form.given(values(form, sampler="euler_ancestral"))["params"]["sampler"] == {"eta": 1.0, "s_noise": 1.0}
    assert set(form.given(values(form, sampler="euler"))["params"]["sampler"]) == {
        "s_churn", "s_tmin", "s_tmax", "s_noise"
    }  # fmt: skip
    assert "sampler" not in form.given(values(form, sampler="dpmpp_2m"))["params"]


def test_every_sampler_makes_a_request(form, service):
    for sampler in service.host.registry("samplers"):
        service.request(form.given(values(form, sampler=sampler.name)))


def test_an_earlier_request_fills_the_form(form, service):
    request = service.request({"prompt": "x", "steps": 400, "seed": 7, "sampler": "Euler a", "model": "shapes",
                               "params": {"sampler": {"eta": 0.25}}})  # fmt: skip
    updates = {
        (c.section, c.name, c.record.__name__): update
        for c, update in zip(form.controls, form.updates(request), strict=True)
    }
    assert updates["", "prompt", "CoreParams"]["value"] == "x"
    steps = updates["", "steps", "CoreParams"]
    assert (steps.value, steps.maximum) == (400, 400), "more than the slider shows is not cut off"
    assert updates["sampler", "eta", "EtaOptions"]["value"] == 0.25
    assert "value" not in updates["sampler", "s_churn", "ChurnOptions"]
    assert "value" not in updates["", "seed", "CoreParams"], "a job's seed was drawn for it"


def test_records_of_one_group_share_an_accordion(form):
    def accordion(component):
        while not isinstance(component, gr.Accordion):
            component = component.parent
        return component

    by_section = {control.section: accordion(control.component) for control in form.controls if control.section in (
        "variations", "noise_controls", "tiling"
    )}  # fmt: skip
    assert by_section["variations"] is by_section["noise_controls"]
    assert by_section["variations"].label == text("groups.Seed and noise", "Seed and noise")
    assert by_section["tiling"].label == text("records.tiling", "Tiling")
