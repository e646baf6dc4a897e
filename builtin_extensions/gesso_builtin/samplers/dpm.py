"""DPM2: a second-order step through the geometric middle of each pair of sigmas."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Sampler, SamplerFn, Step, lazy
from gesso_builtin.samplers.options import ChurnOptions, EtaOptions
from gesso_builtin.samplers.steps import churn, slope, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn

SAMPLERS = (
    Sampler(
        name="dpm_2",
        label="DPM2",
        aliases=("k_dpm_2",),
        run=lazy(".dpm:dpm_2", SamplerFn),
        options=ChurnOptions,
        default_scheduler="karras",
        second_order=True,
        discard_penultimate=True,
        source="arXiv:2206.00364",
    ),
    Sampler(
        name="dpm_2_ancestral",
        label="DPM2 a",
        aliases=("k_dpm_2_a", "k_dpm_2_ancestral"),
        run=lazy(".dpm:dpm_2_ancestral", SamplerFn),
        options=EtaOptions,
        default_scheduler="karras",
        second_order=True,
        discard_penultimate=True,
        uses_ensd=True,
        deterministic=False,
        source="arXiv:2206.00364",
    ),
)


def dpm_2(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: ChurnOptions | None = None,
) -> Tensor:
    """The midpoint method with churn (after Karras et al. 2022 and DPM-Solver-2, arXiv:2206.00927)."""
    options = options or ChurnOptions()
    steps = len(sigmas) - 1
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x, lifted = churn(x, sigma, steps, model, noise, options)
        x0 = denoise(x, lifted).x0
        x = _midpoint(denoise, x, x0, lifted, following)
        on_step(Step(i, steps, sigma, following, x, x0))
    return x


def dpm_2_ancestral(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """The midpoint method with ancestral noise."""
    options = options or EtaOptions()
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = denoise(x, sigma).x0
        down = model.ancestral_step(sigma, following, options.eta)
        x = _midpoint(denoise, x, x0, sigma, down)
        if following > 0:
            x = model.renoise(x, down, following, noise(sigma, following) * options.s_noise)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x


def _midpoint(denoise: DenoiseFn, x: Tensor, x0: Tensor, sigma: float, target: float) -> Tensor:
    if target == 0:
        return x0
    middle = math.sqrt(sigma * target)
    probe = toward(x, x0, sigma, middle)
    return x + slope(probe, denoise(probe, middle).x0, middle) * (target - sigma)
