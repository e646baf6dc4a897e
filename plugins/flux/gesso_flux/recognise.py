"""Which files are Flux.1, in which layout, and what goes with them. Torch-free.

Two sets of names are in use: Black Forest Labs' own, with query, key and value in one matrix, and diffusers'. Both
stand bare in files of the transformer alone, and under a prefix elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gesso import Header, Match

PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "model.", "net.", "")
"""Where the transformer's names begin: complete checkpoints, ComfyUI's habits, diffusers' folders, nothing."""
BFL: Mapping[str, str] = {
    "image": "img_in.weight", "text": "txt_in.weight", "vector": "vector_in.in_layer.weight",
    "guidance": "guidance_in.in_layer.weight", "out": "final_layer.linear.weight",
    "norm": "double_blocks.0.img_attn.norm.key_norm.scale", "double": "double_blocks", "single": "single_blocks",
}  # fmt: skip
DIFFUSERS: Mapping[str, str] = {
    "image": "x_embedder.weight", "text": "context_embedder.weight",
    "vector": "time_text_embed.text_embedder.linear_1.weight",
    "guidance": "time_text_embed.guidance_embedder.linear_1.weight", "out": "proj_out.weight",
    "norm": "transformer_blocks.0.attn.norm_k.weight", "double": "transformer_blocks",
    "single": "single_transformer_blocks",
}  # fmt: skip
_NEEDED = ("image", "text", "vector", "out", "norm")
FILL, PLAIN = 6, 1
"""How many times the latents' channels go in: Fill has the masked picture and the mask (64 channels) beside them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the transformer's names begin and which set they are of."""

    prefix: str
    names: Mapping[str, str]

    def shape(self, header: Header, what: str) -> tuple[int, ...] | None:
        """The shape of a telling tensor. Newer files call the scale of a norm its weight."""
        name = self.prefix + self.names[what]
        return header.shape(name) or header.shape(name.removesuffix("scale") + "weight")


def layout(header: Header) -> Layout | None:
    """The layout of a header with a Flux.1 transformer; None for any other, also for Flux.2 and Chroma."""
    for prefix in PREFIXES:
        for names in (BFL, DIFFUSERS):
            found = Layout(prefix, names)
            if all(found.shape(header, what) is not None for what in _NEEDED):
                return found
    return None


def detect(header: Header) -> list[Match]:
    """dev, schnell or fill, by shapes. Kontext has the shapes of dev: it is dev that is given a picture."""
    found = layout(header)
    if found is None:
        return []
    image, out = found.shape(header, "image"), found.shape(header, "out")
    assert image is not None
    assert out is not None
    if len(image) != 2 or len(out) != 2 or not out[0] or image[1] not in (PLAIN * out[0], FILL * out[0]):
        return []  # Depth and Canny have a control picture's channels, which nothing here gives them yet.
    distilled = found.shape(header, "guidance") is not None
    variant = "fill" if image[1] == FILL * out[0] else "dev" if distilled else "schnell"
    questions = ("kontext",) if variant == "dev" else ()
    return [Match(family="flux", variant=variant, confidence=0.95, prediction="flow", questions=questions)]


def fits(header: Header, part: str, config: dict[str, Any]) -> bool:
    """Text encoders by the width the transformer takes, the VAE by its latent channels (four make a token)."""
    found = layout(header)
    if found is None:
        return False
    what, have, side = {
        "clip_l": ("vector", config.get("hidden_size"), 1),
        "t5xxl": ("text", config.get("d_model"), 1),
        "vae": ("out", 4 * config.get("latent_channels", 0), 0),
    }[part]
    shape = found.shape(header, what)
    return shape is not None and shape[side] == have
