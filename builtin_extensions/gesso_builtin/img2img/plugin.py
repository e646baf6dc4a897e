"""Image to image: a picture made from a picture, and the tab for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gesso import (
    Image,
    InvalidInputError,
    Locale,
    Params,
    Record,
    Registrar,
    Request,
    Stage,
    StageFn,
    Tab,
    TabFn,
    hookimpl,
    lazy,
    param,
)

if TYPE_CHECKING:
    from gesso import Latents, Noise, RunContext, Service

api = "1"

RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)")
HIRES_KEYS = ("Hires upscale", "Hires upscaler", "Hires resize", "Hires resize-1")
"""With one of these, "Denoising strength" is that of a second pass."""


class Img2ImgParams(Params):
    """A picture to start from, and how much of it is made anew."""

    init: Image | None = param(None, label="Picture", flag="init", description="What the run starts from.")
    strength: float = param(
        0.75, ge=0, le=1, step=0.01, label="Denoising strength", infotext="Denoising strength",
        api="denoising_strength", flag="strength", description="0 keeps the picture, 1 hardly looks at it.",
    )  # fmt: skip
    resize_mode: Literal["Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"] = param(
        "Just resize", choices=RESIZE_MODES, label="Resize mode", infotext="Resize mode", api="resize_mode"
    )
    scale: float = param(
        0.0, ge=0, le=16, step=0.05, soft_max=4, label="Resize by", changes_picture=False, flag="scale",
        description="Width and height of the picture times this; 0: the width and height below.",
    )  # fmt: skip
    noise_multiplier: float = param(
        1.0, ge=0, le=1.5, step=0.001, label="Noise multiplier", infotext="Noise multiplier",
        api="initial_noise_multiplier", advanced=True,
    )  # fmt: skip
    full_steps: bool = param(
        False, label="Do exactly the steps asked for", infotext="Img2img fix steps", advanced=True,
        description="Otherwise only the share that the strength leaves.",
    )  # fmt: skip
    color_correction: bool = param(
        False, label="Keep the picture's colours", infotext="Img2img color correction", advanced=True
    )
    background: str = param(
        "#ffffff", max_length=40, label="Colour under transparency", infotext="Img2img background", advanced=True
    )

    def to_infotext(self) -> dict[str, Any]:
        always = {"Denoising strength": self.strength} if self.init is not None else {}
        return {**always, **super().to_infotext()}

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        found = super().from_infotext(pairs)
        if any(key in pairs for key in HIRES_KEYS):
            found.pop("strength", None)
        return found

    def to_a1111(self) -> dict[str, Any]:
        return {**super().to_a1111(), "resize_mode": RESIZE_MODES.index(self.resize_mode)}

    @classmethod
    def from_a1111(cls, body: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: value for name, value in super().from_a1111(body).items() if value is not None}
        if found.get("resize_mode") in range(len(RESIZE_MODES)):
            found["resize_mode"] = RESIZE_MODES[found["resize_mode"]]
        return found


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name="img2img", label="Image to image", params=Img2ImgParams, tabs=("img2img",)))


@hookimpl
def gesso_filter_request(request: Request, service: Service) -> Request | None:
    """A picture there must be; "resize by" becomes width and height, so that the job says what it makes."""
    if "img2img" not in request.params:
        return None
    record = Img2ImgParams.parse(request.params["img2img"], where="img2img")
    if record.init is None:
        raise InvalidInputError("Image to image needs a picture.", hint="Choose one; on the command line, --init FILE.")
    family = service.host.registry("families").get(service.library.find(request.model).family)
    if "init" not in family.accepts:
        raise InvalidInputError(f"{family.label} models do not start from pictures.", hint="Choose another model.")
    if not record.scale:
        return None
    from gesso import picture_size

    step = service.size_step(request.model)
    size = picture_size(service.file(record.init))
    width, height = (max(step, int(side * record.scale) // step * step) for side in size)
    settled = {**request.params["img2img"], "scale": 0.0}
    update = {"width": width, "height": height, "params": {**request.params, "img2img": settled}}
    return Request.parse({**request.model_dump(), **update})


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    opened, fit = lazy(".stages:open_init", StageFn), lazy(".stages:fit", StageFn)
    correct = lazy(".colour:correct", StageFn)
    registry.add(
        Stage(name="img2img_open", label="Opening the picture", anchor="prepare", run=opened),
        Stage(name="img2img_fit", label="Fitting the picture", anchor="prepare", after=("img2img_open",), run=fit),
        Stage(
            name="img2img_colour",
            label="Matching colours",
            anchor="composite",
            before=("inpaint_overlay",),
            run=correct,
        ),
    )


@hookimpl
def gesso_choose_init_latents(ctx: RunContext) -> Latents | None:
    if ctx.canvas is None:
        return None
    from .stages import init_latents

    return init_latents(ctx, ctx.canvas)


@hookimpl(phase="change")
def gesso_filter_noise(noise: Noise, ctx: RunContext) -> Noise | None:
    from .stages import multiplied

    return multiplied(noise, ctx)


@hookimpl
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    registry.add(Locale(name="img2img", folder=Path(__file__).with_name("locales")))


@hookimpl
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    registry.add(Tab(name="img2img", label="img2img", order=20, build=lazy(".ui:build", TabFn)))
