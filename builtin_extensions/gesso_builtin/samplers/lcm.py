"""Latent consistency models' sampler."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Sampler, SamplerFn, Step, lazy

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn

SAMPLERS = (
    Sampler(
        name="lcm",
        label="LCM",
        aliases=("k_lcm",),
        run=lazy(".lcm:lcm", SamplerFn),
        deterministic=False,
        source="arXiv:2310.04378",
    ),
)


def lcm(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: None = None,
) -> Tensor:
    """Estimate the picture, noise it again for the next σ (Luo et al. 2023, arXiv:2310.04378, algorithm 3)."""
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x = x0 = denoise(x, sigma).x0
        if following > 0:
            x = model.scale_noise(noise(sigma, following), following, x0)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x
