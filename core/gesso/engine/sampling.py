"""How a model's noise level is parametrised. σ is the only clock; time, sign and alpha are derived from it.

A noisy latent is x = α(σ)·x0 + σ·n. Variance-exploding models (eps, v; Karras et al. 2022, arXiv:2206.00364) have
α = 1, rectified flow (Liu et al. 2022, arXiv:2209.03003) has α = 1 − σ.
"""

from __future__ import annotations

import bisect
import math
from abc import ABC, abstractmethod
from typing import Literal

import torch

from gesso.errors import InvalidInputError

Tensor = torch.Tensor
Kind = Literal["eps", "v", "flow"]


class ModelSampling(ABC):
    """The parametrisation samplers and schedules work with. All numbers are Python floats or float64 CPU tensors."""

    kind: Kind
    sigmas: Tensor
    """(N,) float64, increasing: the σ of each training time step."""
    tables: str = ""
    """Which published schedule tables fit the model ("sd1", "sdxl"); its family says so."""

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    @property
    def steps(self) -> int:
        """Number of training time steps."""
        return len(self.sigmas)

    @abstractmethod
    def alpha(self, sigma: float) -> float:
        """Signal level α at σ."""

    @abstractmethod
    def sigma(self, t: float) -> float:
        """σ at (fractional) training time t, 0 … steps − 1."""

    @abstractmethod
    def timestep(self, sigma: float) -> float:
        """The (fractional) training time of σ; inverse of `sigma`, clamped to the ends."""

    @abstractmethod
    def from_half_log_snr(self, value: float) -> float:
        """The σ whose half log-SNR is `value`."""

    def for_size(self, size: tuple[int, int]) -> ModelSampling:
        """The parametrisation for pictures of (width, height) pixels; only some flow models have more than one."""
        return self

    def half_log_snr(self, sigma: float) -> float:
        """λ = log(α/σ), the clock of exponential integrators (Lu et al. 2022, arXiv:2206.00927)."""
        return math.log(self.alpha(sigma)) - math.log(sigma)

    def scale_noise(self, noise: Tensor, sigma: float, clean: Tensor | None = None) -> Tensor:
        """x at σ from unit noise (B,…) and a clean latent (zeros when None)."""
        x = noise * sigma
        return x if clean is None else x + self.alpha(sigma) * clean

    def renoise(self, x: Tensor, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        """Bring x from σ up to the higher σ' by fresh noise, keeping the signal's share."""
        ratio = self.alpha(sigma_next) / self.alpha(sigma)
        variance = sigma_next**2 - (ratio * sigma) ** 2
        return x * ratio + noise * math.sqrt(max(variance, 0.0))

    def sde_step(self, sigma: float, sigma_next: float, eta: float) -> float:
        """The σ_down to step to before `renoise` brings x back to σ', so that both make a step of the reverse SDE.

        η is the share of fresh noise: 0 gives σ' itself, 1 the posterior of DDPM (Song et al. 2020, arXiv:2010.02502,
        eq. 16). Reckoned in k = σ/α, where every model is variance exploding.
        """
        if not eta or not sigma_next:
            return sigma_next
        k, k_next = math.exp(-self.half_log_snr(sigma)), math.exp(-self.half_log_snr(sigma_next))
        up = min(k_next, eta * math.sqrt(max(k_next**2 * (k**2 - k_next**2) / k**2, 0.0)))
        down = math.sqrt(max(k_next**2 - up**2, 0.0))
        return self.from_half_log_snr(-math.log(down)) if down > 0 else 0.0

    def ancestral_step(self, sigma: float, sigma_next: float, eta: float) -> float:
        """As `sde_step`, for samplers called ancestral, which flow models understand in their own way."""
        return self.sde_step(sigma, sigma_next, eta)


class DiscreteSampling(ModelSampling):
    """eps- and v-prediction models trained on a table of betas, in variance-exploding form (α = 1)."""

    def __init__(self, sigmas: Tensor, kind: Literal["eps", "v"] = "eps", tables: str = "") -> None:
        self.kind = kind
        self.sigmas = sigmas.to(torch.float64)
        self.tables = tables
        self._log_sigmas: list[float] = self.sigmas.log().tolist()

    @classmethod
    def from_betas(
        cls,
        *,
        start: float = 0.00085,
        end: float = 0.012,
        steps: int = 1000,
        kind: Literal["eps", "v"] = "eps",
        zero_terminal_snr: bool = False,
        tables: str = "",
    ) -> DiscreteSampling:
        """Stable Diffusion's scaled-linear betas; optionally rescaled to zero terminal SNR (arXiv:2305.08891)."""
        # The tables of the published models were made in float32-free form: linspace of the roots, squared.
        betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
        alphas_bar = torch.cumprod(1 - betas, dim=0)
        if zero_terminal_snr:
            root = alphas_bar.sqrt()
            root = (root - root[-1]) * root[0] / (root[0] - root[-1])
            # An exact zero means infinite σ; the smallest value peers use keeps every sampler finite.
            alphas_bar = root.square().clamp_min(4.8973451890853435e-08)
        return cls(((1 - alphas_bar) / alphas_bar).sqrt(), kind, tables)

    def alpha(self, sigma: float) -> float:
        return 1.0

    def sigma(self, t: float) -> float:
        t = min(max(t, 0.0), self.steps - 1.0)
        low = int(t)
        high = min(low + 1, self.steps - 1)
        return math.exp(self._log_sigmas[low] + (t - low) * (self._log_sigmas[high] - self._log_sigmas[low]))

    def timestep(self, sigma: float) -> float:
        if sigma <= 0:
            return 0.0
        value = math.log(sigma)
        high = bisect.bisect_left(self._log_sigmas, value)
        if high == 0:
            return 0.0
        if high >= self.steps:
            return self.steps - 1.0
        low = high - 1
        return low + (value - self._log_sigmas[low]) / (self._log_sigmas[high] - self._log_sigmas[low])

    def from_half_log_snr(self, value: float) -> float:
        return math.exp(-value)


class FlowSampling(ModelSampling):
    """Rectified-flow models: α = 1 − σ, σ in (0, 1], with the time shift α: σ' = ασ/(1 + (α − 1)σ)."""

    kind: Kind = "flow"

    def __init__(self, shift: float = 1.0, steps: int = 1000) -> None:
        if not shift > 0:
            raise InvalidInputError(f"The shift of a flow model must be positive, not {shift}.")
        self.shift = shift
        t = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        self.sigmas = shift * t / (1 + (shift - 1) * t)

    @classmethod
    def from_mu(cls, mu: float, steps: int = 1000) -> FlowSampling:
        """From a shift given as μ = log of the factor, as Flux's family does (σ' = e^μ/(e^μ + 1/σ − 1))."""
        return cls(math.exp(mu), steps)

    def alpha(self, sigma: float) -> float:
        return 1.0 - sigma

    def half_log_snr(self, sigma: float) -> float:
        # σ = 1 is pure noise (λ = −∞); the first solver step only needs a very small, finite signal.
        sigma = min(sigma, 1 - 1e-6)
        return math.log((1 - sigma) / sigma)

    def sigma(self, t: float) -> float:
        fraction = (min(max(t, 0.0), self.steps - 1.0) + 1) / self.steps
        return self.shift * fraction / (1 + (self.shift - 1) * fraction)

    def timestep(self, sigma: float) -> float:
        sigma = min(sigma, 1.0)
        fraction = sigma / (self.shift - (self.shift - 1) * sigma)
        return min(max(fraction * self.steps - 1, 0.0), self.steps - 1.0)

    def from_half_log_snr(self, value: float) -> float:
        return 1 / (1 + math.exp(value))

    def renoise(self, x: Tensor, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        if sigma_next >= 1:
            return noise
        return super().renoise(x, sigma, sigma_next, noise)

    def ancestral_step(self, sigma: float, sigma_next: float, eta: float) -> float:
        # What people know as ancestral steps of flow models: the step is lengthened by η, not split by the SDE.
        return max(sigma_next * (1 + (sigma_next / sigma - 1) * eta), 0.0)


class ResolutionFlowSampling(FlowSampling):
    """Flow whose shift μ grows with the picture: linear in tokens through two (tokens, μ) points, Flux.1's by default.

    Larger pictures need more noise to hide as much (Esser et al. 2024, arXiv:2403.03206, section 5.3.2). Made for the
    upper point; `for_size` gives the parametrisation of a run.
    """

    def __init__(
        self,
        low: tuple[int, float] = (256, 0.5),
        high: tuple[int, float] = (4096, 1.15),
        *,
        token: int = 16,
        steps: int = 1000,
    ) -> None:
        super().__init__(math.exp(high[1]), steps)
        self._low, self._high, self._token = low, high, token

    def for_size(self, size: tuple[int, int]) -> ModelSampling:
        """`token` is the width and height in pixels that one token stands for."""
        tokens = (size[0] // self._token) * (size[1] // self._token)
        slope = (self._high[1] - self._low[1]) / (self._high[0] - self._low[0])
        return FlowSampling.from_mu(self._low[1] + slope * (tokens - self._low[0]), self.steps)


def check_schedule(sigmas: Tensor) -> Tensor:
    """The same sigmas (n+1,), checked: finite, decreasing, none below 0. InvalidInputError says which one is not."""
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise InvalidInputError(f"A schedule is a list of at least two sigmas, not of shape {tuple(sigmas.shape)}.")
    values = sigmas.tolist()
    for i, value in enumerate(values):
        if not math.isfinite(value) or value < 0:
            raise InvalidInputError(f"The schedule has σ = {value} at place {i}; sigmas are finite and not negative.")
        if i and value >= values[i - 1]:
            raise InvalidInputError(
                f"The schedule does not decrease at place {i}: {values[i - 1]:.6g} is followed by {value:.6g}.",
                hint="Choose another schedule type, other schedule options or fewer steps.",
            )
    return sigmas
