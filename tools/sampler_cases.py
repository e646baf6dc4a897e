"""Problems with known answers, against which the samplers' numbers are held.

Used by the tests and by `tools/sampler_table.py`. Everything is float64.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gesso import (
    DenoiseFn,
    DiscreteSampling,
    FlowSampling,
    ModelSampling,
    NoiseFn,
    Prediction,
    Registrar,
    Registry,
    Sampler,
    Scheduler,
    Step,
)
from gesso_builtin.samplers.plugin import gesso_register_samplers
from gesso_builtin.schedulers.plugin import gesso_register_schedulers

Tensor = torch.Tensor
DATA = Path(__file__).resolve().parent.parent / "tests" / "builtin"


def registries() -> tuple[Registry[Sampler], Registry[Scheduler]]:
    """The built-in samplers and schedules."""
    samplers, schedulers = Registry("sampler", Sampler), Registry("scheduler", Scheduler)
    gesso_register_samplers(Registrar(samplers, "samplers"))
    gesso_register_schedulers(Registrar(schedulers, "schedulers"))
    return samplers, schedulers


SAMPLERS, SCHEDULERS = registries()
SD1 = DiscreteSampling.from_betas()
FLOW = FlowSampling()


def tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def recorded(folder: str = "samplers", name: str = "samplers") -> dict[str, Any]:
    """tests/builtin/<folder>/data/<name>.json: numbers other programs gave."""
    text = (DATA / folder / "data" / f"{name}.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def no_noise(x: Tensor) -> NoiseFn:
    return lambda sigma, sigma_next: torch.zeros_like(x)


def solve(
    name: str,
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling = SD1,
    noise: NoiseFn | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    **options: Any,
) -> Tensor:
    """Run a sampler by name; noise is zero unless given."""
    record = SAMPLERS.get(name)
    made = record.options(**options) if record.options else None
    run = record.run.load()
    return run(denoise, x, sigmas, model=model, noise=noise or no_noise(x), on_step=on_step, options=made)


@dataclass
class Mixture:
    """The posterior mean for data from a mixture of isotropic Gaussians: the problem of samplers.json."""

    means: Tensor
    weights: Tensor
    spread: float

    @classmethod
    def of(cls, data: dict[str, Any]) -> Mixture:
        return cls(tensor(data["mus"]), tensor(data["w"]), data["s0"])

    def __call__(self, x: Tensor, sigma: float) -> Prediction:
        variance = self.spread**2 + sigma**2
        distances = ((x[:, None] - self.means) ** 2).sum(-1)
        shares = (self.weights.log() - distances / (2 * variance)).softmax(-1)
        posterior = (self.means * sigma**2 + x[:, None] * self.spread**2) / variance
        return Prediction((shares[..., None] * posterior).sum(1))


@dataclass
class Gaussian:
    """The posterior mean for independent Gaussian data; its probability flow is known in closed form."""

    model: ModelSampling
    mean: Tensor = field(default_factory=lambda: tensor([0.7, -1.1, 0.2]))
    spread: Tensor = field(default_factory=lambda: tensor([0.4, 1.0, 1.6]))

    def __call__(self, x: Tensor, sigma: float) -> Prediction:
        alpha = self.model.alpha(sigma)
        gain = alpha * self.spread**2 / (alpha**2 * self.spread**2 + sigma**2)
        return Prediction(self.mean + gain * (x - alpha * self.mean))

    def deviation(self, sigma: float) -> Tensor:
        """The standard deviation of x at σ."""
        return (self.model.alpha(sigma) ** 2 * self.spread**2 + sigma**2).sqrt()

    def exact(self, x: Tensor, sigma: float, target: float) -> Tensor:
        """x carried from σ to `target` by the probability-flow equation."""
        away = x - self.model.alpha(sigma) * self.mean
        return self.model.alpha(target) * self.mean + away * self.deviation(target) / self.deviation(sigma)


# -- convergence


def even_in_log_snr(model: ModelSampling, n: int, start: float, end: float) -> Tensor:
    first, last = model.half_log_snr(start), model.half_log_snr(end)
    return tensor([model.from_half_log_snr(first + (last - first) * i / n) for i in range(n + 1)])


def even_in_sigma(model: ModelSampling, n: int, start: float, end: float) -> Tensor:
    return torch.linspace(start, end, n + 1, dtype=torch.float64)


Grid = Callable[[ModelSampling, int, float, float], Tensor]


@dataclass(frozen=True)
class Convergence:
    """A deterministic solver and the order it must show: the error falls as (1/n)^order.

    Multistep methods begin with an Euler step, whose error is of second order and hides what follows. `far` begins
    where that error is nothing (pure noise, nearly), so that the order of the method itself shows.
    """

    name: str
    order: float
    grid: Grid = even_in_log_snr
    far: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def measured(self, model: ModelSampling, counts: Sequence[int] = (161, 320)) -> float:
        """The slope of log error over log n between the last two counts."""
        problem = Gaussian(model)
        if isinstance(model, FlowSampling):
            start, end = (1 - 1e-4 if self.far else 0.98), 0.1
        else:
            start, end = (1e4 if self.far else 30.0), 0.1
        x = model.alpha(start) * problem.mean + tensor([[1.3, -0.4, 0.8]]) * problem.deviation(start)
        exact = problem.exact(x, start, end)
        errors = []
        for n in counts:
            result = solve(self.name, problem, x, self.grid(model, n, start, end), model=model, **self.options)
            errors.append(float((result - exact).abs().max()))
        return math.log(errors[-2] / errors[-1]) / math.log(counts[-1] / counts[-2])


CONVERGENCE = (
    Convergence("euler", 1),
    Convergence("ddim", 1),
    Convergence("euler_cfg_pp", 1),
    Convergence("euler_ancestral", 1, options={"eta": 0.0}),
    Convergence("gradient_estimation", 1),
    Convergence("heunpp2", 1),
    Convergence("heun", 2),
    Convergence("dpm_2", 2),
    Convergence("dpm_2_ancestral", 2, options={"eta": 0.0}),
    Convergence("dpmpp_2m", 2),
    Convergence("dpmpp_2m_cfg_pp", 2),
    Convergence("dpmpp_2s_ancestral", 2, options={"eta": 0.0}),
    Convergence("dpmpp_2s_ancestral_cfg_pp", 2, options={"eta": 0.0}),
    Convergence("dpmpp_sde", 2, options={"eta": 0.0}),
    Convergence("dpmpp_sde", 2, options={"eta": 0.0, "r": 0.3}),
    Convergence("dpmpp_2m_sde", 2, options={"eta": 0.0}),
    Convergence("dpmpp_2m_sde_heun", 2, options={"eta": 0.0}),
    # The published third-order term has half the weight Taylor's formula asks for; peers and we keep it.
    Convergence("dpmpp_3m_sde", 2, far=True, options={"eta": 0.0}),
    # Weights for even steps: on the usual uneven ones the order is 2.
    Convergence("ipndm", 2),
    Convergence("plms", 2),
    Convergence("ipndm_v", 2, even_in_sigma),
    Convergence("lms", 4, far=True),
    Convergence("lms", 3, far=True, options={"order": 3}),
    Convergence("deis", 3, far=True),
    Convergence("dpm_fast", 3, far=True, options={"eta": 0.0}),
    Convergence("uni_pc", 2, far=True, options={"order": 1, "lower_order_final": False}),
    Convergence("uni_pc", 3, far=True, options={"order": 2, "lower_order_final": False}),
    Convergence("uni_pc", 4, far=True, options={"order": 3, "lower_order_final": False, "variant": "bh2"}),
)
