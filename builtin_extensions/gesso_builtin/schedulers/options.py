"""The options schedules share. 0 means the model's or the schedule's own value, as in A1111."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesso import InvalidInputError, Params, param

if TYPE_CHECKING:
    from gesso import ModelSampling


class RangeOptions(Params):
    """The ends of a schedule."""

    sigma_min: float = param(0.0, ge=0, le=60, step=0.001, label="Sigma min", infotext="Schedule min sigma",
                             advanced=True, description="The last σ above 0; 0 means the model's.")  # fmt: skip
    sigma_max: float = param(0.0, ge=0, le=5000, step=0.001, label="Sigma max", infotext="Schedule max sigma",
                             advanced=True, description="The first σ; 0 means the model's.")  # fmt: skip

    def ends(self, model: ModelSampling) -> tuple[float, float]:
        """(σ_min, σ_max) for this model; InvalidInputError when they do not fit it."""
        low, high = self.sigma_min or model.sigma_min, self.sigma_max or model.sigma_max
        if not low < high:
            raise InvalidInputError(f"Schedule min sigma ({low:g}) must be smaller than Schedule max sigma ({high:g}).")
        if model.alpha(high) < 0:
            raise InvalidInputError(f"Schedule max sigma ({high:g}) is beyond the end of this model's noise, 1.")
        return low, high


class RhoOptions(RangeOptions):
    """The ends of a schedule and how it bends between them."""

    rho: float = param(0.0, ge=0, le=20, step=0.1, label="Rho", infotext="Schedule rho", advanced=True,
                       description="Higher is steeper at the start; 0 means the schedule's own value.")  # fmt: skip
