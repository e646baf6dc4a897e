"""Building a schedule's tensor without importing torch here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import ModelSampling


def ramp(start: float, end: float, count: int) -> list[float]:
    """`count` evenly spaced numbers from start to end; just the start for one."""
    return [start + (end - start) * i / (count - 1) for i in range(count)] if count > 1 else [start]


def ended(sigmas: Iterable[float], model: ModelSampling) -> Tensor:
    """A schedule (n+1,) float64 on the CPU: the sigmas and the final 0."""
    return model.sigmas.new_tensor([*sigmas, 0.0])
