"""Noise per image: a seed's noise is A1111's, does not depend on the batch, and Brownian paths are torchsde's."""

import random
from itertools import pairwise

import pytest
import torch
import torchsde

from gesso.engine.noise import BrownianNoise, BrownianTree, IndependentNoise, initial_noise

SHAPE = (4, 8, 6)
LOW, HIGH = 0.0291671, 14.614642


def test_a_seed_means_what_it_means_on_a1111s_cpu_generator() -> None:
    start, generators = initial_noise([7, 8], SHAPE)
    noise = IndependentNoise(generators, SHAPE)
    for i, seed in enumerate((7, 8)):
        generator = torch.Generator("cpu").manual_seed(seed)
        assert torch.equal(start[i], torch.randn(SHAPE, generator=generator))
    later = [noise(1.0, 0.5), noise(0.5, 0.1)]
    for i, seed in enumerate((7, 8)):  # the stream goes on after the first noise
        generator = torch.Generator("cpu").manual_seed(seed)
        expected = [torch.randn(SHAPE, generator=generator) for _ in range(3)][1:]
        assert all(torch.equal(a[i], b) for a, b in zip(later, expected, strict=True))


def test_another_source_draws_all_noise() -> None:
    """A source of its own for start, fresh noise and Brownian paths: each is that source's, seed by seed."""
    drawn: list[int] = []

    def source(seed: int):
        drawn.append(seed)
        return lambda shape: torch.full(tuple(shape), float(len(drawn)))

    start, streams = initial_noise([7, 8], SHAPE, source=source)
    assert drawn == [7, 8]
    assert (start[0].unique().tolist(), IndependentNoise(streams, SHAPE)(1.0, 0.5).unique().tolist()) == ([2.0], [2.0])
    path = BrownianTree(3, SHAPE, LOW, HIGH, source)
    assert len(drawn) == 3
    path(LOW, 1.0)
    assert len(drawn) > 3


def test_dtype_is_asked_for_and_the_draw_is_float32() -> None:
    start, generators = initial_noise([7], SHAPE, dtype=torch.float64)
    assert start.dtype == torch.float64
    assert torch.equal(start.float().double(), start)
    assert IndependentNoise(generators, SHAPE, dtype=torch.float16)(1.0, 0.5).dtype == torch.float16
    assert BrownianNoise([7], SHAPE, LOW, HIGH, dtype=torch.bfloat16)(1.0, 0.5).dtype == torch.bfloat16


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 + 5, 2**53])
def test_paths_are_torchsdes(seed: int) -> None:
    theirs = torchsde.BrownianTree(LOW, torch.zeros(SHAPE), HIGH, entropy=seed)
    ours = BrownianTree(seed, SHAPE, LOW, HIGH)
    generator = random.Random(seed)
    for _ in range(30):
        low, high = sorted(generator.uniform(LOW, HIGH) for _ in range(2))
        assert torch.allclose(ours(low, high), theirs(low, high), rtol=0, atol=3e-6)
    assert torch.equal(ours(LOW, HIGH), theirs(LOW, HIGH))


def test_the_order_of_questions_does_not_matter() -> None:
    places = [(14.0, 9.0), (9.0, 3.5), (3.5, 1.2), (1.2, 0.03)] * 3
    one, other = BrownianTree(5, SHAPE, LOW, HIGH), BrownianTree(5, SHAPE, LOW, HIGH)
    forward = {place: one(*place) for place in places}
    for place in reversed(places):
        assert torch.equal(other(*place), forward[place])


def test_increments_add_up_and_turn_their_sign() -> None:
    tree = BrownianTree(5, SHAPE, LOW, HIGH)
    assert torch.allclose(tree(1.0, 3.0) + tree(3.0, 8.0), tree(1.0, 8.0), atol=1e-5)
    assert torch.equal(tree(8.0, 1.0), -tree(1.0, 8.0))
    assert not tree(2.0, 2.0).any()
    assert torch.equal(tree(-1.0, 99.0), tree(LOW, HIGH))


def test_the_same_path_however_many_steps() -> None:
    """What makes a picture keep its composition when the number of steps changes."""
    noise = BrownianNoise([3], SHAPE, LOW, HIGH)
    whole = noise(9.0, 1.0) * 8**0.5
    levels = torch.linspace(9.0, 1.0, 41).tolist()
    parts = sum(noise(a, b) * abs(a - b) ** 0.5 for a, b in pairwise(levels))
    assert torch.allclose(whole, parts, atol=1e-4)


def test_brownian_noise_is_standard_normal_and_fresh() -> None:
    noise = BrownianNoise([1], (20_000,), LOW, HIGH)
    draws = [noise(a, b)[0] for a, b in ((14.0, 6.0), (6.0, 1.0), (1.0, 0.05), (0.05, 0.03))]
    for draw in draws:
        assert draw.mean() == pytest.approx(0, abs=0.03)
        assert draw.std() == pytest.approx(1, abs=0.03)
    correlation = torch.corrcoef(torch.stack(draws)) - torch.eye(4)
    assert correlation.abs().max() < 0.03


def test_every_image_has_its_own_path_whatever_the_batch() -> None:
    seeds = [4, 5, 6]
    batch = BrownianNoise(seeds, SHAPE, LOW, HIGH)(9.0, 4.0)
    for i, seed in enumerate(seeds):
        assert torch.equal(BrownianNoise([seed], SHAPE, LOW, HIGH)(9.0, 4.0)[0], batch[i])
    assert not torch.equal(batch[0], batch[1])


def test_memory_is_bounded() -> None:
    tree = BrownianTree(1, SHAPE, LOW, HIGH)
    levels = torch.linspace(HIGH, LOW, 200).tolist()
    for a, b in pairwise(levels):
        tree(a, b)
    assert len(tree._cache) <= tree.CACHED
