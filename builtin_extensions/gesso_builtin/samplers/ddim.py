"""DDIM, DDPM and DDIM with CFG++."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Sampler, SamplerFn, Step, lazy
from gesso_builtin.samplers.options import EtaDDIMOptions
from gesso_builtin.samplers.steps import toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn

SAMPLERS = (
    Sampler(
        name="ddim",
        label="DDIM",
        run=lazy(".ddim:ddim", SamplerFn),
        options=EtaDDIMOptions,
        default_scheduler="ddim",
        timesteps=True,
        source="arXiv:2010.02502",
    ),
    Sampler(
        name="ddim_cfg_pp",
        label="DDIM CFG++",
        aliases=("ddim_cfgpp",),
        run=lazy(".ddim:ddim_cfg_pp", SamplerFn),
        options=EtaDDIMOptions,
        needs_uncond=True,
        default_scheduler="ddim",
        timesteps=True,
        source="arXiv:2406.08070",
    ),
    Sampler(
        name="ddpm",
        label="DDPM",
        run=lazy(".ddim:ddpm", SamplerFn),
        deterministic=False,
        source="arXiv:2006.11239",
    ),
)

CFG_PP_SCALE = 12.5
"""CFG scales of DDIM CFG++ are divided by this, so that the usual range of 1 … 12.5 stands for CFG++'s 0 … 1."""


def ddim(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaDDIMOptions | None = None,
) -> Tensor:
    """Denoising diffusion implicit models: the share η of fresh noise (Song et al. 2020, arXiv:2010.02502, eq. 12)."""
    return _ddim(denoise, x, sigmas, model, noise, on_step, (options or EtaDDIMOptions()).eta)


def ddpm(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: None = None,
) -> Tensor:
    """Steps of the posterior (Ho et al. 2020, arXiv:2006.11239), which is DDIM with η = 1."""
    return _ddim(denoise, x, sigmas, model, noise, on_step, 1.0)


def _ddim(
    denoise: DenoiseFn, x: Tensor, sigmas: Tensor, model: ModelSampling, noise: NoiseFn, on_step: StepFn, eta: float
) -> Tensor:
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = denoise(x, sigma).x0
        down = model.sde_step(sigma, following, eta)
        x = toward(x, x0, sigma, down)
        if eta and following > 0:
            x = model.renoise(x, down, following, noise(sigma, following))
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x


def ddim_cfg_pp(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaDDIMOptions | None = None,
) -> Tensor:
    """DDIM that goes on with the unconditional noise (CFG++, Chung et al. 2024, arXiv:2406.08070, algorithm 2)."""
    eta = (options or EtaDDIMOptions()).eta
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        prediction = denoise(x, sigma)
        free = prediction.x0 if prediction.uncond_x0 is None else prediction.uncond_x0
        x0 = free + (prediction.x0 - free) / CFG_PP_SCALE
        down = model.sde_step(sigma, following, eta)
        x = toward(x, free, sigma, down) + (x0 - free) * model.alpha(down)
        if eta and following > 0:
            x = model.renoise(x, down, following, noise(sigma, following))
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x
