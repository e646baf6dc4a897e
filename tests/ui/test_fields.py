"""Which field becomes which control, and back."""

from __future__ import annotations

from typing import Literal

import gradio as gr
import pytest

from gesso import CoreParams, Params, UnknownNameError, fields, param, text
from gesso_ui.fields import bounds, choices_of, control, kind_of, shown, value_of


class Everything(Params):
    flag: bool = param(True, label="Flag")
    few: int = param(3, ge=0, le=10)
    soft: int = param(20, ge=1, le=100_000, soft_max=150)
    free: float = param(1.5)
    fine: float = param(0.5, ge=0, le=1000, step=0.001)
    maybe: float | None = param(None, ge=0, le=1)
    big: int = param(-1, ge=-1, le=2**64 - 1)
    text: str = param("hello", description="What it is")
    mode: Literal["a", "b"] = param("b")
    fixed: str = param("y", choices=("x", "y"))
    sampler: str = param("euler", choices="registry:samplers")
    pairs: list[int] = param([1])
    wide: int = param(64, ge=8, le=16384, step=8, unit="px", label="Width")


FIELDS = {name: (field, info) for name, field, info in fields(Everything)}


@pytest.mark.parametrize(
    ("name", "component"),
    [("flag", gr.Checkbox), ("few", gr.Slider), ("soft", gr.Slider), ("free", gr.Number), ("fine", gr.Number),
     ("maybe", gr.Slider), ("big", gr.Textbox), ("text", gr.Textbox), ("mode", gr.Dropdown), ("fixed", gr.Dropdown),
     ("sampler", gr.Dropdown), ("pairs", gr.Code), ("wide", gr.Slider)],
)  # fmt: skip
def test_each_kind_of_field_has_its_control(service, name, component):
    field, info = FIELDS[name]
    made = control(name, field, info, choices_of(service, field, info))
    assert type(made) is component


def test_sliders_end_where_they_are_of_use():
    slider = control("soft", *FIELDS["soft"], [])
    assert (slider.minimum, slider.maximum, slider.step, slider.value) == (1, 150, 1, 20)
    assert control("wide", *FIELDS["wide"], []).label == "Width (px)"
    assert bounds(FIELDS["soft"][0]) == (1, 100_000)


def test_choices_are_labels_for_names(service):
    samplers = dict(choices_of(service, *FIELDS["sampler"]))
    assert samplers["Euler a"] == "euler_ancestral"
    assert choices_of(service, *FIELDS["mode"]) == [(text("", "a"), "a"), (text("", "b"), "b")]
    field, info = next((f, i) for name, f, i in fields(CoreParams) if name == "model")
    assert ("shapes", "shapes") in choices_of(service, field, info)


def test_an_unknown_source_of_choices_is_said(service):
    class Odd(Params):
        x: str = param("", choices="planets:near")

    _, field, info = next(fields(Odd))
    with pytest.raises(UnknownNameError, match="planets"):
        choices_of(service, field, info)


def test_values_come_back_as_the_record_takes_them():
    def back(name, value):
        return value_of(FIELDS[name][0], value)

    assert back("few", 4.0) == 4
    assert isinstance(back("few", 4.0), int)
    assert back("few", None) == 3
    assert back("big", " 18446744073709551615 ") == "18446744073709551615"
    assert Everything.parse({"big": back("big", "18446744073709551615")}).big == 2**64 - 1
    assert back("big", "") == -1
    assert back("text", "") == ""
    assert back("pairs", None) == [1]
    assert back("pairs", shown(FIELDS["pairs"][0], [1, 2])) == [1, 2]
    assert back("pairs", "[1,") == "[1,"
    assert shown(FIELDS["big"][0], 2**64 - 1) == "18446744073709551615"
    assert kind_of(FIELDS["maybe"][0]) is float
