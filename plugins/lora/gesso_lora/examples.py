"""Small files of every kind for the smoke suite, which change every weight they are made for."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
RANK = 2


def lora(shapes: Shapes) -> dict[str, Tensor]:
    """Matrices and kernels of low rank."""
    made = {}
    for layer, shape in _layers(shapes):
        made[f"{layer}.lora_down.weight"] = torch.full((RANK, *shape[1:]), 0.1)
        made[f"{layer}.lora_up.weight"] = torch.full((shape[0], RANK, *[1] * (len(shape) - 2)), 0.1)
        made[f"{layer}.alpha"] = torch.tensor(1.0)
    return made


def dora(shapes: Shapes) -> dict[str, Tensor]:
    """The same, and lengths."""
    lengths = {f"{layer}.dora_scale": torch.full((n[0], *[1] * (len(n) - 1)), 1.5) for layer, n in _layers(shapes)}
    return {**lora(shapes), **lengths}


def loha(shapes: Shapes) -> dict[str, Tensor]:
    """Four matrices."""
    made = {}
    for layer, shape in _layers(shapes):
        flat = prod(shape[1:])
        for number in "12":
            made[f"{layer}.hada_w{number}_a"] = torch.full((shape[0], RANK), 0.3)
            made[f"{layer}.hada_w{number}_b"] = torch.full((RANK, flat), 0.3)
    return made


def lokr(shapes: Shapes) -> dict[str, Tensor]:
    """A small factor and a large one."""
    made = {}
    for layer, shape in _layers(shapes):
        small = _divisor(shape[0]), _divisor(shape[1])
        made[f"{layer}.lokr_w1"] = torch.full(small, 0.3)
        made[f"{layer}.lokr_w2"] = torch.full((shape[0] // small[0], shape[1] // small[1], *shape[2:]), 0.3)
    return made


def oft(shapes: Shapes) -> dict[str, Tensor]:
    """Rotations of small groups of rows."""
    made = {}
    for layer, shape in _layers(shapes):
        size = _divisor(shape[0])
        turn = torch.full((size, size), 0.2).triu(1)
        made[f"{layer}.oft_blocks"] = turn.expand(shape[0] // size, size, size).contiguous()
    return made


def _divisor(number: int) -> int:
    """The smallest from 2 on."""
    return next(n for n in range(2, number + 1) if number % n == 0)


def _layers(shapes: Shapes) -> list[tuple[str, tuple[int, ...]]]:
    return [(name.removesuffix(".weight"), shape) for name, shape in shapes.items()]
