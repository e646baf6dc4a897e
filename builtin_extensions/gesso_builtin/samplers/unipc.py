"""UniPC: a unified predictor-corrector framework (Zhao et al. 2023, arXiv:2302.04867)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from gesso import Params, Sampler, SamplerFn, Step, lazy, param
from gesso_builtin.samplers.steps import toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn


class UniPCOptions(Params):
    """Options under the names A1111 gives them."""

    order: int = param(3, ge=1, le=6, label="UniPC order", infotext="UniPC order", advanced=True)
    variant: Literal["bh1", "bh2"] = param("bh1", choices=("bh1", "bh2"), label="UniPC variant",
                                           infotext="UniPC variant", advanced=True)  # fmt: skip
    lower_order_final: bool = param(True, label="UniPC lower order final", infotext="UniPC lower order final",
                                    advanced=True)  # fmt: skip


SAMPLERS = (
    Sampler(
        name="uni_pc",
        label="UniPC",
        run=lazy(".unipc:uni_pc", SamplerFn),
        options=UniPCOptions,
        default_scheduler="sgm_uniform",
        timesteps=True,
        source="arXiv:2302.04867",
    ),
)


class _Move(NamedTuple):
    """A prediction made: from x at σ with a history of estimates (newest first), to be corrected with x0 at σ'."""

    x: Tensor
    sigma: float
    following: float
    estimates: list[Tensor]
    levels: list[float]


def uni_pc(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: UniPCOptions | None = None,
) -> Tensor:
    """UniPC-p on data prediction: each estimate first corrects the step that led to it, then predicts the next one."""
    options = options or UniPCOptions()
    levels = sigmas.tolist()
    steps = len(levels) - 1
    estimates: list[Tensor] = []  # newest first
    move: _Move | None = None
    for i, (sigma, following) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma).x0
        # From pure noise a step has no finite width in log-SNR, so there is nothing to correct by.
        if move is not None and model.alpha(move.sigma) > 1e-5:
            x = _step(move, x0, model, options.variant)
        estimates = [x0, *estimates[: options.order - 1]]
        order = min(options.order, steps - i) if options.lower_order_final else options.order
        move = _Move(x, sigma, following, estimates[:order], levels[i::-1][: min(len(estimates), order)])
        x = x0 if following == 0 else _step(move, None, model, options.variant)
        on_step(Step(i, steps, sigma, following, x, x0))
    return x


def _step(move: _Move, x0_next: Tensor | None, model: ModelSampling, variant: str) -> Tensor:
    """The move's x at σ': predicted (`x0_next` None) or corrected by the estimate there (eq. 3 and 8)."""
    newest, start = move.estimates[0], model.half_log_snr(move.sigma)
    h = model.half_log_snr(move.following) - start
    x = toward(move.x, newest, move.sigma, move.following)
    ratios = [(model.half_log_snr(level) - start) / h for level in move.levels[1:]]
    differences = [(past - newest) / ratio for past, ratio in zip(move.estimates[1:], ratios, strict=True)]
    if x0_next is not None:
        ratios, differences = [*ratios, 1.0], [*differences, x0_next - newest]
    scale = -h if variant == "bh1" else math.expm1(-h)
    for share, difference in zip(_shares(ratios, h, scale), differences, strict=True):
        x = x - difference * (model.alpha(move.following) * scale * share)
    return x


def _shares(ratios: list[float], h: float, scale: float) -> list[float]:
    """How much of each difference enters: the solution of Σ rₖⁱ⁻¹ aₖ = bᵢ (arXiv:2302.04867, theorem 3.1)."""
    if len(ratios) == 1:
        return [0.5]  # degenerate case of the paper's section 3.4: independent of h
    import numpy as np

    right, phi, factorial = [], math.expm1(-h) / -h - 1, 1
    for i in range(1, len(ratios) + 1):
        right.append(phi * factorial / scale)
        factorial *= i + 1
        phi = phi / -h - 1 / factorial
    powers = np.vander(ratios, increasing=True).T
    return [float(share) for share in np.linalg.solve(powers, right)]
