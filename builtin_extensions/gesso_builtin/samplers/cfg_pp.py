"""Samplers with CFG++: guidance moves the estimate, the noise stays the unconditional one (arXiv:2406.08070).

CFG scales for these are low: 0.5 to 2.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Sampler, SamplerFn, Step, lazy
from gesso_builtin.samplers.options import EtaOptions
from gesso_builtin.samplers.steps import halfway, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, Prediction, StepFn

SAMPLERS = (
    Sampler(
        name="euler_cfg_pp",
        label="Euler CFG++",
        run=lazy(".cfg_pp:euler_cfg_pp", SamplerFn),
        needs_uncond=True,
        source="arXiv:2406.08070",
    ),
    Sampler(
        name="euler_ancestral_cfg_pp",
        label="Euler a CFG++",
        run=lazy(".cfg_pp:euler_ancestral_cfg_pp", SamplerFn),
        needs_uncond=True,
        options=EtaOptions,
        uses_ensd=True,
        deterministic=False,
        source="arXiv:2406.08070",
    ),
    Sampler(
        name="dpmpp_2m_cfg_pp",
        label="DPM++ 2M CFG++",
        run=lazy(".cfg_pp:dpmpp_2m_cfg_pp", SamplerFn),
        needs_uncond=True,
        default_scheduler="karras",
        source="arXiv:2406.08070",
    ),
    Sampler(
        name="dpmpp_2s_ancestral_cfg_pp",
        label="DPM++ 2S a CFG++",
        run=lazy(".cfg_pp:dpmpp_2s_ancestral_cfg_pp", SamplerFn),
        needs_uncond=True,
        options=EtaOptions,
        default_scheduler="karras",
        second_order=True,
        uses_ensd=True,
        deterministic=False,
        source="arXiv:2406.08070",
    ),
)


def unguided(prediction: Prediction) -> Tensor:
    """The estimate without guidance; the only one there is for a model that knows no negative prompt."""
    return prediction.x0 if prediction.uncond_x0 is None else prediction.uncond_x0


def euler_cfg_pp(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: None = None,
) -> Tensor:
    """Euler steps with CFG++."""
    quiet = EtaOptions(eta=0.0)
    return euler_ancestral_cfg_pp(denoise, x, sigmas, model=model, noise=noise, on_step=on_step, options=quiet)


def euler_ancestral_cfg_pp(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """Euler steps with CFG++ and fresh noise."""
    options = options or EtaOptions()
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        prediction = denoise(x, sigma)
        x0, free = prediction.x0, unguided(prediction)
        down = model.sde_step(sigma, following, options.eta)
        x = toward(x, free, sigma, down) + (x0 - free) * model.alpha(down)
        if options.eta and following > 0:
            x = model.renoise(x, down, following, noise(sigma, following) * options.s_noise)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x


def dpmpp_2m_cfg_pp(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: None = None,
) -> Tensor:
    """DPM-Solver++(2M) with CFG++: unguided estimates are extrapolated, guidance is added after each step."""
    previous: tuple[Tensor, float] | None = None  # the last unguided estimate and the width of its step
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        prediction = denoise(x, sigma)
        x0, free = prediction.x0, unguided(prediction)
        estimate = free
        if following > 0:
            h = model.half_log_snr(following) - model.half_log_snr(sigma)
            if previous is not None:
                before, h_before = previous
                # The guided estimate minus the last unguided one, as ComfyUI has it.
                estimate = free + (x0 - before) * (h / (2 * h_before))
            previous = free, h
        x = toward(x, estimate, sigma, following) + (x0 - free) * model.alpha(following)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x


def dpmpp_2s_ancestral_cfg_pp(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """DPM-Solver++(2S) with CFG++ and fresh noise."""
    options = options or EtaOptions()
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        prediction = denoise(x, sigma)
        x0 = prediction.x0
        estimate = free = unguided(prediction)
        down = model.ancestral_step(sigma, following, options.eta)
        if down > 0:
            middle = halfway(model, sigma, down)
            estimate = unguided(denoise(toward(x, free, sigma, middle), middle))
        x = toward(x, estimate, sigma, down)
        if following > 0:
            x = model.renoise(x, down, following, noise(sigma, following) * options.s_noise)
        x = x + (x0 - free) * model.alpha(following)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x
