"""A canvas with a mask on its way through a run: fitted, conditioned on, filled, blended, put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gesso import (
    Canvas,
    DenoiseFn,
    InvalidInputError,
    Latents,
    Prediction,
    ResizeMode,
    RunContext,
    StashKey,
    open_picture,
    resize_picture,
)  # fmt: skip

from .masks import as_array, as_mask, crop_region, doubled, filled, is_blank, latent_share, softened
from .plugin import InpaintParams

CONDITIONED = StashKey[bool]()
MODES: dict[str, ResizeMode] = {"Crop and resize": "Crop and resize", "Resize and fill": "Resize and fill"}


def open_mask(ctx: RunContext) -> None:
    """The mask a person gave, as large as the picture, and what is to become of it."""
    record = ctx.params("inpaint", InpaintParams)
    if record.mask is None:
        return
    canvas = ctx.canvas
    if canvas is None:
        raise InvalidInputError("A mask needs a picture.", hint="Choose one; on the command line, --init FILE.")
    mask = as_mask(open_picture(ctx.blobs.get(record.mask), name="The mask"), rounded=canvas.round_mask)
    mask = resize_picture(mask, canvas.picture.size)
    if record.mode == "Inpaint not masked":
        mask = mask.point(lambda value: 255 - value)
    canvas.mask, canvas.content, canvas.weight = mask, record.content, record.weight
    across, down = (record.blur if own < 0 else own for own in (record.blur_x, record.blur_y))
    canvas.blur = (across, down)
    canvas.padding = record.padding if record.area == "Only masked" else None


def fit(ctx: RunContext) -> None:
    """Picture and mask at the run's size, whoever put the mask there."""
    canvas = ctx.canvas
    if canvas is None or canvas.mask is None or canvas.pixels is not None:
        return
    if is_blank(canvas.mask):
        raise InvalidInputError("The mask is empty: nothing would be painted.", hint="Paint over the part to change.")
    mask = softened(canvas.mask, canvas.blur)
    if canvas.padding is None:
        _fit_whole(canvas, mask, ctx.size)
    else:
        _fit_region(canvas, mask, canvas.padding, ctx.size)
    assert canvas.pixels is not None
    assert canvas.run_mask is not None
    if canvas.content != "original":
        canvas.pixels = filled(canvas.pixels, canvas.fill_mask or canvas.run_mask)


def _fit_whole(canvas: Canvas, mask: Image.Image, size: tuple[int, int]) -> None:
    mode = MODES.get(canvas.resize, "Just resize")
    canvas.picture = canvas.pixels = resize_picture(canvas.picture, size, mode)
    canvas.run_mask = resize_picture(mask, size, mode)
    canvas.overlay = doubled(canvas.run_mask)
    if canvas.fill_mask is not None:
        canvas.fill_mask = resize_picture(canvas.fill_mask, size, mode)


def _fit_region(canvas: Canvas, mask: Image.Image, padding: int, size: tuple[int, int]) -> None:
    canvas.region = crop_region(mask, padding, size)
    canvas.overlay = mask
    canvas.pixels = resize_picture(canvas.picture.crop(canvas.region), size, "Resize and fill")
    canvas.run_mask = resize_picture(mask.crop(canvas.region), size, "Resize and fill")
    if canvas.fill_mask is not None:
        canvas.fill_mask = resize_picture(canvas.fill_mask.crop(canvas.region), size, "Resize and fill")


def condition(ctx: RunContext) -> None:
    """Tell a model made for inpainting what it paints on; once a job, like the prompt."""
    canvas = ctx.canvas
    if canvas is None or canvas.run_mask is None or canvas.pixels is None or CONDITIONED in ctx.stash:
        return
    pixels = torch.from_numpy(np.array(canvas.pixels))[None]
    mask = torch.from_numpy(as_array(canvas.run_mask))[None, None]
    ctx.stash[CONDITIONED] = ctx.condition(pixels, mask.round() if canvas.round_mask else mask, weight=canvas.weight)


def content(ctx: RunContext) -> None:
    """What is kept of the latents, and what the run finds in the rest."""
    canvas = ctx.canvas
    if canvas is None or canvas.run_mask is None or ctx.latents is None:
        return
    latents = ctx.latents.main
    if canvas.keep is None:
        height, width = latents.shape[-2:]
        mask = canvas.fill_mask or canvas.run_mask
        painted = torch.from_numpy(latent_share(mask, (width, height), rounded=canvas.round_mask))
        canvas.keep = (1 - painted)[None, None].to(latents)
    if canvas.content == "latent noise":
        noise = ctx.noise(ctx.latents).main
        ctx.latents = ctx.latents.unpack(latents * canvas.keep + noise * (1 - canvas.keep))
    elif canvas.content == "latent nothing":
        ctx.latents = ctx.latents.unpack(latents * canvas.keep)


@contextmanager
def blended(canvas: Canvas, denoise: DenoiseFn) -> Iterator[DenoiseFn]:
    """Every estimate with what is kept put back, so that what is painted fits to it."""

    def call(x: Tensor, sigma: float) -> Prediction:
        prediction = denoise(x, sigma)
        if canvas.keep is None or canvas.clean is None or x.shape[-2:] != canvas.keep.shape[-2:]:
            return prediction  # another pass, of another size
        unguided = prediction.uncond_x0
        return prediction._replace(
            x0=put_back(canvas, prediction.x0, sigma),
            uncond_x0=None if unguided is None else put_back(canvas, unguided, sigma),
        )

    yield call


def put_back(canvas: Canvas, x0: Tensor, sigma: float) -> Tensor:
    """x0 (B,…) with the kept share of the clean latents."""
    assert canvas.clean is not None
    assert canvas.keep is not None
    clean = canvas.clean.main
    if canvas.blend is not None:
        return canvas.blend(clean, x0, sigma)
    return x0 * (1 - canvas.keep) + clean * canvas.keep


def keep(ctx: RunContext) -> None:
    """What is kept is exactly the picture's in the end; a plugin that blends in its own way is left its result."""
    canvas = ctx.canvas
    if canvas is None or canvas.keep is None or canvas.blend is not None or ctx.latents is None:
        return
    if ctx.latents.main.shape[-2:] == canvas.keep.shape[-2:]:
        ctx.latents = Latents({next(iter(ctx.latents.streams)): put_back(canvas, ctx.latents.main, 0.0)})


def overlay(ctx: RunContext) -> None:
    """Every picture of the batch put into the one the run started from."""
    canvas = ctx.canvas
    if canvas is None or canvas.overlay is None:
        return
    for number, output in enumerate(ctx.outputs):
        if output.kind == "image":
            mask = canvas.overlays[number] if canvas.overlays else canvas.overlay
            output.data = Image.composite(placed(output.data, canvas), canvas.picture, mask)


def placed(painted: Image.Image, canvas: Canvas) -> Image.Image:
    """What was painted, at its place in a picture as large as the canvas."""
    if canvas.region is None:
        return resize_picture(painted.convert("RGB"), canvas.picture.size)
    left, top, right, bottom = canvas.region
    whole = canvas.picture.copy()
    whole.paste(resize_picture(painted.convert("RGB"), (right - left, bottom - top), "Crop and resize"), (left, top))
    return whole
