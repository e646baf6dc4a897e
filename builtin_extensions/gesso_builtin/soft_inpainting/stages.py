"""The blend of soft inpainting, after Differential Diffusion (arXiv:2306.00950) and A1111's extension of the name."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from gesso import BlendFn, Canvas, RunContext, resize_picture

from .histogram import gaussian_kernel, weighted_range
from .plugin import SoftInpaintingParams

Floats = NDArray[np.float64]


def soften(ctx: RunContext) -> None:
    """The canvas keeps the mask's greys and is blended in this way."""
    settings = ctx.params("soft_inpainting", SoftInpaintingParams)
    if settings.enabled and ctx.canvas is not None:
        ctx.canvas.round_mask = False
        ctx.canvas.blend = blend_of(ctx.canvas, settings)


def blend_of(canvas: Canvas, settings: SoftInpaintingParams) -> BlendFn:
    """What is painted weighs mask^(σ^bias · preservation): much at first where the mask is grey, less later."""

    def blend(clean: Tensor, x0: Tensor, sigma: float) -> Tensor:
        if canvas.keep is None:
            return x0
        exponent = sigma**settings.schedule_bias * settings.preservation
        painted = (1 - canvas.keep).pow(exponent)
        return mixed(clean, x0, painted, settings.contrast_boost)

    return blend


def mixed(clean: Tensor, x0: Tensor, share: Tensor, boost: float) -> Tensor:
    """clean·(1 − share) + x0·share (B,C,H,W), its length at each place that of the two lengths' power mean.

    A plain mixture of two latents is shorter than either and shows as grey; `boost` is the mean's exponent.
    """
    mixture = torch.lerp(clean.expand_as(x0), x0, share)
    length = mixture.norm(dim=1, keepdim=True).double() + 1e-5
    powers = [part.norm(dim=1, keepdim=True).double().pow(boost) for part in (clean, x0)]
    wanted = torch.lerp(powers[0].expand_as(powers[1]), powers[1], share.double()).pow(1 / boost)
    blended: Tensor = mixture * (wanted / length).to(mixture)
    return blended


def decide_overlays(ctx: RunContext) -> None:
    """For each picture a mask of its own: where it differs from the one it started from."""
    canvas, settings = ctx.canvas, ctx.params("soft_inpainting", SoftInpaintingParams)
    if canvas is None or not settings.enabled or ctx.latents is None:
        return
    if canvas.keep is None or canvas.clean is None or canvas.run_mask is None:
        return  # no mask: all of the picture is painted
    half = half_distance((1 - canvas.keep[0, 0]).double().cpu().numpy(), settings)
    distances = (ctx.latents.main - canvas.clean.main).norm(dim=1).double().cpu().numpy()
    canvas.overlays = [overlay(distance, half, canvas, ctx.size, settings) for distance in distances]


def half_distance(mask: Floats, settings: SoftInpaintingParams) -> Floats:
    """(H,W): the change of a latent at which picture and painting show half each."""
    hidden = 1 - mask.clip(0, 1) ** (settings.preservation / 2)
    scale = 0.5 * (1 - settings.mask_influence) + hidden * settings.mask_influence
    half: Floats = settings.difference_threshold * (scale / (1.00001 - scale))
    return half


def overlay(
    distance: Floats, half: Floats, canvas: Canvas, size: tuple[int, int], settings: SoftInpaintingParams
) -> Image.Image:
    """L, as large as the canvas' picture: white where the painting shows."""
    kernel = gaussian_kernel(1.5, 2)
    smooth = weighted_range(distance, kernel, 0.9, 1.0)
    smooth = weighted_range(smooth, kernel, 0.25, 0.75)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = np.nan_to_num(smooth / half, nan=0.0, posinf=1e30)
        kept = smootherstep(1 / (1 + relative**settings.difference_contrast))
    mask = resize_picture(Image.fromarray((255 * (1 - kept)).astype(np.uint8)), size, "Resize and fill")
    mask = mask.filter(ImageFilter.GaussianBlur(4))  # no stairs from the latents' grid
    if canvas.region is None:
        return resize_picture(mask, canvas.picture.size)
    left, top, right, bottom = canvas.region
    whole = Image.new("L", canvas.picture.size)
    whole.paste(resize_picture(mask, (right - left, bottom - top), "Crop and resize"), (left, top))
    return whole


def smootherstep(x: Floats) -> Floats:
    """Perlin's 6x⁵ − 15x⁴ + 10x³."""
    smooth: Floats = x * x * x * (x * (6 * x - 15) + 10)
    return smooth
