"""Stable Diffusion's UNet behind gesso's seams: built, prompted, called."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel

from gesso import Component, Cond, CondEntry, EncodeTextFn, Model, Prompt, TextEncoder, Vae, lined_up

from .sampling import EdmSampling

Tensors = dict[str, torch.Tensor]


def build(config: dict[str, Any]) -> torch.nn.Module:
    """The UNet on meta."""
    with torch.device("meta"):
        unet: torch.nn.Module = UNet2DConditionModel.from_config(config)
    return unet


def encode_prompt(
    model: Model, prompts: Sequence[Prompt], *, size: tuple[int, int], role: str, options: Mapping[str, Any]
) -> Cond:
    """SD1 and SD2: one encoder, one entry per sub-prompt and span; prompts of a batch must agree in structure."""
    (encoder,) = model.text.values()
    encode = encoder_of(encoder)
    extra = concat(model, size)
    entries = []
    for weight, steps, pairs in lined_up(prompts):
        tensors = {**encode(encoder, pairs, options), **extra}
        entries.append(CondEntry(tensors, role=role, weight=weight, steps=steps))  # type: ignore[arg-type]
    return Cond(entries)


def encoder_of(component: Component) -> EncodeTextFn:
    """How a text encoder's component encodes."""
    assert isinstance(component.record, TextEncoder)
    return component.record.encode.load()


@torch.inference_mode()
def concat(model: Model, size: tuple[int, int]) -> Tensors:
    """What models with more channels in than out are given beside the latents when nobody gives them a picture.

    Inpainting: a mask of ones and the latents of plain grey, as A1111 does; picture-editing models: zeros.
    """
    unet = model.parts["unet"].config
    missing = unet.get("in_channels", 4) - unet.get("out_channels", 4)
    if missing <= 0:
        return {}
    width, height = size
    if model.match.variant != "inpaint" or not isinstance(model.vae.record, Vae):
        return {"concat": torch.zeros(1, missing, height // 8, width // 8, device=model.device)}
    # 127.5 is the middle of the pixels' range and no uint8; the nearest is as good to a picture that is thrown away.
    grey = torch.full((1, height, width, 3), 128, dtype=torch.uint8)
    latents = model.vae.record.encode.load()(model.vae, grey, None).to(model.device)
    return {"concat": torch.cat([torch.ones_like(latents[:, :1]), latents], dim=1)}


@torch.inference_mode()
def condition(model: Model, cond: Cond, *, pixels: torch.Tensor, mask: torch.Tensor, weight: float) -> Cond:
    """Inpainting models: the mask and the latents of the picture with grey under it, in place of `concat`'s."""
    if model.match.variant != "inpaint" or not isinstance(model.vae.record, Vae):
        return cond
    hidden = mask.clamp(0, 1) * weight
    # Grey is the middle of the pixels' range: 0 between −1 and 1.
    shown = pixels.float().permute(0, 3, 1, 2).lerp(torch.full((), 127.5), hidden).permute(0, 2, 3, 1)
    latents = model.vae.record.encode.load()(model.vae, shown.round().to(torch.uint8), None).to(model.device)
    small = F.interpolate(mask, size=latents.shape[-2:]).to(latents)
    beside = {"concat": torch.cat([small, latents], dim=1)}
    return Cond([replace(entry, tensors={**entry.tensors, **beside}) for entry in cond.entries])


def predict(model: Model, x: torch.Tensor, sigma: float, cond: CondEntry) -> torch.Tensor:
    """x0 of x (B,4,H,W) at σ. The entry's tensors: "context" (B,S,D); "pooled" (B,P) and "time_ids" (B,6) for SDXL;
    "concat" (B,C,H,W), appended to the scaled latents."""
    unet, sampling = model.parts["unet"], model.sampling
    edm = sampling if isinstance(sampling, EdmSampling) else None
    data = edm.sigma_data if edm else 1.0
    scale = math.hypot(sigma, data)
    told = 0.25 * math.log(sigma) if edm else sampling.timestep(sigma)
    inputs = [x / scale]
    if "concat" in cond.tensors:
        inputs.append(cond.tensors["concat"].to(x))
    time = torch.full((len(x),), told, dtype=torch.float32, device=x.device)
    added = None
    if "pooled" in cond.tensors:
        added = {
            "text_embeds": cond.tensors["pooled"].to(unet.dtype),
            "time_ids": cond.tensors["time_ids"].to(x.device),
        }
    out = unet.module(
        torch.cat(inputs, dim=1).to(unet.dtype),
        time,
        encoder_hidden_states=cond.tensors["context"].to(unet.dtype),
        added_cond_kwargs=added,
        return_dict=False,
    )[0].to(x.dtype)
    x0: torch.Tensor
    if edm or sampling.kind == "v":
        sign = edm.sign if edm else -1
        x0 = x * (data * data / (scale * scale)) + out * (sign * sigma * data / scale)
    else:
        x0 = x - out * sigma
    return x0
