"""Masks as pictures, without a model."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gesso_builtin.inpaint.masks import as_mask, crop_region, doubled, filled, is_blank, latent_share, reach, softened


def square(size: int = 64, box: tuple[int, int, int, int] = (20, 20, 43, 43)) -> Image.Image:
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


@pytest.mark.parametrize("blur", [1, 4, 16, 64])
def test_the_softened_edge_is_a_gaussians(blur: float) -> None:
    """A long straight edge becomes the integral of the Gaussian, which is half at the edge."""
    from math import erf, sqrt

    mask = Image.new("L", (1024, 3))
    mask.paste(255, (512, 0, 1024, 3))
    line = np.asarray(softened(mask, (blur, 0)), float)[1] / 255
    distance = np.arange(1024) + 0.5 - 512
    exact = np.array([0.5 + 0.5 * erf(d / blur / sqrt(2)) for d in distance])
    assert np.abs(line - exact).max() < 0.03
    assert (line[: 512 - reach(blur)] == 0).all()
    assert (line[512 + reach(blur) :] == 1).all()


def test_blur_works_across_and_down_alone() -> None:
    mask = square()
    across, down = np.asarray(softened(mask, (3, 0))), np.asarray(softened(mask, (0, 3)))
    assert (down == across.T).all()
    assert (across[:20] == 0).all()
    assert (np.asarray(softened(mask, (0, 0))) == np.asarray(mask)).all()


@pytest.mark.parametrize(
    ("mask", "padding", "size", "expected"),
    [
        ((100, 100, 139, 139), 0, (512, 512), (100, 100, 140, 140)),
        ((100, 100, 139, 139), 32, (512, 512), (68, 68, 172, 172)),
        ((0, 0, 9, 9), 32, (512, 512), (0, 0, 42, 42)),
        ((100, 40, 227, 71), 0, (512, 512), (100, 0, 228, 128)),  # a wide mark becomes a square, moved into the picture
        ((10, 10, 19, 109), 0, (512, 512), (0, 10, 100, 110)),
        ((246, 246, 255, 255), 0, (512, 256), (236, 246, 256, 256)),
        ((0, 0, 255, 255), 8, (512, 512), (0, 0, 256, 256)),
        ((0, 100, 255, 103), 0, (128, 512), (0, 0, 256, 256)),  # cannot become so high: the picture ends
    ],
)
def test_the_region_around_a_mask(
    mask: tuple[int, int, int, int], padding: int, size: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert crop_region(square(256, mask), padding, size) == expected


@pytest.mark.parametrize("seed", range(40))
def test_the_region_holds_the_mask_and_lies_in_the_picture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = rng.integers(8, 300, 2).tolist()
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    mask = Image.new("L", (width, height))
    mask.paste(255, (x, y, int(rng.integers(x + 1, width + 1)), int(rng.integers(y + 1, height + 1))))
    left, top, right, bottom = crop_region(mask, int(rng.integers(0, 64)), (int(rng.integers(8, 512)), 128)) or ()
    bounds = mask.getbbox()
    assert bounds is not None
    assert 0 <= left <= bounds[0] < bounds[2] <= right <= width
    assert 0 <= top <= bounds[1] < bounds[3] <= bottom <= height


def test_no_mask_no_region() -> None:
    empty = Image.new("L", (20, 20))
    assert crop_region(empty, 8, (64, 64)) is None
    assert is_blank(empty)


def test_what_is_masked_is_filled_with_what_is_around() -> None:
    image = Image.new("RGB", (64, 64), (200, 40, 40))
    image.paste((0, 255, 0), (20, 20, 44, 44))
    mask = square()
    made = np.asarray(filled(image, mask)).astype(int)
    assert np.abs(made - [200, 40, 40]).max() <= 6
    two = Image.new("RGB", (64, 64), (255, 0, 0))
    two.paste((0, 0, 255), (32, 0, 64, 64))
    made = np.asarray(filled(two, mask)).astype(int)
    assert made[32, 22, 0] > made[32, 41, 0]  # left more red, right more blue
    assert made[32, 22, 2] < made[32, 41, 2]


def test_latents_are_painted_or_kept() -> None:
    mask = softened(square(), (4, 4))
    hard, soft = latent_share(mask, (8, 8), rounded=True), latent_share(mask, (8, 8), rounded=False)
    assert set(np.unique(hard)) == {0, 1}
    assert len(np.unique(soft)) > 4
    assert (hard == np.around(soft)).all()


def test_a_mask_from_transparency_or_brightness() -> None:
    drawn = Image.new("RGBA", (4, 1), (255, 255, 255, 0))
    drawn.putpixel((1, 0), (0, 0, 0, 255))
    drawn.putpixel((2, 0), (0, 0, 0, 120))
    assert [as_mask(drawn).getpixel((x, 0)) for x in range(4)] == [0, 255, 0, 0]
    assert as_mask(drawn, rounded=False).getpixel((2, 0)) == 120
    opaque = Image.new("RGBA", (1, 1), (80, 80, 80, 255))
    assert as_mask(opaque).getpixel((0, 0)) == 80


def test_the_overlays_edge_lies_outside() -> None:
    soft = softened(square(), (4, 4))
    over, under = np.asarray(doubled(soft), int), np.asarray(soft, int)
    assert (over == np.minimum(under * 2, 255)).all()
