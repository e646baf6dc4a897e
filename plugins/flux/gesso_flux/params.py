"""What a person may say of a Flux.1 picture. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gesso import ChoicesFn, Image, Params, lazy, param

NAME = "flux"
AUTOMATIC = "Automatic"
MODULES = {"clip_l": "CLIP-L", "t5xxl": "T5"}
"""Text encoder → the label and infotext key of the field that chooses its file."""


def _module(name: str) -> Any:
    return param(
        AUTOMATIC, label=MODULES[name], infotext=MODULES[name], choices=lazy(f".choices:{name}", ChoicesFn),
        advanced=True, description="Automatic: the checkpoint's own, else the largest file of text_encoders that fits.",
    )  # fmt: skip


class FluxParams(Params):
    """Flux.1's guidance, shift and text encoders."""

    distilled_cfg: float = param(
        0.0, ge=0, le=100, step=0.1, soft_max=30, label="Distilled CFG scale", infotext="Distilled CFG Scale",
        api="distilled_cfg_scale", flag="distilled-cfg",
        description="How closely dev follows the prompt, without a second call. 0: 3.5, for Fill 30, with a picture to "
        "edit 2.5. schnell has none. Real CFG is CFG scale, at 1 off.",
    )  # fmt: skip
    shift: float = param(
        0.0, ge=0, le=100, step=0.05, soft_max=12, label="Shift", infotext="Shift", advanced=True,
        description="More puts more of the steps into the layout. 0: by the picture's size, 1.6 to 3.2 (schnell: 1).",
    )  # fmt: skip
    t5_tokens: int = param(
        0, ge=0, le=2048, step=1, soft_max=512, label="T5 length", infotext="T5 length", advanced=True, unit="tokens",
        description="What of the prompt T5 reads; the rest is cut off. 0: 512, for schnell 256.",
    )  # fmt: skip
    clip_l: str = _module("clip_l")
    t5xxl: str = _module("t5xxl")
    reference: Image | None = param(
        None, label="Picture to edit", description="For Kontext: the prompt says what is to become of it."
    )

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        """Its own keys, or Forge's "Module 1: ae, Module 2: clip_l, Module 3: t5xxl_fp16"."""
        found = super().from_infotext(pairs)
        for key, value in pairs.items():
            if key.startswith("Module ") and key[7:].isdecimal():
                low = value.lower()
                part = "t5xxl" if "t5" in low else "clip_l" if "clip" in low or "vit-l" in low else ""
                found |= {part: value} if part and part not in found else {}
        return found
