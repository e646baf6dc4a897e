"""Outpainting: a picture grows beyond its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gesso import (
    FileRef,
    InvalidInputError,
    Params,
    Record,
    Registrar,
    Request,
    Stage,
    StageFn,
    hookimpl,
    lazy,
    param,
)

from .geometry import SIDES, grown

if TYPE_CHECKING:
    from gesso import Service

api = "1"


class OutpaintParams(Params):
    """How far the picture grows, and to which sides."""

    enabled: bool = param(False, label="Outpaint", infotext="Outpaint", flag="outpaint")
    pixels: int = param(
        128, ge=8, le=2048, step=8, soft_max=256, label="Pixels to expand", infotext="Outpaint pixels", unit="px"
    )
    directions: list[str] = param(
        ["left", "right", "up", "down"], choices=SIDES, label="Outpainting direction", infotext="Outpaint direction"
    )
    blur: int = param(4, ge=0, le=64, step=1, label="Mask blur", infotext="Outpaint mask blur", unit="px")
    content: Literal["fill", "original", "latent noise", "latent nothing"] = param(
        "fill", label="Masked content", infotext="Outpaint masked content"
    )

    def to_infotext(self) -> dict[str, Any]:
        pairs = super().to_infotext()
        if self.enabled:
            pairs["Outpaint pixels"] = self.pixels
        if "Outpaint direction" in pairs:
            pairs["Outpaint direction"] = ", ".join(self.directions)
        return pairs


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="outpaint", label="Outpaint", params=OutpaintParams, tabs=("img2img",)))


@hookimpl
def gesso_filter_request(request: Request, service: Service) -> Request | None:
    """The run is as large as the picture will be."""
    record = OutpaintParams.parse(request.params.get("outpaint", {}), where="outpaint")
    if not record.enabled:
        return None
    if unknown := set(record.directions) - set(SIDES):
        raise InvalidInputError(f"{min(unknown)!r} is no direction.", hint=f"There are {', '.join(SIDES)}.")
    if not record.directions:
        raise InvalidInputError("Outpainting needs a direction.", hint=f"Choose from {', '.join(SIDES)}.")
    init = request.inputs.get("init")
    if not isinstance(init, FileRef):
        raise InvalidInputError("Outpainting needs a picture.", hint="Choose one; on the command line, --init FILE.")
    from gesso import picture_size

    size, step = picture_size(service.file(init)), service.size_step(request.model)
    width, height = grown(size, record.pixels, record.directions, step)
    return Request.parse({**request.model_dump(), "width": width, "height": height})


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    registry.add(
        Stage(
            name="outpaint", label="Growing the picture", anchor="prepare", run=lazy(".stages:grow", StageFn),
            after=("img2img_open", "inpaint_mask"), before=("img2img_fit",),
        )
    )  # fmt: skip
