"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598) with composable prompts and rescale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from gesso import CondEntry, PredictFn, Prediction

if TYPE_CHECKING:
    from .plugin import CfgOptions


def guide(
    predict: PredictFn,
    x: torch.Tensor,
    sigma: float,
    *,
    positive: Sequence[CondEntry],
    negative: Sequence[CondEntry],
    scale: float,
    options: CfgOptions,
) -> Prediction:
    """uncond + scale · Σ wᵢ·(condᵢ − uncond); one network call when the scale is 1 and there is one plain prompt."""
    if scale == 1 and len(positive) == 1 and positive[0].weight == 1:
        x0 = predict(x, sigma, positive)[0]
        return Prediction(x0, x0, None)
    parts = predict(x, sigma, [*positive, *negative])
    conds, unconds = parts[: len(positive)], parts[len(positive) :]
    uncond = unconds[0] if len(unconds) == 1 else torch.stack(unconds).mean(0)
    if len(conds) == 1 and positive[0].weight == 1:
        cond = conds[0]
    else:
        cond = uncond + sum(entry.weight * (part - uncond) for entry, part in zip(positive, conds, strict=True))
    x0 = torch.lerp(uncond, cond, scale)
    if options.rescale:
        x0 = rescaled(x0, cond, options.rescale)
    return Prediction(x0, cond, uncond)


def rescaled(x0: torch.Tensor, cond: torch.Tensor, amount: float) -> torch.Tensor:
    """Mix x0 (B,…) with itself scaled to the conditional prediction's per-image standard deviation."""
    axes = tuple(range(1, x0.ndim))
    factor = cond.std(axes, keepdim=True) / x0.std(axes, keepdim=True)
    return x0 * (amount * factor + (1 - amount))
