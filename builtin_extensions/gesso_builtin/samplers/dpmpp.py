"""DPM-Solver++ for the probability-flow equation: 2M, and 2S with ancestral noise (arXiv:2211.01095)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Sampler, SamplerFn, Step, lazy
from gesso_builtin.samplers.options import EtaOptions
from gesso_builtin.samplers.steps import halfway, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn

SAMPLERS = (
    Sampler(
        name="dpmpp_2m",
        label="DPM++ 2M",
        aliases=("k_dpmpp_2m",),
        run=lazy(".dpmpp:dpmpp_2m", SamplerFn),
        default_scheduler="karras",
        source="arXiv:2211.01095",
    ),
    Sampler(
        name="dpmpp_2s_ancestral",
        label="DPM++ 2S a",
        aliases=("k_dpmpp_2s_a",),
        run=lazy(".dpmpp:dpmpp_2s_ancestral", SamplerFn),
        options=EtaOptions,
        default_scheduler="karras",
        second_order=True,
        uses_ensd=True,
        deterministic=False,
        source="arXiv:2211.01095",
    ),
)


def dpmpp_2m(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: None = None,
) -> Tensor:
    """DPM-Solver++(2M): second order from the last two estimates, extrapolated in half log-SNR."""
    previous: tuple[Tensor, float] | None = None  # the last estimate and the width of its step
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = estimate = denoise(x, sigma).x0
        if following > 0:
            h = model.half_log_snr(following) - model.half_log_snr(sigma)
            if previous is not None:
                before, h_before = previous
                estimate = x0 + (x0 - before) * (h / (2 * h_before))
            previous = x0, h
        x = toward(x, estimate, sigma, following)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x


def dpmpp_2s_ancestral(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """DPM-Solver++(2S): a second estimate in the middle of each step, then ancestral noise."""
    options = options or EtaOptions()
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = estimate = denoise(x, sigma).x0
        down = model.ancestral_step(sigma, following, options.eta)
        if down > 0:
            middle = halfway(model, sigma, down)
            estimate = denoise(toward(x, x0, sigma, middle), middle).x0
        x = toward(x, estimate, sigma, down)
        if following > 0:
            x = model.renoise(x, down, following, noise(sigma, following) * options.s_noise)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x
