"""What SDXL is told of a picture besides its prompt: sizes, crop, beauty (arXiv:2307.01952, §2.2). Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gesso import Params, param

if TYPE_CHECKING:
    from gesso import RunContext


def _pixels(label: str, description: str, *, api: str = "") -> Any:
    """A number of pixels; the infotext key is the label."""
    return param(0, ge=0, le=16384, step=8, soft_max=4096, unit="px", label=label, infotext=label, api=api,
                 description=description)  # fmt: skip


def _score(default: float, label: str, description: str, *, api: str) -> Any:
    return param(default, ge=0, le=10, step=0.1, label=label, infotext=label, api=api, advanced=True,
                 description=description)  # fmt: skip


class SdxlConditioning(Params):
    """SDXL's size conditioning; the refiner has its aesthetic score instead of the target size."""

    original_width: int = _pixels("SDXL original width", "Of the photograph before it was made smaller. 0: as drawn.")
    original_height: int = _pixels("SDXL original height", "A small original makes coarse pictures. 0: as drawn.")
    crop_left: int = _pixels("SDXL crop left", "Pixels cut off on the left: more of it moves things out to the left.",
                             api="sdxl_crop_left")  # fmt: skip
    crop_top: int = _pixels("SDXL crop top", "Pixels cut off at the top.", api="sdxl_crop_top")
    target_width: int = _pixels("SDXL target width", "Of the picture that is aimed at. 0: as drawn.")
    target_height: int = _pixels("SDXL target height", "Of the picture that is aimed at. 0: as drawn.")
    aesthetic_score: float = _score(6.0, "SDXL high aesthetic score", "What the refiner is told with the prompt.",
                                    api="sdxl_refiner_high_aesthetic_score")  # fmt: skip
    negative_aesthetic_score: float = _score(2.5, "SDXL low aesthetic score", "… and with the negative prompt.",
                                             api="sdxl_refiner_low_aesthetic_score")  # fmt: skip


def tell(ctx: RunContext) -> None:
    """Stage: what was asked for, as the options of `encode_prompt`. Sizes nobody gave are those of the encoded picture,
    which need not be the request's."""
    asked, (width, height) = ctx.params("sdxl", SdxlConditioning), ctx.size
    said: dict[str, Any] = {
        "crop": (asked.crop_left, asked.crop_top),
        "aesthetic_score": asked.aesthetic_score,
        "negative_aesthetic_score": asked.negative_aesthetic_score,
    }
    if asked.original_width or asked.original_height:
        said["original_size"] = (asked.original_width or width, asked.original_height or height)
    if asked.target_width or asked.target_height:
        said["target_size"] = (asked.target_width or width, asked.target_height or height)
    ctx.text_options |= said
