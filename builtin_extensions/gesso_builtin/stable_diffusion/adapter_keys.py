"""How LoRA and other adapter files spell the weights of Stable Diffusion, beside the checkpoint's own names.

kohya's trainers write module names of diffusers or of CompVis with underscores; ComfyUI and others `diffusion_model.`
and the checkpoint's name; diffusers and PEFT `unet.` and diffusers' name.
"""

from __future__ import annotations

from collections.abc import Iterator

from gesso import AdapterTarget, Model

KOHYA = {
    "unet": ("lora_unet_",),
    "clip_l": ("lora_te_", "lora_te1_"),
    "clip_g": ("lora_te2_",),
    "clip_h": ("lora_te_",),
}
DIFFUSERS = {"unet": "unet.", "clip_l": "text_encoder.", "clip_g": "text_encoder_2.", "clip_h": "text_encoder."}
CHECKPOINT = "model.diffusion_model."


def keys(model: Model) -> dict[str, list[AdapterTarget]]:
    """Spelling → the parameters it stands for."""
    found: dict[str, list[AdapterTarget]] = {}
    for part, component in model.components().items():
        for name, source in component.weights.sources.items():
            for spelling in _own(part, name):
                found.setdefault(spelling, []).append(AdapterTarget(part, name))
            for spelling in _checkpoint(source.rename.source):
                found.setdefault(spelling, []).append(AdapterTarget(part, name, source.rename))
    return found


def _own(part: str, name: str) -> Iterator[str]:
    """By the module's name in diffusers or transformers."""
    full = name if part == "unet" or name.startswith("text_projection") else f"text_model.{name}"
    layer, _, leaf = full.rpartition(".")
    for prefix in KOHYA.get(part, ()):
        yield f"{prefix}{layer.replace('.', '_')}.{leaf}"
    if part in DIFFUSERS:
        yield f"{DIFFUSERS[part]}{full}"


def _checkpoint(source: str) -> Iterator[str]:
    """By the name in the checkpoint."""
    if source.startswith(CHECKPOINT):
        yield source.removeprefix("model.")
        layer, _, leaf = source.removeprefix(CHECKPOINT).rpartition(".")
        yield f"lora_unet_{layer.replace('.', '_')}.{leaf}"
