"""Flux.1's transformer behind gesso's seams: built, prompted, called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import FluxTransformer2DModel

from gesso import Component, Cond, CondEntry, Model, Prompt, TextEncoder, Vae, lined_up

GUIDANCE = {"fill": 30.0}
"""Distilled guidance where nobody said otherwise, as Black Forest Labs publish it for each variant."""
USUAL_GUIDANCE, KONTEXT_GUIDANCE = 3.5, 2.5


def build(config: dict[str, Any]) -> torch.nn.Module:
    """The transformer on meta."""
    with torch.device("meta"):
        transformer: torch.nn.Module = FluxTransformer2DModel.from_config(config)
    return transformer


def encode_prompt(
    model: Model, prompts: Sequence[Prompt], *, size: tuple[int, int], role: str, options: Mapping[str, Any]
) -> Cond:
    """T5's states as "context" (B,S,D), CLIP's pooled state (B,P), "guidance" (1,) where the model is distilled.

    options: "flux_guidance" (None: the variant's own), "flux_reference" (latents (1,16,h,w) of a picture to edit).
    """
    clip, t5 = model.text["clip_l"], model.text["t5xxl"]
    beside = {**_concat(model, size), **_guidance(model, options)}
    if options.get("flux_reference") is not None:
        beside["reference"] = options["flux_reference"].to(model.device)
    told = {"t5_tokens": 256 if model.match.variant == "schnell" else 512} | dict(options)
    entries = []
    for weight, steps, pairs in lined_up(prompts):
        pooled = _encoder(clip).encode.load()(clip, pairs, {**options, "pooled": True})["pooled"]
        context = _encoder(t5).encode.load()(t5, pairs, told)["context"]
        tensors = {"context": context, "pooled": pooled, **beside}
        entries.append(CondEntry(tensors, role=role, weight=weight, steps=steps))  # type: ignore[arg-type]
    return Cond(entries)


def _encoder(component: Component) -> TextEncoder:
    assert isinstance(component.record, TextEncoder)
    return component.record


def _guidance(model: Model, options: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    if not model.parts["transformer"].config["guidance_embeds"]:
        return {}
    return {"guidance": torch.tensor([guidance(model.match.variant, options)], device=model.device)}


def guidance(variant: str, options: Mapping[str, Any]) -> float:
    """The distilled guidance of a run: what was asked for, or the variant's own."""
    asked = options.get("flux_guidance")
    if asked is not None:
        return float(asked)
    edited = options.get("flux_reference") is not None
    return KONTEXT_GUIDANCE if edited else GUIDANCE.get(variant, USUAL_GUIDANCE)


def _concat(model: Model, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """What Fill is given when nobody gives it a picture: everything hidden."""
    if model.match.variant != "fill":
        return {}
    grey = torch.full((1, size[1], size[0], 3), 128, dtype=torch.uint8)
    return {"concat": _hidden(model, grey, torch.ones(1, 1, size[1], size[0]))}


def condition(model: Model, cond: Cond, *, pixels: torch.Tensor, mask: torch.Tensor, weight: float) -> Cond:
    """Fill: the latents of the picture with grey under the mask, and the mask, in place of `_concat`'s."""
    if model.match.variant != "fill":
        return cond
    covered = mask.clamp(0, 1).round() * weight
    shown = pixels.float().permute(0, 3, 1, 2).lerp(torch.full((), 127.5), covered).permute(0, 2, 3, 1)
    beside = {"concat": _hidden(model, shown.round().to(torch.uint8), mask)}
    return Cond([replace(entry, tensors={**entry.tensors, **beside}) for entry in cond.entries])


@torch.inference_mode()
def _hidden(model: Model, pixels: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(1,16+64,h,w): latents of pixels (1,H,W,3), and the mask (1,1,H,W) with each 8×8 of its pixels as channels."""
    assert isinstance(model.vae.record, Vae)
    latents = model.vae.record.encode.load()(model.vae, pixels, None).to(model.device)
    height, width = latents.shape[-2:]
    down = mask.shape[-1] // width
    cells = mask.clamp(0, 1).round().reshape(1, height, down, width, down).permute(0, 2, 4, 1, 3)
    return torch.cat([latents, cells.reshape(1, down * down, height, width).to(latents)], dim=1)


def predict(model: Model, x: torch.Tensor, sigma: float, cond: CondEntry) -> torch.Tensor:
    """x0 of x (B,16,h,w) at σ: the network's velocity is noise − x0, so x0 = x − σ·velocity.

    The entry's tensors: "context", "pooled"; "guidance" (B,); "concat" (B,C,h,w), as further channels; "reference"
    (B,16,h',w'), as further tokens that are no part of the result.
    """
    part, told = model.parts["transformer"], cond.tensors
    height, width = x.shape[-2:]
    beside = [told["concat"].to(x)] if "concat" in told else []
    tokens = packed(torch.cat([x, *beside], dim=1))
    own, ids = tokens.shape[1], positions(height, width, x.device)
    if "reference" in told:
        reference = told["reference"].to(x)
        tokens = torch.cat([tokens, packed(reference)], dim=1)
        rows, columns = reference.shape[-2:]
        ids = torch.cat([ids, positions(rows, columns, x.device, first=1.0)])
    context = told["context"].to(part.dtype)
    velocity = part.module(
        hidden_states=tokens.to(part.dtype),
        encoder_hidden_states=context,
        pooled_projections=told["pooled"].to(part.dtype),
        timestep=torch.full((len(x),), sigma, dtype=torch.float32, device=x.device),
        guidance=told.get("guidance"),
        img_ids=ids,
        txt_ids=torch.zeros(context.shape[1], 3, device=x.device),
        return_dict=False,
    )[0]
    x0: torch.Tensor = x - sigma * unpacked(velocity[:, :own].to(x.dtype), height, width)
    return x0


def packed(x: torch.Tensor) -> torch.Tensor:
    """(B,C,h,w) → tokens (B, h/2·w/2, 4C), each of 2×2 latents."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(batch, height // 2 * (width // 2), channels * 4)


def unpacked(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The inverse of `packed`, for latents of this height and width."""
    batch, _, channels = tokens.shape
    x = tokens.reshape(batch, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(batch, channels // 4, height, width)


def positions(height: int, width: int, device: torch.device, *, first: float = 0.0) -> torch.Tensor:
    """(tokens, 3): which picture, row, column."""
    ids = torch.zeros(height // 2, width // 2, 3, device=device)
    ids[..., 0] = first
    ids[..., 1] += torch.arange(height // 2, device=device)[:, None]
    ids[..., 2] += torch.arange(width // 2, device=device)[None, :]
    return ids.reshape(-1, 3)
