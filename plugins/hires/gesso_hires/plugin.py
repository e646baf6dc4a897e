"""A second pass at a higher resolution, as A1111's "Hires. fix": its record, its stage, six ways to stretch latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesso import (
    Panel,
    PanelFn,
    Record,
    Registrar,
    Request,
    Stage,
    StageFn,
    UpscaleLatentsFn,
    Upscaler,
    hookimpl,
    lazy,
)

from .params import NAME, HiresParams

if TYPE_CHECKING:
    from gesso import Latents, RunContext, Service

api = "1"
LATENT = {
    "latent": ("Latent", "bilinear"), "latent_antialiased": ("Latent (antialiased)", "bilinear_antialiased"),
    "latent_bicubic": ("Latent (bicubic)", "bicubic"),
    "latent_bicubic_antialiased": ("Latent (bicubic antialiased)", "bicubic_antialiased"),
    "latent_nearest": ("Latent (nearest)", "nearest"),
    "latent_nearest_exact": ("Latent (nearest-exact)", "nearest_exact"),
}  # fmt: skip
"""Name → A1111's label, function."""


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Hires. fix", params=HiresParams, tabs=("txt2img",)))


@hookimpl
def gesso_register_upscalers(registry: Registrar[Upscaler]) -> None:
    for name, (label, function) in LATENT.items():
        registry.add(Upscaler(name=name, label=label, latents=lazy(f".latent:{function}", UpscaleLatentsFn)))


@hookimpl
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    registry.add(
        Stage(
            name="hires_open", label="Opening what is to be enlarged", anchor="load", before=("load",),
            run=lazy(".stages:open_picture_to_enlarge", StageFn),
        ),
        Stage(name=NAME, label="Second pass", anchor="refine", run=lazy(".stages:second_pass", StageFn)),
    )  # fmt: skip


@hookimpl
def gesso_filter_request(request: Request, service: Service) -> Request | None:
    """Names become those of what is there, sizes are checked, before the job is queued."""
    if not HiresParams.parse(request.params.get(NAME, {}), where=NAME).enabled:
        return None
    from .request import settled

    return settled(request, service)


@hookimpl
def gesso_choose_init_latents(ctx: RunContext) -> Latents | None:
    from .stages import brought_latents

    return brought_latents(ctx)


@hookimpl
def gesso_register_panels(registry: Registrar[Panel]) -> None:
    registry.add(Panel(name=NAME, label="Size of the second pass", build=lazy(".ui:build", PanelFn), tabs=("txt2img",)))
