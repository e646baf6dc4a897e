"""The record of the second pass, under A1111's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from gesso import ChoicesFn, Image, Params, lazy, param

NAME = "hires"
SAME = {"sampler": "Use same sampler", "scheduler": "Use same scheduler", "checkpoint": "Use same checkpoint"}
"""What A1111 calls the first pass's."""
STRENGTH = "Denoising strength"
SIZE_KEYS = ("Hires upscale", "Hires upscaler", "Hires resize", "Hires resize-1")
"""A picture had a second pass when it has one of these and a strength, as A1111 reads it."""


class HiresParams(Params):
    """The picture is made at the size above, enlarged, and partly made anew at the larger size."""

    enabled: bool = param(False, label="Enabled", api="enable_hr", flag="hires")
    scale: float = param(
        2.0, ge=1, le=8, step=0.05, soft_max=4, label="Upscale by", infotext="Hires upscale", api="hr_scale"
    )
    width: int = param(
        0, ge=0, le=16384, step=8, soft_max=4096, label="Resize width to", unit="px", api="hr_resize_x",
        description="0: from the height; both 0: by the factor above.",
    )  # fmt: skip
    height: int = param(
        0, ge=0, le=16384, step=8, soft_max=4096, label="Resize height to", unit="px", api="hr_resize_y",
        description="0: from the width. With both given, what sticks out is cut off.",
    )  # fmt: skip
    upscaler: str = param(
        "Latent", label="Upscaler", infotext="Hires upscaler", api="hr_upscaler",
        choices=lazy(".choices:upscalers", ChoicesFn),
    )  # fmt: skip
    steps: int = param(
        0, ge=0, le=1000, step=1, soft_max=150, label="Hires steps", infotext="Hires steps", api="hr_second_pass_steps",
        description="0: as many as in the first pass.",
    )  # fmt: skip
    strength: float = param(
        0.7, ge=0, le=1, step=0.01, label="Denoising strength",
        description="0 keeps the enlarged picture. Latent upscalers want 0.5 or more, the others are good from 0.2 on.",
    )  # fmt: skip
    cfg_scale: float = param(
        0.0, ge=0, le=100, step=0.5, soft_max=30, label="Hires CFG scale", infotext="Hires CFG Scale", api="hr_cfg",
        advanced=True, description="0: as in the first pass.",
    )  # fmt: skip
    sampler: str = param(
        "", label="Hires sampler", infotext="Hires sampler", api="hr_sampler_name", advanced=True,
        choices=lazy(".choices:samplers", ChoicesFn),
    )  # fmt: skip
    scheduler: str = param(
        "", label="Hires schedule type", infotext="Hires schedule type", api="hr_scheduler", advanced=True,
        choices=lazy(".choices:schedulers", ChoicesFn),
    )  # fmt: skip
    checkpoint: str = param(
        "", label="Hires checkpoint", infotext="Hires checkpoint", api="hr_checkpoint_name", advanced=True,
        choices=lazy(".choices:checkpoints", ChoicesFn),
    )  # fmt: skip
    prompt: str = param(
        "", label="Hires prompt", infotext="Hires prompt", api="hr_prompt", max_length=100_000, advanced=True,
        description="Empty: the first pass's.",
    )  # fmt: skip
    negative_prompt: str = param(
        "", label="Hires negative prompt", infotext="Hires negative prompt", api="hr_negative_prompt",
        max_length=100_000, advanced=True,
    )  # fmt: skip
    picture: Image | None = param(
        None, label="Enlarge this picture", changes_picture=False, flag="upscale",
        description="In place of a first pass: the second alone, on this picture.",
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _one_size(cls, data: Any) -> Any:
        """With a size given, the factor says nothing."""
        if isinstance(data, dict) and (data.get("width") or data.get("height")):
            return {name: value for name, value in data.items() if name != "scale"}
        return data

    def to_infotext(self) -> dict[str, Any]:
        """A1111's pairs; none when it is off."""
        if not self.enabled:
            return {}
        plain = super().to_infotext()
        resized = bool(self.width or self.height)
        size = {"Hires resize": f"{self.width}x{self.height}"} if resized else {"Hires upscale": _plain(self.scale)}
        first = {STRENGTH: _plain(self.strength), **size}
        if "Hires CFG Scale" in plain:
            plain["Hires CFG Scale"] = _plain(self.cfg_scale)
        steps = {"Hires steps": plain.pop("Hires steps")} if self.steps else {}
        return {**first, **steps, "Hires upscaler": self.upscaler, **{k: v for k, v in plain.items() if k not in first}}

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        """The fields of a picture that had a second pass; nothing for any other."""
        if STRENGTH not in pairs or not any(key in pairs for key in SIZE_KEYS):
            return {}
        found = {**super().from_infotext(pairs), "enabled": True, "strength": pairs[STRENGTH]}
        width, _, height = pairs.get("Hires resize", "").partition("x")
        width, height = pairs.get("Hires resize-1", width), pairs.get("Hires resize-2", height)
        if width.isdecimal() and height.isdecimal() and (int(width) or int(height)):
            found |= {"width": width, "height": height}
        return _without_same(found)

    def to_a1111(self) -> dict[str, Any]:
        """Beside its own names the strength, which it shares with image to image."""
        shared = {"denoising_strength": self.strength} if self.enabled else {}
        return {**super().to_a1111(), **shared}

    @classmethod
    def from_a1111(cls, body: Mapping[str, Any]) -> dict[str, Any]:
        found = super().from_a1111(body)
        if found.get("enabled") and body.get("denoising_strength") is not None:
            found["strength"] = body["denoising_strength"]
        return _without_same(found)

    @classmethod
    def infotext_keys(cls) -> tuple[str, ...]:
        return (*super().infotext_keys(), "Hires resize")

    @classmethod
    def shared_names(cls) -> tuple[str, ...]:
        return (STRENGTH, "denoising_strength")


def _without_same(found: dict[str, Any]) -> dict[str, Any]:
    """Without what only says that the first pass's is meant."""
    return {name: value for name, value in found.items() if value != SAME.get(name, ...)}


def _plain(value: float) -> int | float:
    """2 rather than 2.0, as people type whole numbers."""
    return int(value) if float(value).is_integer() else value
