"""Inpainting: only the masked part of a picture is made anew."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from gesso import Mask, Params, Record, Registrar, Stage, StageFn, hookimpl, lazy, param

if TYPE_CHECKING:
    from gesso import DenoiseFn, RunContext

api = "1"


MODES = ("Inpaint masked", "Inpaint not masked")
CONTENTS = ("fill", "original", "latent noise", "latent nothing")
AREAS = ("Whole picture", "Only masked")
NUMBERED = (
    ("mode", "inpainting_mask_invert", MODES),
    ("content", "inpainting_fill", CONTENTS),
    ("area", "inpaint_full_res", AREAS),
)
"""Fields whose values are numbers in A1111's REST API: field, name there, values in order."""


class InpaintParams(Params):
    """What of the picture is painted anew."""

    mask: Mask | None = param(
        None, label="Mask", flag="mask",
        description="White is painted; in a picture with transparency, what is opaque.",
    )  # fmt: skip
    mode: Literal["Inpaint masked", "Inpaint not masked"] = param(
        "Inpaint masked", label="Mask mode", infotext="Mask mode", api="inpainting_mask_invert"
    )
    blur: int = param(4, ge=0, le=64, step=1, label="Mask blur", infotext="Mask blur", api="mask_blur", unit="px")
    content: Literal["fill", "original", "latent noise", "latent nothing"] = param(
        "original", label="Masked content", infotext="Masked content", api="inpainting_fill"
    )
    area: Literal["Whole picture", "Only masked"] = param(
        "Whole picture", label="Inpaint area", infotext="Inpaint area", api="inpaint_full_res"
    )
    padding: int = param(
        32, ge=0, le=256, step=4, label="Only masked padding", infotext="Masked area padding",
        api="inpaint_full_res_padding", unit="px",
    )  # fmt: skip
    blur_x: int = param(
        -1, ge=-1, le=64, label="Mask blur across", infotext="Mask blur x", unit="px", advanced=True,
        description="-1: the mask blur.",
    )  # fmt: skip
    blur_y: int = param(
        -1, ge=-1, le=64, label="Mask blur down", infotext="Mask blur y", unit="px", advanced=True,
        description="-1: the mask blur.",
    )  # fmt: skip
    weight: float = param(
        1.0, ge=0, le=1, step=0.01, label="Conditional mask weight", infotext="Conditional mask weight", advanced=True,
        description="For models made for inpainting: how much of what is under the mask is hidden from them.",
    )  # fmt: skip

    def to_infotext(self) -> dict[str, Any]:
        if self.mask is None:
            return super().to_infotext()
        always: dict[str, Any] = {"Mask blur": self.blur}
        if self.area == "Only masked":
            always["Masked area padding"] = self.padding
        return {**super().to_infotext(), **always}

    def to_a1111(self) -> dict[str, Any]:
        numbers = {api: values.index(getattr(self, name)) for name, api, values in NUMBERED}
        return {**super().to_a1111(), **numbers}

    @classmethod
    def from_a1111(cls, body: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: value for name, value in super().from_a1111(body).items() if value is not None}
        for name, _, values in NUMBERED:
            if found.get(name) in range(len(values)):  # True and False are 1 and 0
                found[name] = values[found[name]]
        if "blur" not in found:  # A1111's clients send the one or the other two
            sent = {name: body.get(api) for name, api in (("blur_x", "mask_blur_x"), ("blur_y", "mask_blur_y"))}
            found |= {name: value for name, value in sent.items() if value is not None}
        return found

    @classmethod
    def api_names(cls) -> tuple[str, ...]:
        return (*super().api_names(), "mask_blur_x", "mask_blur_y")


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="inpaint", label="Inpaint", params=InpaintParams, tabs=("img2img",)))


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    """The picture is opened before by whoever starts from one; `fit` takes any mask a stage has put on the canvas."""

    def stage(name: str, anchor: str, code: str, label: str, **order: Any) -> Stage:
        return Stage(name=name, label=label, anchor=anchor, run=lazy(f".stages:{code}", StageFn), **order)

    registry.add(
        stage("inpaint_mask", "prepare", "open_mask", "Opening the mask", after=("img2img_open",)),
        stage(
            "inpaint_fit", "prepare", "fit", "Fitting the mask", after=("inpaint_mask", "outpaint"),
            before=("img2img_fit",),
        ),
        stage("inpaint_condition", "encode", "condition", "Looking at the picture", after=("encode",)),
        stage("inpaint_content", "init", "content", "Filling the mask", after=("init",)),
        stage("inpaint_keep", "sample", "keep", "Keeping the rest", after=("sample",)),
        stage("inpaint_overlay", "composite", "overlay", "Putting the picture back"),
    )  # fmt: skip


@hookimpl
def gesso_wrap_denoise(ctx: RunContext, denoise: DenoiseFn) -> AbstractContextManager[DenoiseFn] | None:
    if ctx.canvas is None or ctx.canvas.keep is None:
        return None
    from .stages import blended

    return blended(ctx.canvas, denoise)
