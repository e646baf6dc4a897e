"""Inpainting on the demo model: what is masked changes, what is not stays byte by byte."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gesso import GessoError, InvalidInputError
from gesso.metadata import parse_infotext
from gesso_builtin.demo_model.judge import judge
from gesso_builtin.inpaint.masks import reach

CAPTION = "a red circle on a blue background"
WANTED = "a green circle on a blue background"
NATIVE: dict[str, Any] = {"width": 128, "height": 128, "steps": 12, "sampler": "dpmpp_2m"}
BOX = (20, 20, 107, 107)
CONTENTS = ("fill", "original", "latent noise", "latent nothing")
AREAS = ("Whole picture", "Only masked")


@pytest.fixture(scope="module")
def base(demo: Any) -> Image.Image:
    made = Image.fromarray(demo.make(**{**NATIVE, "seed": 3}, prompt=CAPTION).picture)
    assert judge(made, CAPTION).all
    return made


def box_mask(size: tuple[int, int] = (128, 128), box: tuple[int, int, int, int] = BOX) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def params(demo: Any, base: Image.Image, mask: Image.Image, strength: float = 0.9, **inpaint: Any) -> dict[str, Any]:
    return {
        "img2img": {"init": demo.take(base), "strength": strength},
        "inpaint": {"mask": demo.take(mask), **inpaint},
    }


def untouched(made: Any, base: Image.Image, mask: Image.Image, blur: float) -> bool:
    """Whether all pixels further from the mask than the blur reaches are the same bytes."""
    painted = np.asarray(mask) > 0
    for _ in range(reach(blur)):
        grown = np.pad(painted, 1)
        painted = grown[1:-1, 1:-1] | grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]
        diagonal = np.pad(painted, 1)
        painted |= diagonal[:-2, :-2] | diagonal[:-2, 2:] | diagonal[2:, :-2] | diagonal[2:, 2:]
    assert not painted.all(), "nothing is left to look at"
    return bool((np.asarray(made)[~painted] == np.asarray(base)[~painted]).all())


@pytest.mark.parametrize(("content", "area"), list(itertools.product(CONTENTS, AREAS)))
def test_a_shape_gets_another_colour(demo: Any, base: Image.Image, content: str, area: str) -> None:
    mask = box_mask()
    asked = params(demo, base, mask, content=content, area=area, padding=8)
    made = demo.make(**{**NATIVE, "seed": 3}, prompt=WANTED, params=asked).picture
    assert judge(Image.fromarray(made), WANTED).all
    assert untouched(made, base, mask, 4)


@pytest.mark.parametrize(("blur", "area", "content"), [
    (0, "Whole picture", "fill"), (0, "Only masked", "original"), (1, "Whole picture", "latent noise"),
    (9, "Whole picture", "original"), (9, "Only masked", "fill"),
])  # fmt: skip
def test_outside_the_blur_every_byte_stays(demo: Any, blur: int, area: str, content: str) -> None:
    """On a picture no autoencoder could give back."""
    noise = Image.effect_noise((96, 72), 120).convert("RGB")
    mask = Image.new("L", noise.size)
    ImageDraw.Draw(mask).ellipse((40, 25, 60, 45), fill=255)
    asked = params(demo, noise, mask, strength=1.0, blur=blur, area=area, content=content, padding=4)
    made = demo.make(width=96, height=72, params=asked).picture
    assert made.shape == (72, 96, 3)
    assert untouched(made, noise, mask, blur)
    assert (made[30:40, 45:55] != np.asarray(noise)[30:40, 45:55]).any()


def test_only_masked_paints_at_the_full_size_and_keeps_the_pictures(demo: Any) -> None:
    """A 300 × 200 picture stays one; the run itself is as large as asked."""
    picture = Image.new("RGB", (300, 200), (50, 80, 220))
    picture.putpixel((0, 0), (1, 2, 3))
    mask = box_mask(picture.size, (200, 100, 220, 120))
    made = demo.make(width=128, height=128, params=params(demo, picture, mask, area="Only masked", padding=16))
    assert made.picture.shape == (200, 300, 3)
    assert untouched(made.picture, picture, mask, 4)
    assert "Size: 128x128" in made.infotexts[0]
    assert made.picture[0, 0].tolist() == [1, 2, 3]


def test_inpaint_not_masked_paints_the_rest(demo: Any, base: Image.Image) -> None:
    """The same as the inverted mask."""
    mask = box_mask()
    inverted = mask.point(lambda value: 255 - value)
    one = demo.make(**NATIVE, params=params(demo, base, mask, mode="Inpaint not masked"))
    other = demo.make(**NATIVE, params=params(demo, base, inverted))
    assert (one.picture == other.picture).all()
    assert untouched(one.picture, base, inverted, 4)


def test_a_mask_by_transparency_is_the_same_mask(demo: Any, base: Image.Image) -> None:
    """As page editors give it: what is painted is opaque, whatever its colour."""
    mask = box_mask()
    drawn = Image.new("RGBA", mask.size, (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), mask=mask)
    one, other = (demo.make(**NATIVE, params=params(demo, base, m)).files for m in (mask, drawn))
    assert one == other


def test_a_mask_of_another_size_is_fitted(demo: Any, base: Image.Image) -> None:
    small = box_mask().resize((32, 32))
    made = demo.make(**{**NATIVE, "seed": 3}, prompt=WANTED, params=params(demo, base, small)).picture
    assert judge(Image.fromarray(made), WANTED).all


@pytest.mark.parametrize("area", AREAS)
def test_an_empty_mask_is_one_error(demo: Any, base: Image.Image, area: str) -> None:
    with pytest.raises(InvalidInputError, match="mask is empty"):
        demo.make(params=params(demo, base, Image.new("L", base.size), area=area))


def test_a_mask_without_a_picture_is_one_error(demo: Any) -> None:
    with pytest.raises(InvalidInputError, match="needs a picture"):
        demo.make(params={"inpaint": {"mask": demo.take(box_mask())}})


def test_a_mask_that_is_gone_is_one_error(demo: Any, base: Image.Image) -> None:
    gone = {"sha256": "0" * 64, "type": "image/png"}
    with pytest.raises(GessoError, match="No file with the hash"):
        demo.make(params={"img2img": {"init": demo.take(base)}, "inpaint": {"mask": gone}})


def test_a_batch_is_its_pictures_one_by_one(demo: Any, base: Image.Image) -> None:
    """Also the noise put under the mask is each picture's own."""
    asked = params(demo, base, box_mask(), content="latent noise")
    together = demo.make(**NATIVE, batch_size=2, params=asked).pictures
    alone = [demo.make(**{**NATIVE, "seed": 7 + i}, params=asked).picture for i in (0, 1)]
    for one, two in zip(together, alone, strict=True):
        assert np.abs(one.astype(int) - two).max() <= 2
    assert (alone[0] != alone[1]).any()


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpm_2", "dpmpp_2m_sde", "ddim", "plms", "uni_pc", "lcm",
                                     "dpm_adaptive", "restart", "euler_cfg_pp", "ddim_cfg_pp"])  # fmt: skip
def test_every_kind_of_sampler_keeps_the_rest(demo: Any, base: Image.Image, sampler: str) -> None:
    mask = box_mask()
    fields = {**NATIVE, "steps": 3, "sampler": sampler, "batch_size": 2}
    for picture in demo.make(**fields, prompt=WANTED, params=params(demo, base, mask)).pictures:
        assert untouched(picture, base, mask, 4)


def test_infotext_says_it_and_makes_it_again(demo: Any, base: Image.Image) -> None:
    mask = box_mask()
    asked = params(
        demo, base, mask, 0.7, blur=0, content="latent nothing", area="Only masked", padding=12, mode="Inpaint masked"
    )
    made = demo.make(params=asked)
    pairs = parse_infotext(made.infotexts[0]).params
    expected = {"Mask blur": "0", "Masked content": "latent nothing", "Inpaint area": "Only masked",
                "Masked area padding": "12", "Denoising strength": "0.7"}  # fmt: skip
    assert {key: pairs.get(key) for key in expected} == expected
    assert "Mask mode" not in pairs  # A1111 writes it where it is not the usual one
    fields, unknown = demo.service.reuse(made.infotexts[0])
    assert unknown == {}
    for section, name in (("img2img", "init"), ("inpaint", "mask")):
        fields["params"][section][name] = asked[section][name]
    assert demo.run(demo.service.job(demo.service.request(fields))).files == made.files


def test_a1111s_texts_are_understood(demo: Any) -> None:
    text = (
        "x\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Denoising strength: 0.75, "
        "Mask mode: Inpaint not masked, Mask blur: 8, Inpaint area: Only masked, Masked area padding: 64, "
        "Masked content: latent noise, Conditional mask weight: 0.5, Version: v1.10.1"
    )
    fields, _ = demo.service.reuse(text)
    record = demo.service.request(fields | {"model": "shapes"}).params["inpaint"]
    assert (record["mode"], record["blur"], record["area"]) == ("Inpaint not masked", 8, "Only masked")
    assert (record["padding"], record["content"], record["weight"]) == (64, "latent noise", 0.5)


def test_a1111s_clients_send_numbers() -> None:
    from gesso_builtin.img2img.plugin import Img2ImgParams
    from gesso_builtin.inpaint.plugin import InpaintParams

    body = {"inpainting_fill": 2, "inpaint_full_res": True, "inpainting_mask_invert": 1, "mask_blur": None,
            "mask_blur_x": 3, "mask_blur_y": 5, "inpaint_full_res_padding": 16, "resize_mode": 3,
            "initial_noise_multiplier": None, "denoising_strength": 0.4}  # fmt: skip
    record = InpaintParams.parse(InpaintParams.from_a1111(body))
    assert (record.content, record.area, record.mode) == ("latent noise", "Only masked", "Inpaint not masked")
    assert (record.blur_x, record.blur_y, record.padding) == (3, 5, 16)
    first = Img2ImgParams.parse(Img2ImgParams.from_a1111(body))
    assert (first.resize_mode, first.strength) == ("Just resize (latent upscale)", 0.4)
    assert record.to_a1111()["inpainting_fill"] == 2
    with pytest.raises(InvalidInputError):
        Img2ImgParams.parse(Img2ImgParams.from_a1111({"resize_mode": 9}))
