"""The options samplers share. Bounds and infotext keys are A1111's."""

from __future__ import annotations

from gesso import Params, param


class EtaOptions(Params):
    """Fresh noise of ancestral and SDE samplers."""

    eta: float = param(1.0, ge=0, le=2, step=0.01, label="Eta", infotext="Eta", api="eta", advanced=True,
                       description="Share of fresh noise: 0 makes the sampler deterministic.")  # fmt: skip
    s_noise: float = param(1.0, ge=0, le=2, step=0.001, label="Sigma noise", infotext="Sigma noise", api="s_noise",
                           advanced=True, description="Factor on the fresh noise.")  # fmt: skip


class EtaDDIMOptions(Params):
    """Fresh noise of DDIM, whose default is none."""

    eta: float = param(0.0, ge=0, le=1, step=0.01, label="Eta for DDIM", infotext="Eta DDIM", api="eta", advanced=True,
                       description="Share of fresh noise: 0 is DDIM, 1 is DDPM.")  # fmt: skip


class ChurnOptions(Params):
    """Stochastic steps of Karras et al. 2022 (arXiv:2206.00364), algorithm 2."""

    s_churn: float = param(0.0, ge=0, le=100, step=0.01, label="Sigma churn", infotext="Sigma churn", api="s_churn",
                           advanced=True, description="How much noise is put in before each step.")  # fmt: skip
    s_tmin: float = param(0.0, ge=0, le=10, step=0.01, label="Sigma tmin", infotext="Sigma tmin", api="s_tmin",
                          advanced=True, description="No churn below this σ.")  # fmt: skip
    s_tmax: float = param(0.0, ge=0, le=999, step=0.01, label="Sigma tmax", infotext="Sigma tmax", api="s_tmax",
                          advanced=True, description="No churn above this σ; 0 means no limit.")  # fmt: skip
    s_noise: float = param(1.0, ge=0, le=2, step=0.001, label="Sigma noise", infotext="Sigma noise", api="s_noise",
                           advanced=True, description="Factor on the fresh noise.")  # fmt: skip
