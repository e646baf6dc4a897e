"""DEIS: diffusion exponential integrator sampler (Zhang and Chen 2022, arXiv:2204.13902)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Params, Sampler, SamplerFn, Step, lazy, param
from gesso_builtin.samplers.steps import lagrange, slope

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn


class DEISOptions(Params):
    """How many slopes are remembered."""

    order: int = param(3, ge=1, le=4, label="Order", infotext="Solver order", advanced=True)


SAMPLERS = (
    Sampler(
        name="deis",
        label="DEIS",
        run=lazy(".deis:deis", SamplerFn),
        options=DEISOptions,
        source="arXiv:2204.13902",
    ),
)

SIGMA_MIN, SIGMA_MAX, T_MIN = 0.002, 80.0, 1e-3
"""The linear variance-preserving process whose time the slopes are interpolated in: σ = 0.002 at t = 0.001, 80 at 1."""
BETA_D = 2 * (math.log1p(SIGMA_MIN**2) / T_MIN - math.log1p(SIGMA_MAX**2)) / (T_MIN - 1)
BETA_MIN = math.log1p(SIGMA_MAX**2) - BETA_D / 2

GAUSS = tuple(
    zip(
        (-0.9602898564975363, -0.7966664774136267, -0.525532409916329, -0.1834346424956498),
        (0.1012285362903763, 0.2223810344533745, 0.3137066458778873, 0.362683783378362),
        strict=True,
    )
)
"""Gauss-Legendre points and weights of order 8; the other half has the points' signs turned."""


def deis(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: DEISOptions | None = None,
) -> Tensor:
    """tAB-DEIS: the last slopes are interpolated in the time t of a linear VP process and integrated over σ."""
    order = (options or DEISOptions()).order
    levels = sigmas.tolist()
    slopes: list[Tensor] = []  # newest first
    for i, (sigma, following) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma).x0
        slopes = [slope(x, x0, sigma), *slopes[: order - 1]]
        if following > 0:
            for weight, past in zip(weights(levels[i::-1][: len(slopes)], following), slopes, strict=True):
                x = x + past * weight
        else:
            x = x0
        on_step(Step(i, len(levels) - 1, sigma, following, x, x0))
    return x


def weights(levels: list[float], following: float) -> list[float]:
    """∫ Lⱼ(t(σ)) dσ from levels[0] to `following`, Lⱼ the Lagrange polynomials over the times of `levels`."""
    if len(levels) == 1:
        return [following - levels[0]]
    times = [_time(level) for level in levels]
    middle, half = (_time(following) + times[0]) / 2, (_time(following) - times[0]) / 2
    points = [(middle + sign * half * point, half * share) for point, share in GAUSS for sign in (-1, 1)]
    return [sum(share * _speed(t) * lagrange(times, j, t) for t, share in points) for j in range(len(levels))]


def _time(sigma: float) -> float:
    """t(σ), from log(1 + σ²) = β_d t²/2 + β_min t."""
    return (math.sqrt(BETA_MIN**2 + 2 * BETA_D * math.log1p(sigma**2)) - BETA_MIN) / BETA_D


def _speed(t: float) -> float:
    """dσ/dt."""
    grown = BETA_D * t**2 / 2 + BETA_MIN * t
    return (BETA_D * t + BETA_MIN) * math.exp(grown) / (2 * math.sqrt(math.expm1(grown)))
