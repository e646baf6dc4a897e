"""Image to image on the demo model: what it keeps, what it changes, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso import BadFileError, InvalidInputError, Request
from gesso.metadata import parse_infotext
from gesso_builtin.demo_model.judge import describe, judge
from gesso_builtin.img2img.colour import matched, with_brightness_of

CAPTION = "a red circle on a blue background"
NATIVE: dict[str, Any] = {"width": 128, "height": 128, "steps": 12, "sampler": "dpmpp_2m"}


@pytest.fixture(scope="module")
def base(demo: Any) -> Image.Image:
    made = Image.fromarray(demo.make(prompt=CAPTION, **NATIVE).picture)
    assert judge(made, CAPTION).all
    return made


def distance(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_low_strength_keeps_high_strength_changes(demo: Any, base: Image.Image) -> None:
    init, prompt = demo.take(base), "a green square on a yellow background"

    def at(strength: float) -> Any:
        return demo.make(prompt=prompt, **NATIVE, params={"img2img": {"init": init, "strength": strength}}).picture

    kept, changed = at(0.1), at(0.9)
    assert describe(Image.fromarray(kept)).background == "blue"
    assert judge(Image.fromarray(changed), prompt).all
    assert distance(kept, base) < 15 < 100 < distance(changed, base)


def test_distance_grows_with_strength(demo: Any, base: Image.Image) -> None:
    init = demo.take(base)
    distances = []
    for strength in (0.1, 0.4, 0.99):
        params = {"img2img": {"init": init, "strength": strength}}
        distances.append(distance(demo.make(**{**NATIVE, "seed": 9}, prompt=CAPTION, params=params).picture, base))
    assert distances == sorted(distances)


def test_a_batch_is_its_pictures_one_by_one(demo: Any, base: Image.Image) -> None:
    """Each picture's noise comes from its own seed, also where it is put under the mask."""
    params = {"img2img": {"init": demo.take(base), "strength": 0.6}}
    together = demo.make(**NATIVE, batch_size=2, params=params).pictures
    alone = [demo.make(**{**NATIVE, "seed": 7 + i}, params=params).picture for i in (0, 1)]
    assert distance(alone[0], alone[1]) > 1
    for one, two in zip(together, alone, strict=True):
        assert np.abs(one.astype(int) - two).max() <= 2


def test_without_a_picture_it_is_one_error(demo: Any) -> None:
    with pytest.raises(InvalidInputError, match="needs a picture"):
        demo.job(params={"img2img": {"strength": 0.5}})


def test_its_record_without_use_changes_nothing(demo: Any) -> None:
    """Inpaint, soft inpainting and outpaint at rest: the same bytes as without them."""
    plain = demo.make()
    rest: dict[str, Any] = {"inpaint": {}, "soft_inpainting": {}, "outpaint": {}}
    assert demo.make(params=rest).files == plain.files


def test_resize_modes(demo: Any, base: Image.Image) -> None:
    """A picture twice as wide as high, into a square."""
    wide = base.resize((256, 128))
    init, made = demo.take(wide), {}
    for mode in ("Just resize", "Crop and resize", "Resize and fill", "Just resize (latent upscale)"):
        params = {"img2img": {"init": init, "strength": 0.05, "resize_mode": mode}}
        made[mode] = demo.make(prompt=CAPTION, **NATIVE, params=params).picture
        assert made[mode].shape == (128, 128, 3)
    seen = {mode: describe(Image.fromarray(picture)).objects[0] for mode, picture in made.items()}
    assert abs(seen["Crop and resize"].radius - 2 * seen["Resize and fill"].radius) < 0.12
    assert seen["Just resize"].radius < seen["Crop and resize"].radius
    # As latents are stretched the picture is blurred, but it is the stretched picture.
    assert distance(made["Just resize"], made["Just resize (latent upscale)"]) < 40
    assert distance(made["Just resize"], made["Just resize (latent upscale)"]) > 0.2


def test_resize_by_becomes_the_size(demo: Any, base: Image.Image) -> None:
    job = demo.job(params={"img2img": {"init": demo.take(base.resize((100, 60))), "scale": 1.5}})
    assert (job.request.width, job.request.height) == (144, 88)
    assert job.request.params["img2img"]["scale"] == 0


def test_a_turned_photo_is_seen_upright(demo: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.new("RGB", (96, 64), "blue")
    photo.paste((220, 40, 40), (0, 0, 48, 64))  # upright: red above, blue below
    job = demo.job(params={"img2img": {"init": demo.take(photo, exif=exif), "scale": 1.0, "strength": 0.05}})
    assert (job.request.width, job.request.height) == (64, 96)
    picture = demo.run(job).picture.astype(int)
    assert picture[8:40, :, 0].mean() > 150 > picture[56:88, :, 0].mean()


def test_transparency_shows_the_chosen_colour(demo: Any) -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    means = {}
    for colour in ("#ffffff", "#dc2828"):
        params = {"img2img": {"init": demo.take(clear), "strength": 0.05, "background": colour}}
        means[colour] = demo.make(prompt="", params=params).picture.reshape(-1, 3).mean(0)
    assert means["#ffffff"].min() > 200
    assert means["#dc2828"][0] > 150 > 100 > means["#dc2828"][2]


def test_noise_multiplier_has_an_effect_and_one_has_none(demo: Any, base: Image.Image) -> None:
    init = demo.take(base)

    def at(**more: float) -> Any:
        return demo.make(params={"img2img": {"init": init, "strength": 0.5, **more}}).files

    assert at() == at(noise_multiplier=1.0)
    assert at() != at(noise_multiplier=0.8)


def test_colours_are_kept_when_asked(demo: Any, base: Image.Image) -> None:
    """A greyish version of the picture: painted anew its colours would come back."""
    grey = Image.blend(base, base.convert("L").convert("RGB"), 0.7)
    init = demo.take(grey)

    def saturation(**more: bool) -> float:
        params = {"img2img": {"init": init, "strength": 0.9, **more}}
        picture = demo.make(prompt=CAPTION, **NATIVE, params=params).picture.astype(int)
        return float((picture.max(-1) - picture.min(-1)).mean())

    assert saturation(color_correction=True) < 0.6 * saturation()


def test_matching_a_picture_with_itself_changes_hardly_anything(base: Image.Image) -> None:
    assert distance(matched(base, base), base) < 2
    assert distance(with_brightness_of(base, base), base) < 0.5


def test_infotext_says_it_and_makes_it_again(demo: Any, base: Image.Image) -> None:
    init = demo.take(base)
    asked = {
        "init": init,
        "strength": 0.6,
        "resize_mode": "Crop and resize",
        "noise_multiplier": 0.9,
        "full_steps": True,
    }
    made = demo.make(width=64, height=96, params={"img2img": asked})
    pairs = parse_infotext(made.infotexts[0]).params
    assert pairs["Denoising strength"] == "0.6"
    assert (pairs["Noise multiplier"], pairs["Resize mode"]) == ("0.9", "Crop and resize")
    fields, unknown = demo.service.reuse(made.infotexts[0])
    assert unknown == {}
    fields["params"]["img2img"]["init"] = init
    again = demo.run(demo.service.job(demo.service.request(fields)))
    assert again.files == made.files


def test_a_hires_text_is_no_image_to_image(demo: Any) -> None:
    text = "x\nSteps: 3, Sampler: Euler, CFG scale: 4, Seed: 7, Size: 64x64, Denoising strength: 0.7, Hires upscale: 2"
    fields, _ = demo.service.reuse(text)
    assert "img2img" not in fields["params"]


def test_what_is_no_picture_is_refused_at_the_door(demo: Any) -> None:
    with pytest.raises(BadFileError, match="no picture"):
        demo.service.take_picture(b"MZ\x90 this is a program")


def test_the_request_names_its_files(demo: Any, base: Image.Image) -> None:
    init = demo.take(base)
    request: Request = demo.service.request({"prompt": "x", "model": "shapes", "params": {"img2img": {"init": init}}})
    assert request.inputs["init"].model_dump() == init


def test_a_plain_picture_is_the_same_without_these_plugins(tmp_path: Any) -> None:
    """Not installed, and installed but not asked for: the same pixels."""
    from gesso.testing import load_host
    from gesso.testing.studio import Studio

    mine = ["img2img", "inpaint", "soft_inpainting", "outpaint"]
    with load_host(["builtin"]) as whole, load_host(["builtin"], without=[f"gesso:{name}" for name in mine]) as rest:
        assert not {record.name for record in rest.registry("params")} & set(mine)
        studio = Studio(whole, tmp_path)
        assert studio.picture(whole).tobytes() == studio.picture(rest).tobytes()
