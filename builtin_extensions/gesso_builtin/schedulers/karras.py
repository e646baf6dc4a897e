"""Schedules that are a formula between two ends: Karras, exponential, polyexponential, KL optimal, linear-quadratic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gesso import ScheduleFn, Scheduler, lazy, param
from gesso_builtin.schedulers.options import RangeOptions, RhoOptions
from gesso_builtin.schedulers.shape import ended, ramp

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import ModelSampling

KARRAS_RHO = 7.0
POLYEXPONENTIAL_RHO = 1.0


class LinearQuadraticOptions(RangeOptions):
    """Options of the linear-quadratic schedule."""

    threshold: float = param(0.025, gt=0, lt=0.5, step=0.005, label="Linear part", infotext="Schedule linear part",
                             advanced=True, description="Share of the noise the linear half takes away.")  # fmt: skip


SCHEDULERS = (
    Scheduler(
        name="karras",
        label="Karras",
        run=lazy(".karras:karras", ScheduleFn),
        options=RhoOptions,
        default_rho=KARRAS_RHO,
        source="arXiv:2206.00364",
    ),
    Scheduler(
        name="exponential",
        label="Exponential",
        run=lazy(".karras:exponential", ScheduleFn),
        options=RangeOptions,
        source="https://github.com/crowsonkb/k-diffusion",
    ),
    Scheduler(
        name="polyexponential",
        label="Polyexponential",
        run=lazy(".karras:polyexponential", ScheduleFn),
        options=RhoOptions,
        default_rho=POLYEXPONENTIAL_RHO,
        source="https://github.com/crowsonkb/k-diffusion",
    ),
    Scheduler(
        name="kl_optimal",
        label="KL Optimal",
        run=lazy(".karras:kl_optimal", ScheduleFn),
        options=RangeOptions,
        source="arXiv:2404.14507",
    ),
    Scheduler(
        name="linear_quadratic",
        label="Linear Quadratic",
        run=lazy(".karras:linear_quadratic", ScheduleFn),
        options=LinearQuadraticOptions,
        source="https://github.com/genmoai/mochi",
    ),
)


def karras(n: int, *, model: ModelSampling, size: tuple[int, int], options: RhoOptions | None = None) -> Tensor:
    """σ^(1/ρ) falls evenly: Karras et al. 2022 (arXiv:2206.00364), eq. 5."""
    options = options or RhoOptions()
    low, high = options.ends(model)
    rho = options.rho or KARRAS_RHO
    return ended((root**rho for root in ramp(high ** (1 / rho), low ** (1 / rho), n)), model)


def exponential(n: int, *, model: ModelSampling, size: tuple[int, int], options: RangeOptions | None = None) -> Tensor:
    """log σ falls evenly."""
    low, high = (options or RangeOptions()).ends(model)
    return ended(map(math.exp, ramp(math.log(high), math.log(low), n)), model)


def polyexponential(
    n: int, *, model: ModelSampling, size: tuple[int, int], options: RhoOptions | None = None
) -> Tensor:
    """log σ falls as the ρ-th power of an even ramp; ρ = 1 is the exponential schedule."""
    options = options or RhoOptions()
    low, high = options.ends(model)
    rho = options.rho or POLYEXPONENTIAL_RHO
    return ended((low * (high / low) ** (place**rho) for place in ramp(1.0, 0.0, n)), model)


def kl_optimal(n: int, *, model: ModelSampling, size: tuple[int, int], options: RangeOptions | None = None) -> Tensor:
    """arctan σ falls evenly: optimal for Gaussian data (Sabour et al. 2024, arXiv:2404.14507, theorem 3.1)."""
    low, high = (options or RangeOptions()).ends(model)
    return ended(map(math.tan, ramp(math.atan(high), math.atan(low), n)), model)


def linear_quadratic(
    n: int, *, model: ModelSampling, size: tuple[int, int], options: LinearQuadraticOptions | None = None
) -> Tensor:
    """The first half takes away a small share of the noise evenly, the second the rest along a parabola."""
    options = options or LinearQuadraticOptions()
    _, high = options.ends(model)
    share, even = options.threshold, max(n // 2, 1)
    slope, curved = share / even, n - even
    bend = (1 - share - slope * curved) / curved**2 if curved else 0.0
    removed = [i * slope if i < even else share + slope * (i - even) + bend * (i - even) ** 2 for i in range(n)]
    return ended((high * (1 - gone) for gone in removed), model)
