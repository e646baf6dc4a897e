"""The noise schedules of Stable Diffusion's models, by what a match says."""

from __future__ import annotations

import math

import torch

from gesso import DiscreteSampling, Match, ModelSampling

from .recognise import is_v_by_norm


class EdmSampling(DiscreteSampling):
    """Karras et al.'s EDM form (2022, arXiv:2206.00364): x at σ is scaled by 1/√(σ² + σ_data²), and the network is told
    ¼ ln σ. `sign` is that of the network's output in x0: +1 as in the paper, −1 for v-prediction."""

    def __init__(self, sigma_min: float, sigma_max: float, sigma_data: float, sign: int) -> None:
        sigmas = torch.linspace(math.log(sigma_min), math.log(sigma_max), 1000, dtype=torch.float64).exp()
        super().__init__(sigmas, "v", "sdxl")
        self.sigma_data, self.sign = sigma_data, sign


def sd1(match: Match) -> ModelSampling:
    """Scaled-linear betas, 0.00085 to 0.012."""
    return _discrete(match, "sd1")


def sd2(match: Match) -> ModelSampling:
    """As SD1; v or eps by what the file states, else by the norm's bias."""
    if match.questions and is_v_by_norm(match):
        match = match.model_copy(update={"prediction": "v"})
    return _discrete(match, "sd1")


def sdxl(match: Match) -> ModelSampling:
    """As SD1, or EDM's form by the marker tensors of v models (σ to 120) and of Playground 2.5 (σ to 80)."""
    edm = match.details.get("edm")
    if edm == "playground":
        return EdmSampling(0.002, 80.0, 0.5, sign=1)
    if edm == "v":
        low, high = (match.details.get(f"edm_vpred.sigma_{end}", ()) for end in ("min", "max"))
        return EdmSampling(low[0] if low else 0.002, high[0] if high else 120.0, 1.0, sign=-1)
    return _discrete(match, "sdxl")


def _discrete(match: Match, tables: str) -> ModelSampling:
    return DiscreteSampling.from_betas(
        kind="v" if match.prediction == "v" else "eps",
        zero_terminal_snr=bool(match.details.get("ztsnr")),
        tables=tables,
    )
