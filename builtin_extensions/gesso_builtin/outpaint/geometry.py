"""Where a picture lies in the larger one. Torch-free: the host asks for the size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

SIDES = ("left", "right", "up", "down")


class Place(NamedTuple):
    """Pixels added at each side."""

    left: int
    right: int
    up: int
    down: int


def grown(size: tuple[int, int], pixels: int, directions: Sequence[str], step: int) -> tuple[int, int]:
    """A picture of `size` grown by `pixels` in each direction, up to the next multiple of `step`."""
    ways = (sum(side in directions for side in pair) for pair in (("left", "right"), ("up", "down")))
    width, height = (math.ceil((side + pixels * n) / step) * step for side, n in zip(size, ways, strict=True))
    return width, height


def place(size: tuple[int, int], target: tuple[int, int], directions: Sequence[str]) -> Place:
    """Where a picture of `size` lies in `target`: what is missing to a multiple goes with the directions."""
    return Place(
        *_split(target[0] - size[0], "left" in directions, "right" in directions),
        *_split(target[1] - size[1], "up" in directions, "down" in directions),
    )


def _split(more: int, before: bool, after: bool) -> tuple[int, int]:
    if before and after:
        return more // 2, more - more // 2
    return (more, 0) if before else (0, more)
