"""A1111's sizes, keys and names."""

from __future__ import annotations

from typing import Any

import pytest

from gesso import InvalidInputError, parse_infotext
from gesso_hires.params import HiresParams
from gesso_hires.sizes import sizes

A1111 = (
    "a lighthouse\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 512x768, "
    "Denoising strength: 0.45, Clip skip: 2, Hires upscale: 1.5, Hires steps: 12, "
    "Hires upscaler: Latent (nearest-exact), Hires sampler: Euler a, Hires schedule type: Use same scheduler, "
    "Version: v1.10.1"
)


@pytest.mark.parametrize(
    ("first", "asked", "enlarged", "final"),
    [
        ((512, 768), {"scale": 1.5}, (768, 1152), (768, 1152)),
        ((512, 512), {"scale": 1.9}, (968, 968), (968, 968)),  # int(972.8) is 972, of which 121 whole latents
        ((512, 768), {"width": 1024}, (1024, 1536), (1024, 1536)),
        ((512, 768), {"height": 1024}, (680, 1024), (680, 1024)),  # 682, rounded down
        ((512, 512), {"width": 1024, "height": 512}, (1024, 1024), (1024, 512)),
        ((512, 512), {"width": 512, "height": 1024}, (1024, 1024), (512, 1024)),
        ((768, 512), {"width": 1000, "height": 1000}, (1496, 1000), (1000, 1000)),
        ((512, 512), {"width": 768, "scale": 4.0}, (768, 768), (768, 768)),
    ],
)
def test_sizes(
    first: tuple[int, int], asked: dict[str, Any], enlarged: tuple[int, int], final: tuple[int, int]
) -> None:
    found = sizes(first, HiresParams(**asked), 8)
    assert (found.enlarged, found.final) == (enlarged, final)


def test_too_large() -> None:
    with pytest.raises(InvalidInputError, match="16,384"):
        sizes((8192, 64), HiresParams(scale=4), 8)


def test_a_picture_of_a1111_is_read() -> None:
    found = HiresParams.parse(HiresParams.from_infotext(parse_infotext(A1111).params))
    assert found == HiresParams(
        enabled=True, scale=1.5, steps=12, strength=0.45, upscaler="Latent (nearest-exact)", sampler="Euler a"
    )


def test_pairs_are_a1111s() -> None:
    by_factor = HiresParams(enabled=True, strength=0.5, upscaler="Lanczos").to_infotext()
    assert by_factor == {"Denoising strength": 0.5, "Hires upscale": 2, "Hires upscaler": "Lanczos"}
    to_size = HiresParams(enabled=True, width=1024, steps=9, prompt="a, b", cfg_scale=3).to_infotext()
    assert to_size == {
        "Denoising strength": 0.7, "Hires resize": "1024x0", "Hires steps": 9, "Hires upscaler": "Latent",
        "Hires CFG Scale": 3, "Hires prompt": "a, b",
    }  # fmt: skip
    assert HiresParams(scale=3).to_infotext() == {}


def test_a_picture_made_from_a_picture_had_no_second_pass() -> None:
    assert HiresParams.from_infotext({"Denoising strength": "0.5"}) == {}


def test_a_rest_call_of_a1111_is_read() -> None:
    body = {
        "enable_hr": True, "hr_scale": 3, "hr_upscaler": "Latent", "denoising_strength": 0.3, "hr_prompt": "",
        "hr_sampler_name": "Use same sampler", "hr_resize_x": 0, "hr_resize_y": 0, "hr_checkpoint_name": None,
    }  # fmt: skip
    assert HiresParams.parse(HiresParams.from_a1111(body)) == HiresParams(enabled=True, scale=3, strength=0.3)
    assert HiresParams(enabled=True, strength=0.3).to_a1111()["denoising_strength"] == 0.3
