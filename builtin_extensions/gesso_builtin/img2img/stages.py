"""From a stored picture to the latents a run starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from gesso import (
    Canvas,
    InvalidInputError,
    Latents,
    Noise,
    ResizeMode,
    RunContext,
    flattened,
    open_picture,
    resize_picture,
)

from .plugin import Img2ImgParams

LATENT = "Just resize (latent upscale)"
SIDES: dict[str, ResizeMode] = {
    "Just resize": "Just resize", "Crop and resize": "Crop and resize", "Resize and fill": "Resize and fill"
}  # fmt: skip


def open_init(ctx: RunContext) -> None:
    """The picture the job starts from, upright and without transparency, and how much of the run is left of it."""
    record = ctx.params("img2img", Img2ImgParams)
    if record.init is None:
        return
    picture = flattened(open_picture(ctx.blobs.get(record.init)), record.background)
    ctx.canvas = Canvas(picture, resize=record.resize_mode)
    ctx.overrides |= {"strength": record.strength, "full_steps": record.full_steps}


def fit(ctx: RunContext) -> None:
    """The picture at the run's size, where nobody else brought it there."""
    canvas = ctx.canvas
    if canvas is None or canvas.pixels is not None:
        return
    if canvas.resize == LATENT:
        canvas.pixels = canvas.picture
    elif canvas.resize in SIDES:
        canvas.pixels = resize_picture(canvas.picture, ctx.size, SIDES[canvas.resize])
    else:
        raise InvalidInputError(f"{canvas.resize!r} is no way to resize a picture.")


def init_latents(ctx: RunContext, canvas: Canvas) -> Latents:
    """The encoded picture, once for each of the batch."""
    if canvas.clean is None:
        canvas.clean = encoded(ctx, canvas)
    return Latents({name: tensor.repeat_interleave(len(ctx.seeds), 0) for name, tensor in canvas.clean.streams.items()})


@torch.inference_mode()
def encoded(ctx: RunContext, canvas: Canvas) -> Latents:
    """The picture's latents (1,C,H,W) at the run's size; stretched there in the latent mode."""
    pixels = canvas.pixels or canvas.picture
    down = ctx.loaded().family.streams[0].down[-2:]
    # What does not fill a whole latent is cut off, as the convolutions of A1111's autoencoder do.
    width, height = (max(down[1], pixels.width // down[1] * down[1]), max(down[0], pixels.height // down[0] * down[0]))
    if pixels.width < width or pixels.height < height:
        pixels = resize_picture(pixels, (width, height))
    latents = ctx.encode(torch.from_numpy(np.array(pixels.crop((0, 0, width, height))))[None])
    size = (ctx.size[1] // down[0], ctx.size[0] // down[1])
    if latents.main.shape[-2:] == size:
        return latents
    return latents.unpack(F.interpolate(latents.main, size=size, mode="bilinear"))


def multiplied(noise: Noise, ctx: RunContext) -> Noise | None:
    """More or less noise on the picture than its level asks for."""
    factor = ctx.params("img2img", Img2ImgParams).noise_multiplier
    if ctx.canvas is None or not noise.has_init or factor == 1:
        return None
    return replace(noise, start=noise.start * factor)
