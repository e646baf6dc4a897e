"""The moves every sampler here is made of. They hold for eps, v and flow models alike.

Both x = x₀ + σn and x = (1 − σ)x₀ + σn obey the probability-flow equation dx/dσ = (x − x₀(x, σ))/σ. Its exact solution
for a constant x₀ is `toward`: at once Euler's, DDIM's and DPM-Solver++'s first-order step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import ModelSampling, NoiseFn
    from gesso_builtin.samplers.options import ChurnOptions


def toward(x: Tensor, x0: Tensor, sigma: float, target: float) -> Tensor:
    """x (B,…) brought from σ to `target` on the straight line to x0; x0 itself for target 0."""
    if target == 0:
        return x0
    ratio = target / sigma
    return x * ratio + x0 * (1 - ratio)


def churn(
    x: Tensor, sigma: float, steps: int, model: ModelSampling, noise: NoiseFn, options: ChurnOptions
) -> tuple[Tensor, float]:
    """Karras et al. 2022, algorithm 2: lift x from σ to σ̂ = σ(1 + γ) by fresh noise. Returns x and σ̂.

    γ acts on σ/α, so that flow models, whose σ ends at 1, stay in range.
    """
    if not options.s_churn:
        return x, sigma
    # One draw a step, used or not: so a seed means what it means in A1111.
    fresh = noise(sigma, sigma)
    if not options.s_tmin <= sigma <= (options.s_tmax or math.inf):
        return x, sigma
    gamma = min(options.s_churn / steps, math.sqrt(2) - 1)
    lifted = model.from_half_log_snr(model.half_log_snr(sigma) - math.log1p(gamma))
    if lifted <= sigma:  # a flow model's first step is pure noise already
        return x, sigma
    return model.renoise(x, sigma, lifted, fresh * options.s_noise), lifted


def halfway(model: ModelSampling, sigma: float, target: float, share: float = 0.5) -> float:
    """The σ at `share` of the way from σ to `target` in half log-SNR."""
    start, end = model.half_log_snr(sigma), model.half_log_snr(target)
    return model.from_half_log_snr(start + share * (end - start))


def slope(x: Tensor, x0: Tensor, sigma: float) -> Tensor:
    """dx/dσ at (x, σ > 0)."""
    return (x - x0) / sigma


def lagrange_integrals(nodes: list[float], start: float, end: float) -> list[float]:
    """∫ Lⱼ from start to end for the Lagrange polynomials of at most 4 nodes, exact (Gauss-Legendre with 2 points)."""
    middle, half = (start + end) / 2, (end - start) / 2
    points = (middle - half / math.sqrt(3), middle + half / math.sqrt(3))
    return [half * sum(lagrange(nodes, j, point) for point in points) for j in range(len(nodes))]


def lagrange(nodes: list[float], j: int, at: float) -> float:
    """The polynomial that is 1 at node j and 0 at the others."""
    return math.prod((at - node) / (nodes[j] - node) for k, node in enumerate(nodes) if k != j)
