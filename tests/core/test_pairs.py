"""Infotext of other programs as a request: keys they write otherwise, and which model is meant."""

from __future__ import annotations

import pytest

from gesso.metadata import parse_infotext
from gesso.pairs import as_a1111, effective_scheduler, request_fields
from gesso.service import Service


def fields(service: Service, params: str) -> tuple[dict, dict]:
    text = parse_infotext(f"a fox\n{params}")
    return request_fields(service.host, text.prompt, text.negative_prompt, text.params)


@pytest.mark.parametrize(
    ("params", "model"),
    [
        ("Model hash: 6ce0161689, Model: v1-5", "v1-5 [6ce0161689]"),
        ("Model hash: 6ce0161689", "6ce0161689"),
        ("Model: v1-5", "v1-5"),
    ],
)
def test_the_model_is_asked_for_by_hash_and_name(service: Service, params: str, model: str) -> None:
    found, unknown = fields(service, f"Steps: 20, Seed: 1, CFG scale: 7, {params}")
    assert (found["model"], unknown) == (model, {})


def test_a1111s_two_spellings_of_the_beta_schedule(service: Service) -> None:
    for word in ("schedule", "scheduler"):
        text = f"Steps: 20, Sampler: Euler, Schedule type: Beta, Beta {word} alpha: 0.7, Beta {word} beta: 0.5"
        found, unknown = fields(service, text)
        assert {name: float(value) for name, value in found["params"]["scheduler"].items()} == {
            "alpha": 0.7, "beta": 0.5,
        }  # fmt: skip
        assert unknown == {}


def test_a_schedule_within_the_samplers_name(service: Service) -> None:
    found, _ = fields(service, "Steps: 20, Sampler: DPM++ 2M Karras, Seed: 1")
    assert found["sampler"] == "dpmpp_2m"
    assert effective_scheduler(service.host, found["sampler"], found["scheduler"]).label == "Karras"


def test_civitais_pictures_of_flux(service: Service) -> None:
    text = "Steps: 28, Sampler: Undefined, CFG scale: 3.5, Seed: 1, Clip skip: 2, Model: flux"
    found, unknown = fields(service, text)
    assert (found["sampler"], found["scheduler"], float(found["cfg_scale"])) == ("euler", "Simple", 1)
    assert unknown == {"Distilled CFG Scale": "3.5"}, "whoever brings Flux reads it"
    assert "Clip skip" not in as_a1111({"Sampler": "Undefined", "Clip skip": "2"})
    assert as_a1111({"Sampler": "Euler", "Clip skip": "2"}) == {"Sampler": "Euler", "Clip skip": "2"}
