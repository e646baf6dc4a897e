"""Seamless pictures, measured: no place is an edge, and the step across the edges is like those within."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from gesso.testing import local_plugins
from gesso_builtin.tiling.circular import circular

ROLLED = """
from dataclasses import replace
import gesso
from gesso import hookimpl

api = "1"
SHIFT = (0, 0)


@hookimpl(phase="change")
def gesso_filter_noise(noise):
    return replace(noise, start=noise.start.roll(SHIFT, dims=(-2, -1)))
"""
BOTH, ACROSS, DOWN = (
    {"tiling": {"enabled": True, "axes": axes}} for axes in ("both", "horizontal", "vertical")
)  # fmt: skip


@pytest.fixture(scope="module")
def rolled(demo: Any) -> Iterator[Any]:
    """`rolled(params, (down, across))`: pictures from noise shifted by so many latents (8 pixels each)."""
    with local_plugins({"rolled_noise_for_tiling": ROLLED}) as host:
        shifting = demo.beside(host)

        def make(params: dict[str, Any], shift: tuple[int, int] = (0, 0)) -> Any:
            sys.modules["rolled_noise_for_tiling"].SHIFT = shift
            return np.stack(shifting.make(count=4, prompt="", cfg_scale=1, params=params).pictures).astype(int)

        yield make


def farthest(a: Any, b: Any) -> int:
    return int(np.abs(a - b).max())


def test_shifted_noise_is_the_shifted_picture(rolled: Any) -> None:
    """Which can only be so when no place in the picture is an edge."""
    moved = np.roll(rolled(BOTH), (32, 16), axis=(1, 2))
    assert farthest(rolled(BOTH, (4, 2)), moved) <= 2
    plain = np.roll(rolled({}), (32, 16), axis=(1, 2))
    assert farthest(rolled({}, (4, 2)), plain) > 20


def test_one_direction_leaves_the_other_its_edges(rolled: Any) -> None:
    for params, shift, axis, other in ((ACROSS, (0, 4), 2, (4, 0)), (DOWN, (4, 0), 1, (0, 4))):
        start = rolled(params)
        assert farthest(rolled(params, shift), np.roll(start, 32, axis=axis)) <= 2
        assert farthest(rolled(params, other), np.roll(start, 32, axis=3 - axis)) > 20


def steps_across(picture: Any) -> list[float]:
    """The mean step across the edges, (left and right, upper and lower), in mean steps between neighbours within."""
    found = []
    for axis in (1, 0):
        across = np.abs(np.take(picture, 0, axis) - np.take(picture, -1, axis)).mean()
        found.append(float(across / np.abs(np.diff(picture, axis=axis)).mean()))
    return found


def test_the_edges_fit(demo: Any) -> None:
    def mean(params: dict[str, Any]) -> Any:
        made = demo.make(count=6, cfg_scale=1, prompt="", steps=4, params=params).pictures
        return np.mean([steps_across(picture.astype(float)) for picture in made], axis=0)

    assert (mean({}) > 4).all()
    assert (mean(BOTH) < 2.5).all()
    across, down = mean(ACROSS)
    assert across < 2.5
    assert down > 3


def test_afterwards_every_layer_is_as_it_was(demo: Any) -> None:
    model = demo.service.executor.residency.loaded()[0]
    layers = [m for c in model.components().values() for m in c.module.modules() if isinstance(m, torch.nn.Conv2d)]
    before = [(layer.padding, dict(layer.__dict__["_forward_pre_hooks"])) for layer in layers]
    plain = demo.make().files
    assert demo.make(params=BOTH).files != plain
    assert [(layer.padding, dict(layer.__dict__["_forward_pre_hooks"])) for layer in layers] == before
    assert demo.make().files == plain


def test_a_convolution_looks_round_the_edges() -> None:
    layer = torch.nn.Conv2d(2, 3, (3, 5), padding=(1, 2))
    x = torch.randn(1, 2, 6, 7)
    outside = layer(x)
    with circular([layer], across=True, down=True):
        made = layer(x)
        assert torch.allclose(layer(x.roll((2, 3), (2, 3))), made.roll((2, 3), (2, 3)), atol=1e-6)
    assert made.shape == outside.shape
    assert torch.equal(layer(x), outside)


def test_an_error_within_leaves_nothing_behind() -> None:
    layer = torch.nn.Conv2d(1, 1, 3, padding=1)
    with pytest.raises(RuntimeError, match="on the way"), circular([layer], across=True, down=False):
        raise RuntimeError("on the way")
    assert layer.padding == (1, 1)
    assert not layer._forward_pre_hooks


def test_nothing_is_written_when_it_is_off(demo: Any) -> None:
    assert "Tiling" not in demo.make(params={"tiling": {"enabled": False, "axes": "vertical"}}).infotexts[0]
    assert "RNG: CPU, Tiling: True, Tiling axes: vertical" in demo.make(params=DOWN).infotexts[0]
