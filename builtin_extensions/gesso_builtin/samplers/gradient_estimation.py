"""Gradient estimation (Permenter and Yuan 2024, arXiv:2306.04848)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from gesso import Params, Sampler, SamplerFn, Step, lazy, param
from gesso_builtin.samplers.steps import slope, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn


class GradientEstimationOptions(Params):
    """How far the change of the slope is carried on."""

    gamma: float = param(2.0, ge=0, le=5, step=0.05, label="Gamma", infotext="GE gamma", advanced=True,
                         description="1 is Euler's method; 2 is the paper's.")  # fmt: skip


SAMPLERS = (
    Sampler(
        name="gradient_estimation",
        label="Gradient Estimation",
        run=lazy(".gradient_estimation:gradient_estimation", SamplerFn),
        options=GradientEstimationOptions,
        source="arXiv:2306.04848",
    ),
)


def gradient_estimation(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: GradientEstimationOptions | None = None,
) -> Tensor:
    """Euler steps along γ · slope + (1 − γ) · last slope (arXiv:2306.04848, algorithm 2)."""
    options = options or GradientEstimationOptions()
    last: Tensor | None = None
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = denoise(x, sigma).x0
        direction = slope(x, x0, sigma)
        x = toward(x, x0, sigma, following)
        if last is not None and following > 0:
            x = x + (direction - last) * ((options.gamma - 1) * (following - sigma))
        last = direction
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x
