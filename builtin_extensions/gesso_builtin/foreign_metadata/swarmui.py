"""SwarmUI: docs/Image Metadata Format.md of its repository."""

from __future__ import annotations

from gesso_builtin.foreign_metadata.shared import Items, Size, compose, json_object, lora_tags, renamed

_SWARM = {
    "steps": "Steps", "comfyuisampler": "Sampler", "sampler": "Sampler", "comfyuischeduler": "Schedule type",
    "scheduler": "Schedule type", "cfgscale": "CFG scale", "fluxguidancescale": "Distilled CFG Scale", "seed": "Seed",
    "model": "Model", "vae": "VAE", "variationseed": "Variation seed",
    "variationseedstrength": "Variation seed strength", "initimagecreativity": "Denoising strength",
}  # fmt: skip


def swarmui(items: Items, size: Size) -> str | None:
    """`parameters` holds JSON with `sui_image_params` (SwarmUI, docs/Image Metadata Format)."""
    params = json_object(items.get("parameters")).get("sui_image_params")
    if not isinstance(params, dict):
        return None
    values = renamed(params, _SWARM)
    if isinstance(stop := params.get("clipstopatlayer"), int) and stop < -1:
        values["Clip skip"] = -stop
    if "width" in params and "height" in params:
        size = int(params["width"]), int(params["height"])
    loras = params.get("loras") or []
    weights = params.get("loraweights") or [1] * len(loras)
    tags = lora_tags(zip(loras, weights, strict=False)) if isinstance(loras, list) else ""
    return compose(f"{params.get('prompt', '')}{tags}", params.get("negativeprompt"), values, size)
