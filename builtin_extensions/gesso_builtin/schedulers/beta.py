"""The Beta schedule (Lee et al. 2024, arXiv:2407.12173)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gesso import ScheduleFn, Scheduler, lazy, param
from gesso_builtin.schedulers.options import RangeOptions
from gesso_builtin.schedulers.shape import ended, ramp

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import ModelSampling


class BetaOptions(RangeOptions):
    """The two shape parameters of the beta distribution."""

    alpha: float = param(0.6, ge=0.01, le=5, step=0.01, label="Beta schedule alpha", infotext="Beta schedule alpha",
                         advanced=True, description="Smaller puts more steps at the end.")  # fmt: skip
    beta: float = param(0.6, ge=0.01, le=5, step=0.01, label="Beta schedule beta", infotext="Beta schedule beta",
                        advanced=True, description="Smaller puts more steps at the start.")  # fmt: skip

    @classmethod
    def from_infotext(cls, pairs: Mapping[str, str]) -> dict[str, Any]:
        # A1111 writes "Beta schedule …" and reads "Beta scheduler …".
        renamed = {key.replace("Beta scheduler ", "Beta schedule "): value for key, value in pairs.items()}
        return super().from_infotext(renamed)

    @classmethod
    def infotext_keys(cls) -> tuple[str, ...]:
        return (*super().infotext_keys(), "Beta scheduler alpha", "Beta scheduler beta")


SCHEDULERS = (
    Scheduler(
        name="beta",
        label="Beta",
        run=lazy(".beta:beta", ScheduleFn),
        options=BetaOptions,
        source="arXiv:2407.12173",
    ),
)


def beta(n: int, *, model: ModelSampling, size: tuple[int, int], options: BetaOptions | None = None) -> Tensor:
    """σ at even quantiles of a beta distribution between the ends, as A1111 and Forge do it."""
    options = options or BetaOptions()
    low, high = options.ends(model)
    places = (beta_quantile(share, options.alpha, options.beta) for share in ramp(1.0, 0.0, n))
    return ended((low + place * (high - low) for place in places), model)


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x in [0, 1] below which `share` of a beta(a, b) distribution lies: bisection on the regularised integral."""
    if share <= 0 or share >= 1:
        return float(share >= 1)
    # The series holds below 1/2, and near 1 a float is too coarse for x itself: there we look for 1 − x.
    mirrored = share > _integral(0.5, a, b)
    if mirrored:
        share, a, b = 1 - share, b, a
    low, high = -740.0, math.log(0.5)  # in log x, for a small `a` makes x tiny
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _integral(math.exp(middle), a, b) < share else (low, middle)
    x = math.exp(0.5 * (low + high))
    return 1 - x if mirrored else x


def _integral(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for x ≤ 1/2, by its power series (DLMF 8.17.7, 15.2.1)."""
    log_scale = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    term = total = 1.0
    k = 0
    while term > 1e-17 * total:
        term *= x * (a + b + k) / (a + 1 + k)
        total += term
        k += 1
    return math.exp(log_scale) / a * total
