"""The SDXL sibling of the demo model, dropped in a person's model folder: known for what it is, and it obeys.

The file is test data, 18 MB, made by tools/shapes/sdxl.py. Numbers here are floors under the score in its page.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso_builtin.demo_model.judge import judge
from tools.shapes import world

pytestmark = pytest.mark.slow
WEIGHTS = Path(__file__).parent / "data" / "shapes-sdxl.safetensors"
SINGLE = [s.caption for s in world.held_out()[:12]]
PAIRS = [s.caption for s in world.held_out()[100:112]]
Draw = Callable[..., list[Image.Image]]


@pytest.fixture(scope="module")
def service(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "models" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "mine.safetensors").symlink_to(WEIGHTS)
    made = Service(host, Paths.of(home))
    yield made
    made.close()


@pytest.fixture(scope="module")
def draw(service: Service) -> Draw:
    """(prompt, request fields) → the pictures, with what the model starts from where nothing is given."""

    def pictures(prompt: str, **fields: Any) -> list[Image.Image]:
        result = service.run(service.job(service.request({"prompt": prompt, "model": "mine", **fields})))
        return [Image.open(io.BytesIO(service.executor.blobs.get(a.file))).convert("RGB") for a in result.artifacts]

    return pictures


def test_it_is_an_sdxl_like_any_other(service: Service) -> None:
    entry = next(e for e in service.library.entries() if e.name == "mine")
    assert (entry.state, entry.family, entry.built_in) == ("ok", "sdxl", False)
    assert WEIGHTS.stat().st_size <= 20_000_000
    request = service.request({"prompt": "x", "model": "mine"})
    assert (request.width, request.height, request.steps, request.cfg_scale) == (128, 128, 20, 4)


def right(draw: Draw, captions: Sequence[str]) -> float:
    """The share of captions that are drawn as they say."""
    return sum(judge(draw(c, seed=7)[0], c).all for c in captions) / len(captions)


def test_single_shapes(draw: Draw) -> None:
    """98 % of 50 when they were measured."""
    assert right(draw, SINGLE) >= 0.91


def test_pairs(draw: Draw) -> None:
    """The words of both encoders reach the right shapes and places; all of 50."""
    assert right(draw, PAIRS) >= 0.91


def test_told_of_a_crop_at_the_left_it_moves_the_shape_there(draw: Draw) -> None:
    """The model's crop conditioning, through the record people set: four circles, 8 pixels in the mean."""

    def centre(**crop: int) -> float:
        pictures = draw("a red circle on a blue background", seed=3, batch_size=4, params={"sdxl": crop})
        reds = [np.asarray(picture, np.int16) for picture in pictures]
        return float(np.mean([np.nonzero((red[..., 0] > 150) & (red[..., 2] < 110))[1].mean() for red in reds]))

    assert centre(crop_left=24) < centre() - 4


def test_a_batch_of_four_is_four_singles(draw: Draw) -> None:
    together = draw(PAIRS[0], seed=20, batch_size=4)
    for number, picture in enumerate(together):
        (alone,) = draw(PAIRS[0], seed=20 + number)
        error = np.mean((np.asarray(picture, np.float64) - np.asarray(alone, np.float64)) ** 2)
        assert error <= 255**2 / 10**4  # 40 dB
