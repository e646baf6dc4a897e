"""Soft inpainting: masks with soft edges, blended in each step by how much the picture changes."""

from __future__ import annotations

from typing import Any

from gesso import Params, Record, Registrar, Stage, StageFn, hookimpl, lazy, param

api = "1"


class SoftInpaintingParams(Params):
    """How the painted part runs into the rest. Use it with a wide mask blur."""

    enabled: bool = param(False, label="Soft inpainting", infotext="Soft inpainting enabled")
    schedule_bias: float = param(
        1.0, ge=0, le=8, step=0.1, label="Schedule bias", infotext="Soft inpainting schedule bias",
        description="Above 1 the picture comes back late in the run, below early.",
    )  # fmt: skip
    preservation: float = param(
        0.5, ge=0, le=8, step=0.05, label="Preservation strength", infotext="Soft inpainting preservation strength",
        description="How strongly what is partly masked keeps the picture.",
    )  # fmt: skip
    contrast_boost: float = param(
        4.0, ge=1, le=32, step=0.5, label="Transition contrast boost",
        infotext="Soft inpainting transition contrast boost",
        description="More contrast where picture and painting are mixed.",
    )  # fmt: skip
    mask_influence: float = param(
        0.0, ge=0, le=1, step=0.05, label="Mask influence", infotext="Soft inpainting mask influence",
        description="How much the mask decides, beside the difference, where the picture is put back.",
    )  # fmt: skip
    difference_threshold: float = param(
        0.5, ge=0, le=8, step=0.25, label="Difference threshold", infotext="Soft inpainting difference threshold",
        description="How much must have changed for the picture to give way.",
    )  # fmt: skip
    difference_contrast: float = param(
        2.0, ge=0, le=8, step=0.25, label="Difference contrast", infotext="Soft inpainting difference contrast",
        description="How hard the edge of what is put back is.",
    )  # fmt: skip

    def to_infotext(self) -> dict[str, Any]:
        if not self.enabled:
            return super().to_infotext()
        return dict(zip(self.infotext_keys(), self.model_dump().values(), strict=True))


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(
        Record(name="soft_inpainting", label="Soft inpainting", params=SoftInpaintingParams, tabs=("img2img",))
    )


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    registry.add(
        Stage(
            name="soft_inpainting", label="Softening the mask", anchor="prepare", run=lazy(".stages:soften", StageFn),
            after=("img2img_open",), before=("inpaint_mask", "outpaint"),
        ),
        Stage(
            name="soft_inpainting_overlay", label="Finding what changed", anchor="composite",
            run=lazy(".stages:decide_overlays", StageFn), before=("inpaint_overlay",),
        ),
    )  # fmt: skip
