"""Variations: a second seed mixed into a picture's noise, and noise drawn for another size."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from gesso import Params, Record, Registrar, Request, hookimpl, param

if TYPE_CHECKING:
    from gesso import Noise, Output, RunContext

api = "1"
NAME = "variations"


class Variations(Params):
    """Small changes of a picture whose seed stays."""

    seed: int = param(
        -1, ge=-1, le=2**64 - 1, label="Variation seed", infotext="Variation seed", api="subseed",
        description="−1 for a random one. The pictures of a job count up from it.",
    )  # fmt: skip
    strength: float = param(
        0.0, ge=0, le=1, step=0.01, label="Variation strength", infotext="Variation seed strength",
        api="subseed_strength", description="0: the seed's own picture, 1: the variation seed's.",
    )  # fmt: skip
    resize_from_width: int = param(
        0, ge=0, le=16384, step=8, soft_max=2048, label="Resize seed from width", api="seed_resize_from_w", unit="px",
        description="Width and height of a picture whose noise is put into the middle of this one's; 0: no.",
    )  # fmt: skip
    resize_from_height: int = param(
        0, ge=0, le=16384, step=8, soft_max=2048, label="Resize seed from height", api="seed_resize_from_h", unit="px"
    )

    @field_validator("resize_from_width", "resize_from_height", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        """A1111's clients say −1 for no."""
        return 0 if value in (-1, "-1") else value

    @property
    def resizes(self) -> bool:
        return self.resize_from_width > 0 and self.resize_from_height > 0

    def to_infotext(self) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        if self.strength:
            pairs |= {"Variation seed": self.seed, "Variation seed strength": self.strength}
        if self.resizes:
            pairs["Seed resize from"] = f"{self.resize_from_width}x{self.resize_from_height}"
        return pairs

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        found = super().from_infotext(pairs)
        width, _, height = pairs.get("Seed resize from", "").partition("x")
        if width.isdecimal() and height.isdecimal():
            found |= {"resize_from_width": int(width), "resize_from_height": int(height)}
        return found

    @classmethod
    def infotext_keys(cls) -> tuple[str, ...]:
        return (*super().infotext_keys(), "Seed resize from")


@hookimpl
def gesso_register_params(registry: Registrar[Record]) -> None:
    registry.add(Record(name=NAME, label="Variations", group="Seed and noise", params=Variations))


@hookimpl
def gesso_filter_request(request: Request) -> Request | None:
    """A random variation seed is drawn before the job is queued."""
    given = Variations.parse(request.params.get(NAME, {}), where=NAME)
    if not given.strength or given.seed != -1:
        return None
    drawn = given.model_copy(update={"seed": secrets.randbelow(2**32)})
    return request.model_copy(update={"params": {**request.params, NAME: drawn.model_dump(mode="json")}})


@hookimpl
def gesso_filter_seeds(seeds: list[int], ctx: RunContext) -> list[int] | None:
    """With a variation the pictures of a job share their seed and count up the other one."""
    return [ctx.request.seed] * len(seeds) if ctx.params(NAME, Variations).strength else None


@hookimpl(phase="draw")
def gesso_filter_noise(noise: Noise, ctx: RunContext) -> Noise | None:
    options = ctx.params(NAME, Variations)
    if not options.strength and not options.resizes:
        return None
    from .mixing import varied

    return varied(noise, options, ctx.loaded().family.streams[0].down[-2:])


@hookimpl
def gesso_filter_metadata(pairs: dict[str, Any], output: Output, ctx: RunContext) -> dict[str, Any] | None:
    """Each picture states its own variation seed."""
    options = ctx.params(NAME, Variations)
    return {**pairs, "Variation seed": (options.seed + output.index) % 2**64} if options.strength else None
