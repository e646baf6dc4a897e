"""Outpainting on the demo model: the picture grows, and goes on as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso import InvalidInputError
from gesso.metadata import parse_infotext
from gesso_builtin.demo_model.judge import describe
from gesso_builtin.outpaint.geometry import SIDES, grown, place

CAPTION = "a red circle on a blue background"
NATIVE: dict[str, Any] = {"width": 128, "height": 128, "steps": 12, "sampler": "dpmpp_2m", "seed": 3}


@pytest.fixture(scope="module")
def base(demo: Any) -> Image.Image:
    return Image.fromarray(demo.make(prompt=CAPTION, **NATIVE).picture)


def params(demo: Any, picture: Image.Image, **outpaint: Any) -> dict[str, Any]:
    return {
        "img2img": {"init": demo.take(picture), "strength": 0.9},
        "outpaint": {"enabled": True, "pixels": 32, **outpaint},
    }


def test_off_is_the_same_bytes_as_never_heard_of(demo: Any, base: Image.Image) -> None:
    with_it = params(demo, base, enabled=False, pixels=64)
    without = {"img2img": with_it["img2img"]}
    assert demo.make(params=with_it).picture.tobytes() == demo.make(params=without).picture.tobytes()


def test_the_background_goes_on_and_the_picture_stays(demo: Any, base: Image.Image) -> None:
    made = demo.make(prompt=CAPTION, **NATIVE, params=params(demo, base)).picture
    assert made.shape == (192, 192, 3)
    inner = made[32:160, 32:160]
    edge = 4 * 2 + 10  # the mask goes 2 blurs into the picture, its softened edge reaches 2.5 further
    assert (inner[edge:-edge, edge:-edge] == np.asarray(base)[edge:-edge, edge:-edge]).all()
    seen = describe(Image.fromarray(made))
    assert seen.background == "blue"
    assert [(one.colour, one.shape) for one in seen.objects] == [("red", "circle")]


@pytest.mark.parametrize("side", SIDES)
def test_to_one_side(demo: Any, base: Image.Image, side: str) -> None:
    made = demo.make(prompt=CAPTION, **NATIVE, params=params(demo, base, directions=[side])).picture
    horizontal = side in ("left", "right")
    assert made.shape[:2] == ((128, 160) if horizontal else (160, 128))
    at = {"left": (0, 32), "right": (0, 0), "up": (32, 0), "down": (0, 0)}[side]
    inner = made[at[0] : at[0] + 128, at[1] : at[1] + 128]
    middle = slice(20, 108)
    assert (inner[middle, middle] == np.asarray(base)[middle, middle]).all()
    far = {"left": inner[:, -1], "right": inner[:, 0], "up": inner[-1], "down": inner[0]}[side]
    own = np.asarray(base)
    own = {"left": own[:, -1], "right": own[:, 0], "up": own[-1], "down": own[0]}[side]
    assert (far == own).all()  # the side that does not grow is left alone to its last pixel
    grounds = describe(Image.fromarray(made)).background
    assert grounds == "blue"


@pytest.mark.parametrize("content", ["fill", "original", "latent noise", "latent nothing"])
def test_any_masked_content(demo: Any, base: Image.Image, content: str) -> None:
    made = demo.make(prompt=CAPTION, **NATIVE, params=params(demo, base, directions=["right"], content=content)).picture
    assert made.shape == (128, 160, 3)


def test_infotext_says_it_and_makes_it_again(demo: Any, base: Image.Image) -> None:
    asked = params(demo, base, directions=["left", "up"], blur=2, content="latent noise")
    made = demo.make(params=asked)
    pairs = parse_infotext(made.infotexts[0]).params
    assert (pairs["Outpaint"], pairs["Outpaint pixels"], pairs["Outpaint direction"]) == ("True", "32", "left, up")
    assert pairs["Size-1"] if "Size-1" in pairs else pairs["Size"].startswith("160")
    fields, unknown = demo.service.reuse(made.infotexts[0])
    assert unknown == {}
    fields["params"]["img2img"]["init"] = asked["img2img"]["init"]
    assert demo.run(demo.service.job(demo.service.request(fields))).files == made.files


def test_what_cannot_be_outpainted_is_one_error(demo: Any, base: Image.Image) -> None:
    with pytest.raises(InvalidInputError, match="needs a picture"):
        demo.job(params={"outpaint": {"enabled": True}})
    with pytest.raises(InvalidInputError, match="needs a direction"):
        demo.job(params=params(demo, base, directions=[]))
    with pytest.raises(InvalidInputError, match="no direction"):
        demo.job(params=params(demo, base, directions=["inwards"]))
    both = params(demo, base)
    both["inpaint"] = {"mask": demo.take(Image.new("L", base.size, 255))}
    with pytest.raises(InvalidInputError, match="not both"):
        demo.make(params=both)


@pytest.mark.parametrize("size", [(128, 128), (100, 61), (8, 8), (513, 1023)])
@pytest.mark.parametrize("directions", [SIDES, ("left",), ("right", "up"), ("down",)])
def test_the_larger_size_fits_the_model_and_the_picture_lies_in_it(
    size: tuple[int, int], directions: tuple[str, ...]
) -> None:
    target = grown(size, 40, directions, 8)
    at = place(size, target, directions)
    assert target[0] % 8 == target[1] % 8 == 0
    assert (size[0] + at.left + at.right, size[1] + at.up + at.down) == target
    for side in directions:
        assert getattr(at, side) >= 40
    for side in {"left", "up"} - set(directions):
        assert getattr(at, side) == 0
