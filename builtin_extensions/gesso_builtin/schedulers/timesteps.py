"""Schedules that pick from the model's training time steps: Uniform, SGM Uniform, Simple, Normal, DDIM, Turbo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesso import ScheduleFn, Scheduler, lazy
from gesso_builtin.schedulers.options import RangeOptions
from gesso_builtin.schedulers.shape import ended, ramp

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import ModelSampling

SCHEDULERS = (
    # The engine puts the sampler's default schedule in its place; the record lets lists and files know the name.
    Scheduler(name="automatic", label="Automatic", run=lazy(".timesteps:uniform", ScheduleFn)),
    Scheduler(name="uniform", label="Uniform", run=lazy(".timesteps:uniform", ScheduleFn)),
    Scheduler(
        name="sgm_uniform",
        label="SGM Uniform",
        aliases=("SGMUniform",),
        run=lazy(".timesteps:sgm_uniform", ScheduleFn),
        options=RangeOptions,
        source="https://github.com/Stability-AI/generative-models",
    ),
    Scheduler(name="simple", label="Simple", run=lazy(".timesteps:simple", ScheduleFn)),
    Scheduler(name="normal", label="Normal", run=lazy(".timesteps:normal", ScheduleFn), options=RangeOptions),
    Scheduler(
        name="ddim",
        label="DDIM",
        aliases=("ddim_uniform",),
        run=lazy(".timesteps:ddim", ScheduleFn),
        strides=True,
        source="arXiv:2010.02502",
    ),
    Scheduler(name="turbo", label="Turbo", run=lazy(".timesteps:turbo", ScheduleFn), source="arXiv:2311.17042"),
)


def uniform(n: int, *, model: ModelSampling, size: tuple[int, int], options: None = None) -> Tensor:
    """Even in training time, from its end to its beginning."""
    return ended((model.sigma(t) for t in ramp(model.steps - 1, 0, n)), model)


def sgm_uniform(n: int, *, model: ModelSampling, size: tuple[int, int], options: RangeOptions | None = None) -> Tensor:
    """Even in training time; the last step of the n goes from the one before the beginning straight to 0."""
    low, high = (options or RangeOptions()).ends(model)
    return ended((model.sigma(t) for t in ramp(model.timestep(high), model.timestep(low), n + 1)[:-1]), model)


def simple(n: int, *, model: ModelSampling, size: tuple[int, int], options: None = None) -> Tensor:
    """Every (steps / n)-th σ of the model's table, rounded down, from the end."""
    table, stride = model.sigmas.tolist(), model.steps / n
    return ended((table[-1 - int(i * stride)] for i in range(n)), model)


def normal(n: int, *, model: ModelSampling, size: tuple[int, int], options: RangeOptions | None = None) -> Tensor:
    """Even in training time between two ends given in σ."""
    low, high = (options or RangeOptions()).ends(model)
    return ended((model.sigma(t) for t in ramp(model.timestep(high), model.timestep(low), n)), model)


def ddim(n: int, *, model: ModelSampling, size: tuple[int, int], options: None = None) -> Tensor:
    """Time steps 1, 1 + c, 1 + 2c … with c = ⌊steps / n⌋ (Song et al. 2020, arXiv:2010.02502).

    As in A1111 and ComfyUI this makes a step or more beyond n where n does not divide the number of time steps.
    """
    table, stride = model.sigmas.tolist(), max(model.steps // n, 1)
    return ended(reversed(table[1::stride]), model)


def turbo(n: int, *, model: ModelSampling, size: tuple[int, int], options: None = None) -> Tensor:
    """The time steps SDXL Turbo was distilled for, each the end of one of n equal parts (arXiv:2311.17042)."""
    ends = (min(max(round(i * model.steps / n - 1), 0), model.steps - 1) for i in range(n, 0, -1))
    return ended((model.sigma(t) for t in ends), model)
