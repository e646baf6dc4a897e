"""Heun's method and Heun++ 2."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Sampler, SamplerFn, Step, lazy
from gesso_builtin.samplers.options import ChurnOptions
from gesso_builtin.samplers.steps import churn, slope, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn

SAMPLERS = (
    Sampler(
        name="heun",
        label="Heun",
        aliases=("k_heun",),
        run=lazy(".heun:heun", SamplerFn),
        options=ChurnOptions,
        second_order=True,
        source="arXiv:2206.00364",
    ),
    Sampler(
        name="heunpp2",
        label="HeunPP2",
        run=lazy(".heun:heunpp2", SamplerFn),
        options=ChurnOptions,
        source="https://github.com/Carzit/sd-webui-samplers-scheduler",
    ),
)


def heun(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: ChurnOptions | None = None,
) -> Tensor:
    """Heun's second-order method with churn: Karras et al. 2022 (arXiv:2206.00364), algorithm 2."""
    options = options or ChurnOptions()
    steps = len(sigmas) - 1
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x, lifted = churn(x, sigma, steps, model, noise, options)
        x0 = denoise(x, lifted).x0
        euler = toward(x, x0, lifted, following)
        if following > 0:
            ahead = slope(euler, denoise(euler, following).x0, following)
            x = x + (slope(x, x0, lifted) + ahead) * ((following - lifted) / 2)
        else:
            x = euler
        on_step(Step(i, steps, sigma, following, x, x0))
    return x


def heunpp2(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: ChurnOptions | None = None,
) -> Tensor:
    """Slopes at this and the next one or two sigmas, weighted by σ/σ₀: more looking ahead where there is more noise.

    Third-party method without a paper. The weights are the published ones and make it first order.
    """
    options = options or ChurnOptions()
    levels = sigmas.tolist()
    steps = len(levels) - 1
    for i, (sigma, following) in enumerate(pairwise(levels)):
        x, lifted = churn(x, sigma, steps, model, noise, options)
        x0 = denoise(x, lifted).x0
        ahead = levels[i + 1 : min(i + 3, steps)]
        direction = slope(x, x0, lifted)
        if ahead:
            scale = (len(ahead) + 1) * levels[0]
            mixed = direction * (1 - sum(ahead) / scale)
            probe, last, at = x, direction, lifted
            for level in ahead:
                probe = probe + last * (level - at)
                last, at = slope(probe, denoise(probe, level).x0, level), level
                mixed = mixed + last * (level / scale)
            direction = mixed
        x = x + direction * (following - lifted) if following > 0 else x0
        on_step(Step(i, steps, sigma, following, x, x0))
    return x
