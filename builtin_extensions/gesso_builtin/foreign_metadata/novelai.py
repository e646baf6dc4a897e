"""NovelAI."""

from __future__ import annotations

from gesso_builtin.foreign_metadata.shared import Items, Size, compose, json_object, renamed

_NOVELAI = {
    "steps": "Steps", "sampler": "Sampler", "noise_schedule": "Schedule type", "scale": "CFG scale", "seed": "Seed",
    "strength": "Denoising strength",
}  # fmt: skip


def novelai(items: Items, size: Size) -> str | None:
    """`Software: NovelAI`, prompt in `Description`, JSON in `Comment`; all as JSON where a format has one text."""
    if items.get("Software") != "NovelAI":
        items = json_object(items.get("parameters"))
    if items.get("Software") != "NovelAI":
        return None
    data = json_object(items.get("Comment"))
    values = renamed(data, _NOVELAI) | {"Clip skip": 2, "ENSD": 31337}  # what A1111 adds to come near
    return compose(items.get("Description") or data.get("prompt"), data.get("uc"), values, size)
