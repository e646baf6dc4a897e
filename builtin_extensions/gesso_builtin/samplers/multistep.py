"""Linear multistep methods of the Adams-Bashforth kind: LMS, IPNDM, IPNDM_V, PLMS."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Params, Sampler, SamplerFn, Step, lazy, param
from gesso_builtin.samplers.steps import lagrange_integrals, slope, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn


class OrderOptions(Params):
    """How many slopes are remembered."""

    order: int = param(4, ge=1, le=4, label="Order", infotext="Solver order", advanced=True)


SAMPLERS = (
    Sampler(
        name="lms",
        label="LMS",
        aliases=("k_lms",),
        run=lazy(".multistep:lms", SamplerFn),
        options=OrderOptions,
        source="https://github.com/crowsonkb/k-diffusion",
    ),
    Sampler(
        name="ipndm",
        label="IPNDM",
        run=lazy(".multistep:ipndm", SamplerFn),
        options=OrderOptions,
        source="arXiv:2202.09778",
    ),
    Sampler(
        name="ipndm_v",
        label="IPNDM_V",
        run=lazy(".multistep:ipndm_v", SamplerFn),
        options=OrderOptions,
        source="arXiv:2204.13902",
    ),
    Sampler(
        name="plms",
        label="PLMS",
        run=lazy(".multistep:plms", SamplerFn),
        default_scheduler="ddim",
        timesteps=True,
        source="arXiv:2202.09778",
    ),
)

ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
"""Weights of the newest and the earlier slopes for even steps, by order."""

Weights = Callable[[list[float], float], list[float]]
"""(levels of the remembered slopes, newest first; σ') → the weight of each slope, step width included."""


def lms(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: OrderOptions | None = None,
) -> Tensor:
    """Adams-Bashforth on the sigmas as they are: the interpolation of the last slopes is integrated exactly."""

    def weights(levels: list[float], following: float) -> list[float]:
        return lagrange_integrals(levels, levels[0], following)

    return _multistep(denoise, x, sigmas, on_step, (options or OrderOptions()).order, weights)


def ipndm(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: OrderOptions | None = None,
) -> Tensor:
    """Adams-Bashforth with the weights of even steps (PNDM, arXiv:2202.09778, without its Runge-Kutta start)."""

    def weights(levels: list[float], following: float) -> list[float]:
        return [(following - levels[0]) * weight for weight in ADAMS_BASHFORTH[len(levels) - 1]]

    return _multistep(denoise, x, sigmas, on_step, (options or OrderOptions()).order, weights)


def ipndm_v(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: OrderOptions | None = None,
) -> Tensor:
    """Adams-Bashforth for uneven steps with the published weights (https://github.com/zju-pi/diff-sampler).

    From the third slope on these weights are exact for even steps only; LMS has the exact ones.
    """
    return _multistep(denoise, x, sigmas, on_step, (options or OrderOptions()).order, _uneven)


def _uneven(levels: list[float], following: float) -> list[float]:
    """The weights of IPNDM_V: each order adds to the one below a share of the divided difference of the slopes."""
    h = following - levels[0]
    if len(levels) == 1:
        return [h]
    one = levels[0] - levels[1]
    weights = [1 + h / one / 2, -h / one / 2]
    if len(levels) > 2:
        two = levels[1] - levels[2]
        third = (1 - h * h / (3 * one * (one + two))) / 2
        weights = [weights[0] + third, weights[1] - (1 + one / two) * third, third * one / two]
    if len(levels) > 3:
        two, three = levels[1] - levels[2], levels[2] - levels[3]
        span = h * (h + one) * (h + one + two) / (one * (one + two) * (one + two + three))
        half = (1 - h / (3 * (h + one))) / 2
        fourth = (half + (1 - h / (2 * (h + one))) * h / (6 * (h + one + two))) * span
        far = one * (one + two) / (two * (two + three))
        weights = [
            weights[0] + fourth,
            weights[1] - (1 + one / two + far) * fourth,
            weights[2] + (one / two + far * (1 + two / three)) * fourth,
            -fourth * far * one / two,
        ]
    return [h * weight for weight in weights]


def _multistep(denoise: DenoiseFn, x: Tensor, sigmas: Tensor, on_step: StepFn, order: int, weights: Weights) -> Tensor:
    """Steps along a weighted sum of the last `order` slopes; the last step, to 0, takes the estimate."""
    levels = sigmas.tolist()
    slopes: list[Tensor] = []  # newest first
    for i, (sigma, following) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma).x0
        slopes = [slope(x, x0, sigma), *slopes[: order - 1]]
        if following > 0:
            seen = levels[i::-1][: len(slopes)]
            for weight, past in zip(weights(seen, following), slopes, strict=True):
                x = x + past * weight
        else:
            x = x0
        on_step(Step(i, len(levels) - 1, sigma, following, x, x0))
    return x


def plms(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: None = None,
) -> Tensor:
    """Pseudo linear multistep (Liu et al. 2022, arXiv:2202.09778): as IPNDM, but the first step is Heun's."""
    slopes: list[Tensor] = []  # newest first
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = denoise(x, sigma).x0
        slopes = [slope(x, x0, sigma), *slopes[:3]]
        direction = slopes[0]
        if following == 0:
            x = x0
        elif len(slopes) == 1:
            euler = toward(x, x0, sigma, following)
            ahead = slope(euler, denoise(euler, following).x0, following)
            x = x + (direction + ahead) * ((following - sigma) / 2)
        else:
            for weight, past in zip(ADAMS_BASHFORTH[len(slopes) - 1], slopes, strict=True):
                x = x + past * (weight * (following - sigma))
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x
