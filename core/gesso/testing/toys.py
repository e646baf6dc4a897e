"""Problems with known answers, on which samplers, schedules, guiders and operators are tried. Imports torch.

Data are independent Gaussians, one per channel: then the best possible denoiser and the exact way from noise to data
are known in closed form (Karras et al. 2022, arXiv:2206.00364, app. B.1 for the flow; the posterior mean is Wiener's).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from gesso.contributions import Sampler
from gesso.engine.noise import BrownianNoise, IndependentNoise, initial_noise
from gesso.engine.sampling import DiscreteSampling, FlowSampling, ModelSampling
from gesso.engine.types import CondEntry, DenoiseFn, NoiseFn, Prediction, Step
from gesso.models.readers import Weight

Tensor = torch.Tensor

MODELS: dict[str, ModelSampling] = {
    "eps": DiscreteSampling.from_betas(),
    "v": DiscreteSampling.from_betas(kind="v", zero_terminal_snr=True),
    "flow": FlowSampling(3.0),
}
"""One parametrisation of each kind. A sampler must work on all of them."""
SHAPE = (4, 6, 8)
"""The latents of one toy picture: not square, so that swapped axes show."""


def _channels(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)


@dataclass
class Gaussian:
    """A perfect denoiser (a DenoiseFn) for pictures (B,4,H,W) whose pixels are independent Gaussians, by channel."""

    model: ModelSampling
    mean: Tensor = field(default_factory=lambda: _channels(0.7, -1.1, 0.2, 0.0))
    spread: Tensor = field(default_factory=lambda: _channels(0.4, 1.0, 1.6, 0.8))

    def __call__(self, x: Tensor, sigma: float) -> Prediction:
        alpha = self.model.alpha(sigma)
        gain = alpha * self.spread**2 / (alpha**2 * self.spread**2 + sigma**2)
        x0 = (self.mean + gain * (x.double() - alpha * self.mean)).to(x.dtype)
        return Prediction(x0, x0, x0)

    def deviation(self, sigma: float) -> Tensor:
        """The standard deviation of x at σ, by channel."""
        return (self.model.alpha(sigma) ** 2 * self.spread**2 + sigma**2).sqrt()

    def exact(self, x: Tensor, sigma: float, target: float) -> Tensor:
        """x carried from σ to `target` by the probability-flow equation, without error."""
        away = x - self.model.alpha(sigma) * self.mean
        return self.model.alpha(target) * self.mean + away * self.deviation(target) / self.deviation(sigma)

    def draw(self, sigma: float, count: int, seed: int = 0) -> Tensor:
        """`count` samples (B, *SHAPE) float64 of x at σ, each with its own seed."""
        noise, _ = initial_noise([seed + i for i in range(count)], SHAPE, dtype=torch.float64)
        return self.model.alpha(sigma) * self.mean + noise * self.deviation(sigma)


def even_steps(model: ModelSampling, n: int, *, start: float | None = None, end: float | None = None) -> Tensor:
    """Sigmas (n+1,) evenly spaced in log-SNR, from near pure noise to `end`; to 0 when `end` is None."""
    flow = model.kind == "flow"
    first = model.half_log_snr(start if start is not None else (0.98 if flow else 14.0))
    last = model.half_log_snr(end if end is not None else 0.03)
    count = n if end is not None else max(n - 1, 1)
    values = [model.from_half_log_snr(first + (last - first) * i / count) for i in range(count + 1)]
    if end is None:
        values = [*values[:n], 0.0]
    return torch.tensor(values, dtype=torch.float64)


def noise_for(record: Sampler, seeds: Sequence[int], sigmas: Tensor, dtype: torch.dtype = torch.float64) -> NoiseFn:
    """The noise the engine would give this sampler: from each picture's own seed, fresh or Brownian."""
    if record.noise == "brownian":
        smallest = float(sigmas[sigmas > 0].min())
        return BrownianNoise(seeds, SHAPE, smallest, float(sigmas[0]), dtype=dtype)
    _, generators = initial_noise(seeds, SHAPE, dtype=dtype)
    return IndependentNoise(generators, SHAPE, dtype=dtype)


def run_sampler(
    record: Sampler,
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    **options: Any,
) -> Tensor:
    """Call a sampler as the engine does, with its default options but for `options`; without `noise` it is zero."""
    made = record.options(**options) if record.options else None
    silent: NoiseFn = lambda sigma, sigma_next: torch.zeros_like(x)  # noqa: E731 - one line says it
    result: Tensor = record.run.load()(
        denoise, x, sigmas, model=model, noise=noise or silent, on_step=on_step, options=made
    )
    return result


def entry(value: float, *, weight: float = 1.0, role: str = "positive") -> CondEntry:
    """A prompt's entry whose toy prediction is `value`."""
    return CondEntry({"context": torch.full((1, 3, 2), value)}, weight=weight, role=role)  # type: ignore[arg-type]


class ToyPredict:
    """A PredictFn: an entry's estimate is its value times a fixed pattern plus a share of x. Counts its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int]] = []
        """(σ, number of entries) of each call."""

    def __call__(self, x: Tensor, sigma: float, entries: Sequence[CondEntry]) -> list[Tensor]:
        self.calls.append((sigma, len(entries)))
        pattern = torch.linspace(0.5, 1.5, x[0].numel(), dtype=torch.float64).reshape(x[0].shape)
        values = [float(e.tensors["context"].flatten()[0]) for e in entries]
        return [(value * pattern + 0.1 * x.double()).to(x.dtype) for value in values]


def plain_weight(shape: Sequence[int], stored: torch.dtype, name: str, seed: int = 3) -> tuple[Weight, Tensor]:
    """A random weight as a file of format `name` would hold it, and its values (float32)."""
    values = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
    data = values.to(stored)
    return Weight(name, tuple(shape), {"data": data}), data.float()
