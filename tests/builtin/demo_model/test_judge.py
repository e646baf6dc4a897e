"""The judge is right about drawn pictures and sees what is wrong with spoiled ones."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gesso_builtin.demo_model import judge as judging
from gesso_builtin.demo_model.judge import judge
from tools.shapes import world

Scene = world.Scene


def scenes(count: int, seed: int, pair_share: float = 0.5) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [world.random_scene(rng, pair_share) for _ in range(count)]


def test_judge_and_world_agree_on_colours_and_shapes() -> None:
    assert judging.PALETTE == world.PALETTE
    assert judging.SHAPES == world.SHAPES


@pytest.mark.parametrize("size", [96, 128, 256])
def test_drawn_pictures_are_right(size: int) -> None:
    chosen = scenes(400 if size == 128 else 60, seed=size)
    right = [judge(world.render(s, i, size), s.caption).all for i, s in enumerate(chosen)]
    assert sum(right) >= 0.995 * len(right)


def test_description_finds_places_and_sizes() -> None:
    for index, scene in enumerate(scenes(40, seed=2, pair_share=0)):
        placed = world.place(scene, np.random.default_rng(index))[0]
        found = judging.describe(world.render(scene, index)).objects[0]
        assert abs(found.x - placed.x) < 0.02
        assert abs(found.y - placed.y) < 0.25 * placed.radius + 0.02
        assert found.radius == pytest.approx(placed.radius, abs=0.015)
        assert found.size == scene.things[0].size


def _other(options: tuple[str, ...], *used: str | None) -> str:
    return next(o for o in options if o not in used)


def test_wrong_captions_are_refused_in_the_right_part() -> None:
    for index, scene in enumerate(scenes(60, seed=3, pair_share=0)):
        picture, thing = world.render(scene, index), scene.things[0]
        colour = replace(thing, colour=_other(world.COLOURS, thing.colour, scene.background))
        shape = replace(thing, shape=_other(world.SHAPES, thing.shape))
        size = replace(thing, size=_other(world.SIZES, thing.size))
        ground = _other(world.COLOURS, thing.colour, scene.background)
        assert not judge(picture, replace(scene, things=(colour,)).caption).colour
        assert not judge(picture, replace(scene, things=(shape,)).caption).shape
        assert not judge(picture, replace(scene, things=(size,)).caption).size
        assert not judge(picture, replace(scene, background=ground).caption).background


def test_swapped_pairs_are_refused() -> None:
    for index, scene in enumerate(scenes(60, seed=4, pair_share=1)):
        if scene.things[0] == scene.things[1]:
            continue
        verdict = judge(world.render(scene, index), replace(scene, things=scene.things[::-1]).caption)
        assert verdict.relation is False
        assert not verdict.all
        assert verdict.colour
        assert verdict.shape
        other = _other(world.RELATIONS, scene.relation)
        assert judge(world.render(scene, index), replace(scene, relation=other).caption).relation is False


def test_missing_and_additional_objects_are_counted() -> None:
    for index, scene in enumerate(scenes(40, seed=5, pair_share=1)):
        placed = world.place(scene, np.random.default_rng(index))
        assert not judge(world.draw(scene.background, placed[1:]), scene.caption).count
        corner = world.Placed(placed[0].colour, "circle", 0.07, 0.07, 0.05)
        assert not judge(world.draw(scene.background, [*placed, corner]), scene.caption).count


Spoil = Callable[[Image.Image, np.random.Generator], Image.Image]


def _blur(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(3))


def _noise(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture) + rng.normal(0, 30, (picture.height, picture.width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _shift(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return Image.fromarray((np.asarray(picture) * 0.5 + 64).astype(np.uint8))


def _half(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The left half repainted in another hue: no shape or background is of one colour any more."""
    pixels = np.asarray(picture).copy()
    pixels[:, :64] = pixels[:, :64, ::-1] // 2
    return Image.fromarray(pixels)


@pytest.mark.parametrize("spoil", [_blur, _noise, _shift, _half])
def test_spoiled_pictures_are_refused(spoil: Spoil) -> None:
    rng = np.random.default_rng(6)
    chosen = scenes(60, seed=6)
    passed = [judge(spoil(world.render(s, i), rng), s.caption).all for i, s in enumerate(chosen)]
    assert sum(passed) == 0


def test_light_noise_is_forgiven() -> None:
    chosen = scenes(60, seed=7)
    rng = np.random.default_rng(7)
    noisy = [np.asarray(world.render(s, i)) + rng.normal(0, 5, (128, 128, 3)) for i, s in enumerate(chosen)]
    pictures = [Image.fromarray(n.clip(0, 255).astype(np.uint8)) for n in noisy]
    assert sum(judge(p, s.caption).all for p, s in zip(pictures, chosen, strict=True)) >= 58


@pytest.mark.parametrize("pixels", [np.zeros((128, 128, 3)), np.random.default_rng(0).integers(0, 256, (64, 64, 3))])
def test_pictures_of_nothing(pixels: np.ndarray) -> None:
    verdict = judge(Image.fromarray(pixels.astype(np.uint8)), "a red circle on a blue background")
    assert not verdict.all
    assert not verdict.shape


def test_other_captions_are_refused() -> None:
    with pytest.raises(ValueError, match="not a Shapes caption"):
        judge(Image.new("RGB", (64, 64)), "a photograph of a cat")


def test_components_count_pieces() -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[0, :] = mask[:, 0] = mask[7, :] = True
    mask[3, 3:5] = mask[4, 4:6] = True
    mask[5, 6] = True
    labels, sizes = judging.components(mask)
    assert sorted(sizes.tolist()) == [1, 4, 22]
    assert labels.max() == 3
    assert np.array_equal(labels > 0, mask)
