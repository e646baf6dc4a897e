"""Clip skip: the layer that was asked for reaches the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gesso_builtin.clip_skip.plugin import ClipSkip
from gesso_builtin.clip_skip.stages import prepare


def test_each_layer_makes_another_picture(demo: Any) -> None:
    """The demo model's encoder has two layers; beyond them the first is taken."""
    pictures = [demo.make(params={"clip_skip": {"layers": n}}).picture for n in (1, 2, 12)]
    assert np.array_equal(pictures[0], demo.make().picture)
    assert not np.array_equal(pictures[1], pictures[0])
    assert np.array_equal(pictures[2], pictures[1])


@pytest.mark.parametrize(
    ("options", "told"),
    [({}, {}), ({"layers": 2}, {"clip_skip": 2, "sdxl_clip_l_skip": False}),
     ({"layers": 3, "sdxl": True}, {"clip_skip": 3, "sdxl_clip_l_skip": True})],
)  # fmt: skip
def test_what_the_encoders_are_told(options: dict[str, Any], told: dict[str, Any]) -> None:
    class Context:
        text_options: dict[str, Any]

        def params(self, name: str, record: Any) -> ClipSkip:
            return ClipSkip.parse(options)

    context = Context()
    context.text_options = {}
    prepare(context)  # type: ignore[arg-type]
    assert context.text_options == told


def test_the_key_is_written_above_one_only(demo: Any) -> None:
    assert "Clip skip: 2, RNG" in demo.make(params={"clip_skip": {"layers": 2}}).infotexts[0]
    assert "Clip skip" not in demo.make(params={"clip_skip": {"layers": 1}}).infotexts[0]
