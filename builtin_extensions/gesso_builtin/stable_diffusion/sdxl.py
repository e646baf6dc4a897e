"""Stable Diffusion XL's prompt: two encoders side by side, pooled text, the picture's size (arXiv:2307.01952)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gesso import Cond, CondEntry, Model, Prompt, lined_up

from .unet import concat, encoder_of

AESTHETIC_SCORES = {"positive": ("aesthetic_score", 6.0), "negative": ("negative_aesthetic_score", 2.5)}
"""What the refiner is told of a picture's beauty: the option, and what Stability's own program says."""


def encode_prompt(
    model: Model, prompts: Sequence[Prompt], *, size: tuple[int, int], role: str, options: Mapping[str, Any]
) -> Cond:
    """Entries with "context" (B,S,D), "pooled" (B,P) and "time_ids" (B,6; the refiner's B,5).

    options: "sdxl_clip_l_skip" (clip skip acts on CLIP-L, otherwise on nothing, as in A1111), "original_size",
    "target_size" (width, height) and "crop" (left, top) in place of the picture's size and (0, 0), "aesthetic_score",
    "negative_aesthetic_score"; people set these by the record `SdxlConditioning`.
    An empty negative prompt is all zeros, as the model was trained to be without text.
    """
    skip = int(options.get("clip_skip", 2)) if options.get("sdxl_clip_l_skip") else 2
    wanted = {"clip_skip": max(1, skip), "final_norm": False}
    extra = {**concat(model, size), "time_ids": time_ids(model, size, role, options).repeat(len(prompts), 1)}
    empty = role == "negative" and all(not prompt.text for prompt in prompts)
    entries = []
    for weight, steps, pairs in lined_up(prompts):
        found = [encoder_of(component)(component, pairs, wanted) for component in model.text.values()]
        text = {"context": torch.cat([f["context"] for f in found], dim=-1), "pooled": found[-1]["pooled"]}
        if empty:
            text = {key: torch.zeros_like(value) for key, value in text.items()}
        entries.append(CondEntry({**text, **extra}, role=role, weight=weight, steps=steps))  # type: ignore[arg-type]
    return Cond(entries)


def time_ids(model: Model, size: tuple[int, int], role: str, options: Mapping[str, Any]) -> torch.Tensor:
    """(1,6): original height and width, top and left of the crop, target height and width. The refiner has its
    aesthetic score in the target's place, (1,5)."""
    original, target = options.get("original_size") or size, options.get("target_size") or size
    left, top = options.get("crop") or (0, 0)
    values = [original[1], original[0], top, left]
    if model.match.variant == "refiner":
        name, usual = AESTHETIC_SCORES[role]
        values.append(options.get(name, usual))
    else:
        values += [target[1], target[0]]
    return torch.tensor([values], dtype=torch.float32, device=model.device)
