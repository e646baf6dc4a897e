"""Euler's method, plain and ancestral."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Sampler, SamplerFn, Step, lazy
from gesso_builtin.samplers.options import ChurnOptions, EtaOptions
from gesso_builtin.samplers.steps import churn, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn

SAMPLERS = (
    Sampler(
        name="euler",
        label="Euler",
        aliases=("k_euler",),
        run=lazy(".euler:euler", SamplerFn),
        options=ChurnOptions,
        source="arXiv:2206.00364",
    ),
    Sampler(
        name="euler_ancestral",
        label="Euler a",
        aliases=("k_euler_a", "k_euler_ancestral"),
        run=lazy(".euler:euler_ancestral", SamplerFn),
        options=EtaOptions,
        uses_ensd=True,
        deterministic=False,
        source="https://github.com/crowsonkb/k-diffusion",
    ),
)


def euler(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: ChurnOptions | None = None,
) -> Tensor:
    """Euler steps of the probability-flow equation, with churn: Karras et al. 2022, algorithm 2, uncorrected."""
    options = options or ChurnOptions()
    steps = len(sigmas) - 1
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x, lifted = churn(x, sigma, steps, model, noise, options)
        x0 = denoise(x, lifted).x0
        x = toward(x, x0, lifted, following)
        on_step(Step(i, steps, sigma, following, x, x0))
    return x


def euler_ancestral(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """Euler steps that go below σ' and come back up by fresh noise (Song et al. 2020, arXiv:2011.13456)."""
    options = options or EtaOptions()
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = denoise(x, sigma).x0
        down = model.ancestral_step(sigma, following, options.eta)
        x = toward(x, x0, sigma, down)
        if following > 0:
            x = model.renoise(x, down, following, noise(sigma, following) * options.s_noise)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x
