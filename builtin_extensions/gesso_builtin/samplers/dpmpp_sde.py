"""DPM-Solver++ for the stochastic differential equation: SDE, 2M SDE, 3M SDE (Lu et al. 2022, arXiv:2211.01095).

The noise is one Brownian path per image, so that a picture keeps its composition when the number of steps changes.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from gesso import Sampler, SamplerFn, Step, lazy, param
from gesso_builtin.samplers.options import EtaOptions
from gesso_builtin.samplers.steps import halfway, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn


class SDEOptions(EtaOptions):
    """Options of DPM++ SDE."""

    r: float = param(0.5, ge=0.05, le=1, step=0.05, label="Middle of the step", infotext="SDE r", advanced=True,
                     description="Where in the step, in log-SNR, the second estimate is made.")  # fmt: skip


class Multistep2Options(EtaOptions):
    """Options of DPM++ 2M SDE."""

    solver_type: Literal["midpoint", "heun"] = param("midpoint", choices=("midpoint", "heun"), label="Solver type",
                                                     infotext="Solver type", advanced=True)  # fmt: skip


SAMPLERS = (
    Sampler(
        name="dpmpp_sde",
        label="DPM++ SDE",
        aliases=("k_dpmpp_sde", "dpmpp_sde_gpu"),
        run=lazy(".dpmpp_sde:dpmpp_sde", SamplerFn),
        options=SDEOptions,
        default_scheduler="karras",
        second_order=True,
        noise="brownian",
        deterministic=False,
        source="arXiv:2211.01095",
    ),
    Sampler(
        name="dpmpp_2m_sde",
        label="DPM++ 2M SDE",
        aliases=("k_dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
        run=lazy(".dpmpp_sde:dpmpp_2m_sde", SamplerFn),
        options=Multistep2Options,
        default_scheduler="exponential",
        noise="brownian",
        deterministic=False,
        source="arXiv:2211.01095",
    ),
    Sampler(
        name="dpmpp_2m_sde_heun",
        label="DPM++ 2M SDE Heun",
        aliases=("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
        run=lazy(".dpmpp_sde:dpmpp_2m_sde_heun", SamplerFn),
        options=EtaOptions,
        default_scheduler="exponential",
        noise="brownian",
        deterministic=False,
        source="arXiv:2211.01095",
    ),
    Sampler(
        name="dpmpp_3m_sde",
        label="DPM++ 3M SDE",
        aliases=("k_dpmpp_3m_sde", "dpmpp_3m_sde_gpu"),
        run=lazy(".dpmpp_sde:dpmpp_3m_sde", SamplerFn),
        options=EtaOptions,
        default_scheduler="exponential",
        discard_penultimate=True,
        noise="brownian",
        deterministic=False,
        source="arXiv:2211.01095",
    ),
)


def dpmpp_sde(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: SDEOptions | None = None,
) -> Tensor:
    """SDE-DPM-Solver++(2S): two estimates a step, each reached by its own stochastic move."""
    options = options or SDEOptions()
    weight = 1 / (2 * options.r)
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = denoise(x, sigma).x0
        if following == 0:
            x = x0
        else:
            middle = halfway(model, sigma, following, options.r)
            between = _stochastic(x, x0, sigma, middle, model, noise, options)
            estimate = x0 * (1 - weight) + denoise(between, middle).x0 * weight
            x = _stochastic(x, estimate, sigma, following, model, noise, options)
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x


def _stochastic(
    x: Tensor, x0: Tensor, sigma: float, target: float, model: ModelSampling, noise: NoiseFn, options: EtaOptions
) -> Tensor:
    """x brought from σ to `target` with the share η of its noise replaced by the path's."""
    down = model.sde_step(sigma, target, options.eta)
    x = toward(x, x0, sigma, down)
    return model.renoise(x, down, target, noise(sigma, target) * options.s_noise) if options.eta else x


def dpmpp_2m_sde(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: Multistep2Options | None = None,
) -> Tensor:
    """SDE-DPM-Solver++(2M), midpoint or Heun's form of the second-order term."""
    options = options or Multistep2Options()
    midpoint = options.solver_type == "midpoint"
    return _multistep(denoise, x, sigmas, model, noise, on_step, options, order=2, midpoint=midpoint)


def dpmpp_2m_sde_heun(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """SDE-DPM-Solver++(2M) with Heun's form of the second-order term."""
    return _multistep(denoise, x, sigmas, model, noise, on_step, options or EtaOptions(), order=2)


def dpmpp_3m_sde(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """SDE-DPM-Solver++(3M): third order from the last three estimates."""
    return _multistep(denoise, x, sigmas, model, noise, on_step, options or EtaOptions(), order=3)


def _multistep(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions,
    *,
    order: int,
    midpoint: bool = False,
) -> Tensor:
    """The integrator 2M and 3M share: a decay, the newest estimate, its derivatives in log-SNR, fresh noise."""
    eta = options.eta
    history: list[tuple[Tensor, float]] = []  # earlier estimates and the widths of their steps, newest first
    for i, (sigma, following) in enumerate(pairwise(sigmas.tolist())):
        x0 = denoise(x, sigma).x0
        if following == 0:
            x = x0
        else:
            h = model.half_log_snr(following) - model.half_log_snr(sigma)
            alpha, z = model.alpha(following), h * (1 + eta)
            decay = following / sigma * math.exp(-eta * h)
            x = x * decay + x0 * (alpha - model.alpha(sigma) * decay)
            phi_2 = -math.expm1(-z) / 2 if midpoint else math.expm1(-z) / z + 1
            if len(history) == 1 or (history and order == 2):
                x = x + (x0 - history[0][0]) * (alpha * phi_2 * h / history[0][1])
            elif history:
                first, second = _derivatives(x0, history, h)
                x = x + first * (alpha * phi_2) - second * (alpha * (phi_2 / z - 0.5))
            if eta:
                share = math.sqrt(-math.expm1(-2 * eta * h))
                x = x + noise(sigma, following) * (following * share * options.s_noise)
            history = [(x0, h), *history[:1]]
        on_step(Step(i, len(sigmas) - 1, sigma, following, x, x0))
    return x


def _derivatives(x0: Tensor, history: list[tuple[Tensor, float]], h: float) -> tuple[Tensor, Tensor]:
    """First and second differences of the estimates over steps of relative widths, by Newton's formula."""
    (before, h_before), (oldest, h_oldest) = history
    near, far = h_before / h, h_oldest / h
    d_near, d_far = (x0 - before) * (1 / near), (before - oldest) * (1 / far)
    second = (d_near - d_far) * (1 / (near + far))
    return d_near + second * near, second
