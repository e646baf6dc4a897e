"""Stretching latents: torch's ways of interpolation, under A1111's labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

Size = tuple[int, int]


def bilinear(latents: Tensor, size: Size) -> Tensor:
    """The usual one."""
    return interpolate(latents, size=size, mode="bilinear")


def bilinear_antialiased(latents: Tensor, size: Size) -> Tensor:
    """Differs from the plain one where something gets smaller."""
    return interpolate(latents, size=size, mode="bilinear", antialias=True)


def bicubic(latents: Tensor, size: Size) -> Tensor:
    """Sharper than bilinear."""
    return interpolate(latents, size=size, mode="bicubic")


def bicubic_antialiased(latents: Tensor, size: Size) -> Tensor:
    """With Pillow's kernel, which differs from torch's at any size."""
    return interpolate(latents, size=size, mode="bicubic", antialias=True)


def nearest(latents: Tensor, size: Size) -> Tensor:
    """Every cell a square."""
    return interpolate(latents, size=size, mode="nearest")


def nearest_exact(latents: Tensor, size: Size) -> Tensor:
    """As nearest, by the cells' centres."""
    return interpolate(latents, size=size, mode="nearest-exact")
