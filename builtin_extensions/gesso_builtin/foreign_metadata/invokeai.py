"""InvokeAI 3 and later."""

from __future__ import annotations

from typing import Any

from gesso_builtin.foreign_metadata.shared import Items, Size, compose, json_object, lora_tags, renamed

_INVOKE = {
    "steps": "Steps", "scheduler": "Sampler", "cfg_scale": "CFG scale", "guidance": "Distilled CFG Scale",
    "seed": "Seed", "strength": "Denoising strength",
}  # fmt: skip


def _invoke_name(model: Any) -> Any:
    return model.get("name") or model.get("model_name") if isinstance(model, dict) else model


def invokeai(items: Items, size: Size) -> str | None:
    """Chunk `invokeai_metadata` (InvokeAI 3 and later)."""
    data = json_object(items.get("invokeai_metadata"))
    if not data:
        return None
    values = renamed(data, _INVOKE)
    values |= {"Model": _invoke_name(data.get("model")), "VAE": _invoke_name(data.get("vae"))}
    if isinstance(skip := data.get("clip_skip"), int) and skip > 0:
        values["Clip skip"] = skip + 1  # counted from 0 there
    if "width" in data and "height" in data:
        size = int(data["width"]), int(data["height"])
    loras = [
        (_invoke_name(one.get("model") or one.get("lora")), one.get("weight", 1)) for one in data.get("loras") or []
    ]
    return compose(f"{data.get('positive_prompt', '')}{lora_tags(loras)}", data.get("negative_prompt"), values, size)
