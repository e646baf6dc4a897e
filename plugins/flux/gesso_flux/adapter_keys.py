"""How LoRA and other adapter files spell Flux.1's weights, whatever layout the model's own file has.

kohya's trainer writes `lora_unet_` and Black Forest Labs' names with underscores, ComfyUI `diffusion_model.` and those
names, Black Forest Labs their bare names; diffusers and AI-toolkit `transformer.` and diffusers' names, OneTrainer
`lora_transformer_` and those with underscores.
"""

from __future__ import annotations

from collections.abc import Iterator

from gesso import AdapterTarget, Model

from .transformer_keys import bfl_renames

_TEXT = {
    "clip_l": (("lora_te1_", "lora_te_"), ("text_encoder.", "text_encoders.clip_l.transformer."), "text_model."),
    "t5xxl": (("lora_te3_", "lora_te2_"), ("text_encoder_2.", "text_encoders.t5xxl.transformer."), "encoder."),
}  # fmt: skip
"""Text encoder → kohya's prefixes, others' prefixes, what the module's own names leave out."""


def keys(model: Model) -> dict[str, list[AdapterTarget]]:
    """Spelling → the parameters it stands for, fused matrices by their rows."""
    found: dict[str, list[AdapterTarget]] = {}
    transformer = model.parts["transformer"]
    for name in transformer.weights.sources:
        for spelling in _spellings(name, ("transformer.", "base_model.model.transformer."), "lora_transformer_"):
            found.setdefault(spelling, []).append(AdapterTarget("transformer", name))
        found.setdefault(_kohya("lora_unet_", name), []).append(AdapterTarget("transformer", name))
    for name, renames in bfl_renames(transformer.config).items():
        targets = [AdapterTarget("transformer", line.target, line) for line in renames]
        for spelling in (name, *_spellings(name, ("diffusion_model.", "model.diffusion_model."), "lora_unet_")):
            found.setdefault(spelling, []).extend(targets)
    for part, (kohya, plain, inner) in _TEXT.items():
        for name in model.text[part].weights.sources:
            full = name if name.startswith("text_projection") else inner + name
            for spelling in (*(_kohya(prefix, full) for prefix in kohya), *(prefix + full for prefix in plain)):
                found.setdefault(spelling, []).append(AdapterTarget(part, name))
    return found


def _spellings(name: str, plain: tuple[str, ...], kohya: str) -> Iterator[str]:
    yield from (prefix + name for prefix in plain)
    yield _kohya(kohya, name)


def _kohya(prefix: str, name: str) -> str:
    layer, _, leaf = name.rpartition(".")
    return f"{prefix}{layer.replace('.', '_')}.{leaf}"
