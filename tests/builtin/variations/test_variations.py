"""A second seed in the noise, and noise of another size: A1111's numbers, and what they do to pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gesso import Noise
from gesso.engine.noise import cpu_noise, initial_noise
from gesso_builtin.variations.mixing import placed, slerp, varied
from gesso_builtin.variations.plugin import Variations

SHAPE = (4, 8, 8)
FREE = {"prompt": "", "cfg_scale": 1}
"""Without a prompt seeds make very different pictures."""


def noise_of(*seeds: int, first: int = 0) -> Noise:
    start, streams = initial_noise(seeds, SHAPE)
    indices = tuple(range(first, first + len(seeds)))
    return Noise(tuple(seeds), indices, start, tuple(streams), cpu_noise, 14.6, False)


def away(a: Any, b: Any) -> float:
    """Root mean square difference of two pictures."""
    return math.sqrt(float(np.mean((a.astype(float) - b.astype(float)) ** 2)))


def a1111s_slerp(amount: float, low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The formula as A1111 applies it to (C,H,W): norms, angle and mixture along the second axis."""
    low_unit, high_unit = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (low, high))
    omega = np.arccos((low_unit * high_unit).sum(1))
    a, b = np.sin((1 - amount) * omega) / np.sin(omega), np.sin(amount * omega) / np.sin(omega)
    return np.asarray(a[:, None] * low + b[:, None] * high)


@pytest.mark.parametrize("amount", [0.05, 0.3, 0.5, 0.9])
def test_the_mixture_is_a1111s(amount: float) -> None:
    low, high = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    expected = a1111s_slerp(amount, low.double().numpy(), high.double().numpy())
    assert np.allclose(slerp(amount, low, high).numpy(), expected, atol=2e-6)


def test_the_mixture_keeps_the_noises_strength() -> None:
    """A straight line would lose three tenths of it in the middle."""
    low, high = (torch.randn((4, 64, 64), generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert slerp(0.5, low, high).std() == pytest.approx(1, abs=0.02)
    assert torch.lerp(low, high, 0.5).std() < 0.75


def test_the_ends_are_the_seeds_own() -> None:
    low, high = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.allclose(slerp(0.0, low, high), low, atol=1e-6)
    assert torch.allclose(slerp(1.0, low, high), high, atol=1e-6)
    assert torch.allclose(slerp(0.4, low, low), low, atol=1e-6)


def test_each_picture_has_its_own_variation_seed() -> None:
    made = varied(noise_of(7, 7, first=3), Variations(seed=100, strength=0.25), (8, 8))
    for row, seed in zip(made.start, (103, 104), strict=True):
        expected = slerp(0.25, cpu_noise(7)(SHAPE), cpu_noise(seed)(SHAPE))
        assert torch.equal(row, expected)


@pytest.mark.parametrize(
    ("big", "small"), [((8, 8), (4, 4)), ((8, 8), (12, 4)), ((9, 8), (4, 11)), ((4, 4), (4, 4)), ((5, 7), (8, 2))]
)
def test_noise_of_another_size_lies_in_the_middle(big: tuple[int, int], small: tuple[int, int]) -> None:
    background, noise = torch.zeros(4, *big), 1 + torch.rand(4, *small)
    result = placed(background, noise)
    assert torch.equal(background, torch.zeros(4, *big))
    covered = result[0] > 0
    for axis, (large, little) in enumerate(zip(big, small, strict=True)):
        kept = covered.any(dim=1 - axis).nonzero().flatten()
        # A1111 takes as much off both sides, so an odd rest costs one row more.
        assert len(kept) == (little if little <= large else little + 2 * ((large - little) // 2))
        assert abs(int(kept[0]) - (large - 1 - int(kept[-1]))) <= 1
    assert set(result[result > 0].tolist()) <= set(noise.flatten().tolist())


def test_resized_noise_is_a1111s() -> None:
    """The other size's noise from a fresh stream of the seed, in the middle of this size's own."""
    options = Variations(resize_from_width=32, resize_from_height=48)
    made = varied(noise_of(7), options, (8, 8)).start[0]
    own, other = cpu_noise(7)(SHAPE), cpu_noise(7)((4, 6, 4))
    assert torch.equal(made[:, 1:7, 2:6], other)
    made[:, 1:7, 2:6] = own[:, 1:7, 2:6]
    assert torch.equal(made, own)


def test_more_strength_is_further_away(demo: Any) -> None:
    plain = demo.make().picture
    made = [demo.make(params={"variations": {"seed": 5, "strength": s}}).picture for s in (0.05, 0.3, 1.0)]
    found = [away(plain, picture) for picture in made]
    assert 0 < found[0] < found[1] < found[2]
    assert away(demo.make(seed=5).picture, made[2]) < 2


def test_pictures_of_a_job_share_the_seed_and_count_up_the_other(demo: Any) -> None:
    """In a batch and in several batches; each is the picture its own infotext tells of."""
    made = demo.make(**FREE, batch_size=2, count=2, params={"variations": {"seed": 5, "strength": 0.8}})
    lines = [text.splitlines()[-1] for text in made.infotexts]
    assert all("Seed: 7, " in line for line in lines)
    for seed, line in zip((5, 6, 7, 8), lines, strict=True):
        assert f"Variation seed: {seed}, Variation seed strength: 0.8" in line
    third = demo.make(**FREE, params={"variations": {"seed": 7, "strength": 0.8}}).picture
    assert away(made.pictures[2], third) < 1
    assert away(made.pictures[0], third) > 5


def test_samplers_that_run_image_by_image_know_which_image(demo: Any) -> None:
    params = {"variations": {"seed": 5, "strength": 0.8}}
    first, second = demo.make(**FREE, sampler="dpm_adaptive", batch_size=2, params=params).pictures
    assert away(first, second) > 5


def test_resizing_keeps_the_picture_where_it_was(demo: Any) -> None:
    """At twice the width the middle looks more like the small picture than another seed's noise would."""
    small = demo.make().picture
    wide = {"width": 128}
    resized = demo.make(**wide, params={"variations": {"resize_from_width": 64, "resize_from_height": 64}}).picture
    plain = demo.make(**wide).picture
    assert away(resized[:, 32:96], small) < away(plain[:, 32:96], small)


def test_a_random_variation_seed_is_drawn_before_the_job_is_queued(demo: Any) -> None:
    drawn = {demo.job(params={"variations": {"strength": 0.2}}).request.params["variations"]["seed"] for _ in range(3)}
    assert len(drawn) == 3
    assert min(drawn) >= 0
    assert demo.job(params={"variations": {}}).request.params["variations"]["seed"] == -1


def test_minus_one_of_a1111s_clients_is_no_size() -> None:
    assert not Variations.parse({"resize_from_width": -1, "resize_from_height": -1}).resizes
