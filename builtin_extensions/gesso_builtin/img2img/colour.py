"""The colours of the picture a run started from, given to the picture it made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from gesso import RunContext

from .plugin import Img2ImgParams

Floats = NDArray[np.float64]
SIGNS = np.array([0, 128, 128], dtype=np.uint8)
"""Pillow gives a and b as signed bytes; so they are in order from lowest to highest."""


def correct(ctx: RunContext) -> None:
    """Every picture of the batch with the colours of what was encoded and its own brightness."""
    canvas = ctx.canvas
    if canvas is None or canvas.pixels is None or not ctx.params("img2img", Img2ImgParams).color_correction:
        return
    for output in ctx.outputs:
        if output.kind == "image":
            output.data = matched(output.data, canvas.pixels)


def matched(image: Image.Image, reference: Image.Image) -> Image.Image:
    """`image` with each Lab channel's histogram brought to `reference`'s, keeping the brightness of every pixel."""
    lab, wanted = (np.asarray(ImageCms.applyTransform(i.convert("RGB"), _to_lab())) ^ SIGNS for i in (image, reference))
    channels = [_with_histogram(lab[..., c], wanted[..., c]) for c in range(3)]
    made = Image.frombytes("LAB", image.size, (np.stack(channels, axis=-1) ^ SIGNS).tobytes())
    coloured = ImageCms.applyTransform(made, _to_rgb())
    assert coloured is not None  # only None when it works in place
    return with_brightness_of(coloured, image.convert("RGB"))


def with_brightness_of(image: Image.Image, brightness: Image.Image) -> Image.Image:
    """Hue and saturation of `image`, brightness of `brightness` (the blend mode "luminosity" of W3C Compositing)."""
    colour, light = (np.asarray(i, dtype=np.float64) / 255 for i in (image, brightness))
    wanted = _luminosity(light)
    shifted = colour + (wanted - _luminosity(colour))[..., None]
    low, high = shifted.min(-1), shifted.max(-1)
    shifted = _pulled_in(shifted, wanted, low < 0, wanted, wanted - low)
    shifted = _pulled_in(shifted, wanted, high > 1, 1 - wanted, high - wanted)
    return Image.fromarray((shifted.clip(0, 1) * 255).round().astype(np.uint8))


def _luminosity(rgb: Floats) -> Floats:
    weights: Floats = rgb @ np.array([0.3, 0.59, 0.11])
    return weights


def _pulled_in(rgb: Floats, grey: Floats, where: NDArray[np.bool_], room: Floats, needed: Floats) -> Floats:
    """Towards grey as far as is needed to stay within range."""
    share = np.where(where, room / np.maximum(needed, 1e-9), 1.0)[..., None]
    pulled: Floats = grey[..., None] + (rgb - grey[..., None]) * share
    return pulled


def _with_histogram(channel: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The channel's values replaced by those of the same rank in `wanted`."""
    have, goal = (np.bincount(c.ravel(), minlength=256).cumsum() / c.size for c in (channel, wanted))
    present = np.flatnonzero(np.bincount(wanted.ravel(), minlength=256))
    table = np.interp(have, goal[present], present).round().astype(np.uint8)
    replaced: NDArray[np.uint8] = table[channel]
    return replaced


def _to_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")


def _to_rgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
