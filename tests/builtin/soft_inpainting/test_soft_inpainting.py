"""Soft inpainting on the demo model, and its parts against what they are made of, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gesso import Canvas, Latents
from gesso.metadata import parse_infotext
from gesso_builtin.demo_model.judge import judge
from gesso_builtin.soft_inpainting.histogram import gaussian_kernel, weighted_range
from gesso_builtin.soft_inpainting.plugin import SoftInpaintingParams
from gesso_builtin.soft_inpainting.stages import blend_of, half_distance, mixed, smootherstep

CAPTION, WANTED = "a red circle on a blue background", "a green circle on a blue background"
NATIVE: dict[str, Any] = {"width": 128, "height": 128, "steps": 12, "sampler": "dpmpp_2m", "seed": 3}


@pytest.fixture(scope="module")
def base(demo: Any) -> Image.Image:
    return Image.fromarray(demo.make(prompt=CAPTION, **NATIVE).picture)


def asked(demo: Any, base: Image.Image, mask: Image.Image, **soft: Any) -> dict[str, Any]:
    return {
        "img2img": {"init": demo.take(base), "strength": 0.9}, "inpaint": {"mask": demo.take(mask), "blur": 6},
        **({"soft_inpainting": soft} if soft else {}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def disc() -> Image.Image:
    mask = Image.new("L", (128, 128))
    mask.paste(255, (24, 24, 104, 104))
    return mask


def made(demo: Any, base: Image.Image, mask: Image.Image, prompt: str = WANTED, **soft: Any) -> Any:
    return demo.make(prompt=prompt, **NATIVE, params=asked(demo, base, mask, **soft))


def test_off_is_the_same_bytes_as_never_heard_of(demo: Any, base: Image.Image, disc: Image.Image) -> None:
    assert made(demo, base, disc, enabled=False, preservation=3.0).picture.tobytes() == made(
        demo, base, disc
    ).picture.tobytes()  # fmt: skip


def test_it_paints_what_is_asked(demo: Any, base: Image.Image, disc: Image.Image) -> None:
    picture = made(demo, base, disc, enabled=True).picture
    assert judge(Image.fromarray(picture), WANTED).all
    assert (picture != made(demo, base, disc).picture).any()


def test_preservation_keeps_more_of_the_picture(demo: Any, base: Image.Image) -> None:
    """Under a grey mask: the stronger the preservation, the nearer to the picture."""
    grey = Image.new("L", (128, 128), 140)
    prompt = "a green square on a yellow background"

    def distance(preservation: float) -> float:
        picture = made(demo, base, grey, prompt, enabled=True, preservation=preservation).picture
        return float(np.abs(picture.astype(int) - np.asarray(base, int)).mean())

    weak, strong = distance(0.05), distance(8.0)
    assert strong < 0.6 * weak


def test_far_from_the_mask_every_byte_stays(demo: Any) -> None:
    """What decides is the change of the latents; filters and the way back to pixels spread it by some 90 pixels."""
    noise = Image.effect_noise((256, 256), 120).convert("RGB")
    mask = Image.new("L", noise.size)
    mask.paste(255, (120, 120, 136, 136))
    fields = {**NATIVE, "width": 256, "height": 256, "steps": 3}
    picture = demo.make(**fields, params=asked(demo, noise, mask, enabled=True)).picture
    same = (picture == np.asarray(noise)).all(-1)
    assert same[:20].all()
    assert same[-20:].all()
    assert same[:, :20].all()
    assert not same[120:136, 120:136].all()


def test_a_batch_has_masks_of_its_own(demo: Any, base: Image.Image, disc: Image.Image) -> None:
    params = asked(demo, base, disc, enabled=True)
    together = demo.make(prompt=WANTED, **NATIVE, batch_size=2, params=params).pictures
    alone = [demo.make(**{**NATIVE, "seed": 3 + i}, prompt=WANTED, params=params).picture for i in (0, 1)]
    for one, two in zip(together, alone, strict=True):
        assert np.abs(one.astype(int) - two).max() <= 3


def test_infotext_has_all_seven(demo: Any, base: Image.Image, disc: Image.Image) -> None:
    params = asked(demo, base, disc, enabled=True, schedule_bias=0.8, mask_influence=0.25)
    first = demo.make(prompt=WANTED, **NATIVE, params=params)
    pairs = parse_infotext(first.infotexts[0]).params
    expected = {
        "enabled": "True", "schedule bias": "0.8", "preservation strength": "0.5", "transition contrast boost": "4",
        "mask influence": "0.25", "difference threshold": "0.5", "difference contrast": "2",
    }  # fmt: skip
    found = {k.removeprefix("Soft inpainting "): v for k, v in pairs.items() if k.startswith("Soft inpainting")}
    assert {k: v.removesuffix(".0") for k, v in found.items()} == expected
    fields, unknown = demo.service.reuse(first.infotexts[0])
    assert unknown == {}
    for section, name in (("img2img", "init"), ("inpaint", "mask")):
        fields["params"][section][name] = params[section][name]
    assert demo.run(demo.service.job(demo.service.request(fields))).files == first.files


# --- parts --------------------------------------------------------------------------------------------------------


def canvas_with(share: torch.Tensor) -> Canvas:
    canvas = Canvas(Image.new("RGB", (8, 8)))
    canvas.keep, canvas.clean = (1 - share)[None, None], Latents({"image": torch.zeros(1, 4, *share.shape)})
    return canvas


def test_white_is_painted_black_is_kept_at_every_noise_level() -> None:
    share = torch.tensor([[0.0, 1.0]])
    blend = blend_of(canvas_with(share), SoftInpaintingParams(enabled=True))
    clean, x0 = torch.randn(1, 4, 1, 2), torch.randn(1, 4, 1, 2)
    for sigma in (14.0, 1.0, 0.03):
        blended = blend(clean, x0, sigma)
        assert torch.allclose(blended[..., 0], clean[..., 0], atol=1e-3)
        assert torch.allclose(blended[..., 1], x0[..., 1], atol=1e-3)


def test_grey_is_painted_late() -> None:
    """The picture counts for more while there is much noise."""
    blend = blend_of(canvas_with(torch.full((1, 1), 0.5)), SoftInpaintingParams(enabled=True))
    clean, x0 = torch.zeros(1, 4, 1, 1), torch.ones(1, 4, 1, 1)
    shares = [float(blend(clean, x0, sigma).mean()) for sigma in (14.0, 3.0, 1.0, 0.1)]
    assert shares == sorted(shares)


def test_mixing_keeps_the_length() -> None:
    """Two latents at right angles of length 1: a plain mixture would have length 0.71."""
    one, other = torch.tensor([1.0, 0, 0, 0]), torch.tensor([0, 1.0, 0, 0])
    half = mixed(one.reshape(1, 4, 1, 1), other.reshape(1, 4, 1, 1), torch.tensor(0.5), 4.0).flatten()
    assert half.norm() == pytest.approx(1.0, abs=1e-3)
    # Between lengths 1 and 3 the fourth power's mean.
    unequal = mixed(one.reshape(1, 4, 1, 1), 3 * other.reshape(1, 4, 1, 1), torch.tensor(0.5), 4.0).flatten()
    assert unequal.norm() == pytest.approx(((1 + 81) / 2) ** 0.25, rel=1e-3)


def slow_range(values: Any, kernel: Any, low: float, high: float, least: float) -> Any:
    """The definition, place by place."""
    radius, made = kernel.shape[0] // 2, np.zeros_like(values)
    for y, x in np.ndindex(values.shape):
        stack = sorted(
            (values[j, i], kernel[j - y + radius, i - x + radius])
            for j in range(max(0, y - radius), min(values.shape[0], y + radius + 1))
            for i in range(max(0, x - radius), min(values.shape[1], x + radius + 1))
        )
        total = sum(weight for _, weight in stack)
        bottom, top = total * low, total * high
        if top - bottom < least:
            middle = (top + bottom) / 2
            bottom, top = middle - least / 2, middle + least / 2
            if top > total:
                bottom, top = total - least, total
            if bottom < 0:
                bottom, top = 0, least
        end = value = weights = 0.0
        for item, weight in stack:
            start, end = end, end + weight
            part = max(0.0, min(end, top) - max(start, bottom))
            value, weights = value + item * part, weights + part
        made[y, x] = value / weights if weights else 0.0
    return made


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.0), (0.25, 0.75), (0.0, 1.0), (0.5, 0.5)])
def test_the_filter_is_its_definition(low: float, high: float) -> None:
    values, kernel = np.random.default_rng(0).random((9, 7)), gaussian_kernel(1.5, 2)
    assert np.allclose(weighted_range(values, kernel, low, high), slow_range(values, kernel, low, high, 1.0))


def test_the_kernel_is_one_in_the_middle_and_ends_softly() -> None:
    kernel = gaussian_kernel(1.5, 2)
    assert kernel[2, 2] == 1
    assert (kernel == kernel.T).all()
    assert 0 < kernel[2, 0] < 0.2
    assert kernel[0, 0] == pytest.approx(max(0.0, (np.exp(-8 / 2.25) - np.exp(-4)) / (1 - np.exp(-4))))


def test_the_threshold_is_where_half_shows() -> None:
    """Without the mask's influence it is the difference threshold everywhere."""
    half = half_distance(np.array([[0.0, 0.5, 1.0]]), SoftInpaintingParams(difference_threshold=1.5))
    assert np.allclose(half, 1.5, rtol=1e-3)
    by_mask = half_distance(np.array([[0.1, 0.9]]), SoftInpaintingParams(mask_influence=1.0))
    assert by_mask[0, 0] > by_mask[0, 1]  # where the mask hides little, much must change
    assert smootherstep(np.array([0.0, 0.5, 1.0])).tolist() == [0, 0.5, 1]
