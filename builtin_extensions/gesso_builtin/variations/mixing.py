"""Noise of two seeds mixed, and noise of another size: the numbers are A1111's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gesso import Noise

if TYPE_CHECKING:
    from .plugin import Variations


def varied(noise: Noise, options: Variations, down: Sequence[int]) -> Noise:
    """The noise with its starts mixed and resized as `options` say; `down` is pixels per latent, (high, wide).

    What the samplers draw later stays the seed's own, as in A1111.
    """
    shape = tuple(noise.start.shape[1:])
    drawn = _other_size(shape, options, down)
    starts = []
    for start, seed, index in zip(noise.start, noise.seeds, noise.indices, strict=True):
        mixed = start if drawn == shape else noise.source(seed)(drawn).to(start)
        if options.strength:
            other = noise.source((options.seed + index) % 2**64)(drawn).to(start)
            mixed = slerp(options.strength, mixed, other)
        starts.append(mixed if drawn == shape else placed(start, mixed))
    return replace(noise, start=torch.stack(starts))


def _other_size(shape: tuple[int, ...], options: Variations, down: Sequence[int]) -> tuple[int, ...]:
    """The shape of the noise that is drawn; `shape` itself unless it is that of a picture of another size."""
    if not options.resizes or len(shape) < 3:
        return shape
    return (*shape[:-2], max(1, options.resize_from_height // down[0]), max(1, options.resize_from_width // down[1]))


def slerp(amount: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Between two noises (…,H,W) on the sphere, column by column: each has its own angle (Shoemake 1985).

    A straight line would go through the sphere, where noise is weaker and pictures turn flat.
    """
    along = -2 if low.ndim > 1 else -1
    dot = (torch.nn.functional.normalize(low, dim=along) * torch.nn.functional.normalize(high, dim=along)).sum(
        along, keepdim=True
    )
    if dot.mean() > 0.9995:  # nearly the same: no angle to speak of
        return low * amount + high * (1 - amount)
    angle = torch.acos(dot)
    mixed: torch.Tensor = (torch.sin((1 - amount) * angle) * low + torch.sin(amount * angle) * high) / torch.sin(angle)
    return mixed


def placed(background: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """`noise` (…,h,w) in the middle of a copy of `background` (…,H,W); what sticks out is cut off on both sides."""
    result = background.clone()
    (high, from_high), (wide, from_wide) = (
        _middle(big, small) for big, small in zip(background.shape[-2:], noise.shape[-2:], strict=True)
    )
    result[..., high, wide] = noise[..., from_high, from_wide]
    return result


def _middle(big: int, small: int) -> tuple[slice, slice]:
    """(where in the big one, where in the small one)."""
    # Floored, not rounded towards zero: which of two middles is taken decides the picture.
    shift = (big - small) // 2
    length = small if shift >= 0 else small + 2 * shift
    start, skipped = max(shift, 0), max(-shift, 0)
    return slice(start, start + length), slice(skipped, skipped + length)
