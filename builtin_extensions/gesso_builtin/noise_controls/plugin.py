"""Where random numbers come from, ENSD, and extra noise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gesso import Params, Record, Registrar, hookimpl, param

if TYPE_CHECKING:
    from gesso import Noise, NoiseSource, RunContext

api = "1"
NAME = "noise_controls"
_A1111 = re.compile(r"[vf]\d")


class NoiseControls(Params):
    """What seeds mean."""

    source: Literal["CPU", "GPU", "NV"] = param(
        "CPU", label="Random number generator", infotext="RNG",
        description="GPU and NV make the pictures that A1111 makes on an NVIDIA card; NV makes them anywhere.",
    )  # fmt: skip
    ensd: int = param(
        0, ge=-(2**53), le=2**53, label="Eta noise seed delta (ENSD)", infotext="ENSD", advanced=True,
        description="Added to the seed for the noise that ancestral samplers add; NovelAI has 31337.",
    )  # fmt: skip
    extra: float = param(
        0.0, ge=0, le=1, step=0.01, label="Extra noise", infotext="Extra noise",
        description="More noise on a picture before it is repainted (img2img, second passes): more detail.",
    )  # fmt: skip

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        """A1111 and Forge leave `RNG` out where they drew on the graphics card."""
        found = super().from_infotext(pairs)
        if "RNG" not in pairs and _A1111.match(pairs.get("Version", "")):
            found["source"] = "GPU"
        return found


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Noise", group="Seed and noise", params=NoiseControls))


@hookimpl
def gesso_choose_noise_source(ctx: RunContext) -> NoiseSource | None:
    chosen = ctx.params(NAME, NoiseControls).source
    if chosen == "CPU":
        return None
    from .sources import device_noise, nv_noise

    return device_noise(ctx.loaded().device) if chosen == "GPU" else nv_noise


@hookimpl(phase="change")
def gesso_filter_noise(noise: Noise, ctx: RunContext) -> Noise | None:
    options = ctx.params(NAME, NoiseControls)
    if options.ensd:
        streams = tuple(noise.source((seed + options.ensd) % 2**64) for seed in noise.seeds)
        noise = replace(noise, streams=streams)
    if options.extra and noise.has_init:
        # The start is multiplied by sigma: so much more of the same noise lies on the picture, as in A1111.
        noise = replace(noise, start=noise.start * (1 + options.extra / noise.sigma))
    return noise
