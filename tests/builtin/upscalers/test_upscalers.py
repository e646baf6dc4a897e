"""The upscalers that need no model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso import InvalidInputError, Upscaler, lazy
from gesso.testing import load_host


@pytest.fixture(scope="module")
def upscalers() -> Iterator[Any]:
    with load_host(["upscalers"]) as host:
        yield host.registry("upscalers")


def test_nearest_makes_squares(upscalers: Any) -> None:
    small = Image.fromarray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3))
    large = np.asarray(upscalers.get("Nearest").run.load()(small, (6, 6), None))
    assert (large == np.asarray(small).repeat(2, 0).repeat(2, 1)).all()


def test_lanczos_is_smooth_and_exact_in_size(upscalers: Any) -> None:
    ramp = Image.fromarray(np.repeat(np.arange(0, 160, 20, dtype=np.uint8)[None, :, None], 8, 0).repeat(3, 2))
    large = np.asarray(upscalers.get("lanczos").run.load()(ramp, (37, 19), None), dtype=int)
    assert large.shape == (19, 37, 3)
    assert (np.diff(large[9, 4:-4, 0]) > 0).all()


def test_an_upscaler_works_on_pixels_or_on_latents() -> None:
    with pytest.raises(InvalidInputError, match="give one of the two"):
        Upscaler(name="neither")
    some = lazy("somewhere:function", object)
    with pytest.raises(InvalidInputError, match="give one of the two"):
        Upscaler(name="both", run=some, latents=some)
