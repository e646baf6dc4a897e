"""Restart sampling (Xu et al. 2023, arXiv:2306.14878)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Params, Sampler, SamplerFn, Step, lazy, param
from gesso_builtin.samplers.steps import slope, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn


class RestartOptions(Params):
    """Fresh noise of the restarts."""

    s_noise: float = param(1.0, ge=0, le=2, step=0.001, label="Sigma noise", infotext="Sigma noise", api="s_noise",
                           advanced=True, description="Factor on the fresh noise.")  # fmt: skip


SAMPLERS = (
    Sampler(
        name="restart",
        label="Restart",
        run=lazy(".restart:restart", SamplerFn),
        options=RestartOptions,
        default_scheduler="karras",
        second_order=True,
        deterministic=False,
        source="arXiv:2306.14878",
    ),
)

RESTART_FROM, RESTART_TO = 0.1, 2.0
"""σ/α at which a restart begins and up to which it noises."""


def restart(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: RestartOptions | None = None,
) -> Tensor:
    """Heun steps; from 20 on some of them are spent on going back up by noise and down again (arXiv:2306.14878).

    With restarts the schedule is Karras's between the given ends, as in A1111.
    """
    options = options or RestartOptions()
    moves = _moves(sigmas.tolist(), model)
    at = moves[0][0]
    for i, (sigma, following) in enumerate(moves):
        if sigma > at:
            x = model.renoise(x, at, sigma, noise(at, sigma) * options.s_noise)
        x0 = denoise(x, sigma).x0
        euler = toward(x, x0, sigma, following)
        if following > 0:
            ahead = slope(euler, denoise(euler, following).x0, following)
            x = x + (slope(x, x0, sigma) + ahead) * ((following - sigma) / 2)
        else:
            x = euler
        at = following
        on_step(Step(i, len(moves), sigma, following, x, x0))
    return x


def _moves(levels: list[float], model: ModelSampling) -> list[tuple[float, float]]:
    """All steps (σ, σ') in order, restarts included: 9 steps once from 20 on, a quarter of them twice from 36 on."""
    steps = len(levels) - 1
    if steps < 20:
        return list(pairwise(levels))
    again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    levels = [*_karras(steps - again * times, levels[-2], levels[0]), levels[-1]]
    bottom, top = (_nearest(levels, model.from_half_log_snr(-math.log(k))) for k in (RESTART_FROM, RESTART_TO))
    moves = list(pairwise(levels))
    if top >= bottom:
        return moves
    loop = list(pairwise(_karras(again + 1, levels[bottom], levels[top])))
    return moves[:bottom] + loop * times + moves[bottom:]


def _karras(count: int, low: float, high: float, rho: float = 7.0) -> list[float]:
    low, high = low ** (1 / rho), high ** (1 / rho)
    return [(high + (low - high) * i / max(count - 1, 1)) ** rho for i in range(count)]


def _nearest(levels: list[float], sigma: float) -> int:
    return min(range(len(levels)), key=lambda i: abs(levels[i] - sigma))
