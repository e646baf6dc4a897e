"""Masks as pictures: opened, softened, cut out; and what is put under them. Numbers are A1111's."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

Box = tuple[int, int, int, int]


def as_mask(image: Image.Image, *, rounded: bool = True) -> Image.Image:
    """L, white where it is painted: what is opaque in a picture with transparency, else its brightness."""
    if image.mode != "RGBA" or image.getextrema()[-1] == (255, 255):
        return image.convert("L")
    alpha = image.getchannel("A")
    return alpha.point(lambda value: 255 if value > 128 else 0) if rounded else alpha


def softened(mask: Image.Image, blur: tuple[float, float]) -> Image.Image:
    """The mask's edge softened by a Gaussian of these standard deviations across and down, cut off at 2.5 of them."""
    pixels = np.asarray(mask, dtype=np.float64)
    for axis, deviation in ((1, blur[0]), (0, blur[1])):
        if deviation > 0:
            pixels = _blurred(pixels, deviation, axis).round()
    return Image.fromarray(pixels.astype(np.uint8))


def _blurred(pixels: NDArray[np.float64], deviation: float, axis: int) -> NDArray[np.float64]:
    reach = min(int(2.5 * deviation + 0.5), pixels.shape[axis] - 1)
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    taps /= taps.sum()
    padding = [(0, 0), (0, 0)]
    padding[axis] = (reach, reach)
    wide = np.pad(pixels, padding, mode="reflect")
    length = pixels.shape[axis]
    blurred: NDArray[np.float64] = sum(tap * wide.take(range(i, i + length), axis=axis) for i, tap in enumerate(taps))
    return blurred


def doubled(mask: Image.Image) -> Image.Image:
    """The mask for putting the picture back: its soft edge lies outside what is painted."""
    return ImageChops.add(mask, mask)


def crop_region(mask: Image.Image, padding: int, size: tuple[int, int]) -> Box | None:
    """The part of a picture to paint: the mask's bounds with padding, grown to the shape of `size`; None: no mask."""
    bounds = mask.getbbox()
    if bounds is None:
        return None
    left, top, right, bottom = bounds
    left, top = max(left - padding, 0), max(top - padding, 0)
    right, bottom = min(right + padding, mask.width), min(bottom + padding, mask.height)
    shape = size[0] / size[1]
    if (right - left) / (bottom - top) > shape:
        top, bottom = _grown(top, bottom, (right - left) / shape, mask.height)
    else:
        left, right = _grown(left, right, (bottom - top) * shape, mask.width)
    return left, top, right, bottom


def _grown(low: int, high: int, wanted: float, limit: int) -> tuple[int, int]:
    """[low, high) grown to `wanted` on both sides, moved to within [0, limit)."""
    more = int(wanted - (high - low))
    low, high = low - more // 2, high + more - more // 2
    if high >= limit:
        low, high = low - (high - limit), limit
    if low < 0:
        low, high = 0, high - low
    return low, min(high, limit)


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGB with what is masked filled by the colours around it, ever finer."""
    holes = Image.new("RGBa", image.size)
    holes.paste(image.convert("RGBA").convert("RGBa"), mask=ImageChops.invert(mask))
    made = Image.new("RGBA", image.size)
    for radius, repeats in ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1)):
        layer = holes.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            made.alpha_composite(layer)
    return made.convert("RGB")


def as_array(mask: Image.Image) -> NDArray[np.float32]:
    """(H,W), 0 to 1."""
    return np.asarray(mask, dtype=np.float32) / np.float32(255)


def latent_share(mask: Image.Image, size: tuple[int, int], *, rounded: bool) -> NDArray[np.float32]:
    """(H,W) at `size` (width, height) of the latents: how much of each latent is painted; 0 or 1 when rounded."""
    share = as_array(mask.convert("RGB").resize(size).getchannel(0))
    return np.around(share) if rounded else share


def is_blank(mask: Image.Image) -> bool:
    return mask.getbbox() is None


def reach(blur: float) -> int:
    """How many pixels a softened edge goes beyond the mask's."""
    return math.floor(2.5 * blur + 0.5)
