"""Noise of an NVIDIA card on the CPU, ENSD, extra noise: the numbers, and what they do to pictures."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gesso import Noise
from gesso.engine.noise import cpu_noise, initial_noise
from gesso_builtin.noise_controls.plugin import NoiseControls, gesso_filter_noise
from gesso_builtin.noise_controls.sources import nv_noise, philox

VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
"""The known answers of the algorithm's authors (Random123, philox4x32, 10 rounds): counter, key, result."""
CUDA = [[-0.9247, -0.4253, -2.6438, 0.1452], [-0.1209, -0.5797, -0.6229, -0.3284], [-1.0745, -0.3631, -1.6711, 2.2655]]
"""torch.manual_seed(0); torch.randn(3, 4, device="cuda"), as torch prints it."""


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), VECTORS)
def test_the_generator_gives_its_authors_answers(counter: str, key: str, result: str) -> None:
    low, high = words(key)
    made = philox([np.array([word], np.uint64) for word in words(counter)], high << 32 | low)
    assert [int(word[0]) for word in made] == words(result)


def test_numbers_are_a_cards() -> None:
    assert torch.allclose(nv_noise(0)((3, 4)), torch.tensor(CUDA), rtol=0, atol=5.1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("seed", [0, 1, 2**32 + 5, 2**64 - 1])
def test_numbers_are_this_cards(seed: int) -> None:
    generator = torch.Generator("cuda").manual_seed(seed)
    stream = nv_noise(seed)
    for _ in range(3):
        drawn = torch.randn((4, 64, 64), generator=generator, device="cuda").cpu()
        assert torch.allclose(stream((4, 64, 64)), drawn, rtol=1e-5, atol=1e-6)


def test_a_stream_goes_on_and_is_normal() -> None:
    stream, again = nv_noise(42), nv_noise(42)
    first, second = stream((4, 64, 64)), stream((4, 64, 64))
    assert first.dtype == torch.float32
    assert torch.equal(again((4, 64, 64)), first)
    for drawn in (first, second):
        assert drawn.mean() == pytest.approx(0, abs=0.03)
        assert drawn.std() == pytest.approx(1, abs=0.03)
    for other in (second, nv_noise(43)((4, 64, 64)), nv_noise(42 + 2**32)((4, 64, 64))):
        assert abs(float(torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1])) < 0.03


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m_sde"])
def test_the_source_draws_all_of_a_pictures_noise(demo: Any, sampler: str) -> None:
    """Start, fresh noise and Brownian paths: another picture, the same in a batch as alone."""
    params = {"noise_controls": {"source": "NV"}}
    plain, made = demo.make(sampler=sampler), demo.make(sampler=sampler, count=2, params=params)
    assert np.abs(plain.picture.astype(int) - made.pictures[0]).mean() > 3
    second = demo.make(sampler=sampler, seed=8, params=params)
    assert np.array_equal(made.pictures[1], second.picture)
    if not torch.cuda.is_available():
        device = demo.make(sampler=sampler, seed=8, params={"noise_controls": {"source": "GPU"}})
        assert np.array_equal(device.picture, second.picture)


def test_ensd_moves_the_later_noise_only(demo: Any) -> None:
    params, ancestral = {"noise_controls": {"ensd": 31337}}, {"sampler": "euler_ancestral"}
    assert not np.array_equal(demo.make(**ancestral).picture, demo.make(**ancestral, params=params).picture)
    assert np.array_equal(demo.make().picture, demo.make(params=params).picture)


def noise_of(seed: int, *, sigma: float, has_init: bool) -> Noise:
    start, streams = initial_noise([seed], (4, 8, 8))
    return Noise((seed,), (0,), start, tuple(streams), cpu_noise, sigma, has_init)


class Context:
    """What the hook looks at."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def params(self, name: str, record: Any) -> Any:
        return record.parse(self.options)


def changed(noise: Noise, **options: Any) -> Noise:
    made = gesso_filter_noise(noise, Context(**options))  # type: ignore[arg-type]
    assert made is not None
    return made


def test_ensd_is_added_to_the_seed() -> None:
    noise = noise_of(7, sigma=5.0, has_init=True)
    made = changed(noise, ensd=-10)
    assert torch.equal(made.start, noise.start)
    assert torch.equal(made.streams[0]((4, 8, 8)), cpu_noise((7 - 10) % 2**64)((4, 8, 8)))


@pytest.mark.parametrize(("has_init", "expected"), [(True, 5.0 + 0.25), (False, 5.0)])
def test_extra_noise_is_more_of_the_same_on_a_picture(has_init: bool, expected: float) -> None:
    """A1111: x = picture + noise · σ, then x += noise · extra."""
    noise = noise_of(7, sigma=5.0, has_init=has_init)
    made = changed(noise, extra=0.25)
    assert torch.allclose(made.start * made.sigma, noise.start * expected, rtol=1e-6)


def test_extra_noise_reaches_img2img(demo: Any) -> None:
    """And only that: a picture from noise alone has none to put it on."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (50, 80, 220)).save(buffer, "PNG")
    init = {"init": demo.service.take_picture(buffer.getvalue()).model_dump(), "strength": 0.5}
    plain, noisy = (
        demo.make(params={"img2img": init, "noise_controls": {"extra": extra}}).picture for extra in (0.0, 1.0)
    )
    assert np.abs(plain.astype(int) - noisy).mean() > 0.2
    assert np.array_equal(demo.make(params={"noise_controls": {"extra": 1.0}}).picture, demo.make().picture)


@pytest.mark.parametrize(
    ("pairs", "source"),
    [({"Version": "v1.10.1"}, "GPU"), ({"Version": "f2.0.1v1.10.1-previous-665"}, "GPU"),
     ({"Version": "v1.10.1", "RNG": "NV"}, "NV"), ({"Version": "v1.10.1", "RNG": "CPU"}, "CPU"),
     ({"Version": "gesso 0.1.0"}, None), ({}, None)],
)  # fmt: skip
def test_what_a_missing_key_means_depends_on_the_program(pairs: dict[str, str], source: str | None) -> None:
    assert NoiseControls.from_infotext(pairs).get("source") == source
