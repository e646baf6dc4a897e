"""DPM-Solver with its own steps in log σ: DPM fast and DPM adaptive (Lu et al. 2022, arXiv:2206.00927)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gesso import GessoError, Sampler, SamplerFn, Step, lazy, param
from gesso_builtin.samplers.options import EtaOptions
from gesso_builtin.samplers.steps import slope, toward

if TYPE_CHECKING:
    from torch import Tensor

    from gesso import DenoiseFn, ModelSampling, NoiseFn, StepFn


class AdaptiveOptions(EtaOptions):
    """Step control of DPM adaptive."""

    order: int = param(3, ge=2, le=3, label="Order", infotext="Solver order", advanced=True)
    rtol: float = param(0.05, gt=0, le=1, step=0.001, label="Relative tolerance", infotext="DPM rtol",
                        advanced=True)  # fmt: skip
    atol: float = param(0.0078, gt=0, le=1, step=0.0001, label="Absolute tolerance", infotext="DPM atol",
                        advanced=True)  # fmt: skip
    h_init: float = param(0.05, gt=0, le=1, step=0.01, label="First step", infotext="DPM first step", advanced=True)
    pcoeff: float = param(0.0, ge=0, le=1, step=0.05, label="P coefficient", infotext="DPM P", advanced=True)
    icoeff: float = param(1.0, ge=0, le=1, step=0.05, label="I coefficient", infotext="DPM I", advanced=True)
    dcoeff: float = param(0.0, ge=0, le=1, step=0.05, label="D coefficient", infotext="DPM D", advanced=True)
    accept_safety: float = param(0.81, gt=0, lt=1, step=0.01, label="Accept from", infotext="DPM accept safety",
                                 advanced=True)  # fmt: skip


SAMPLERS = (
    Sampler(
        name="dpm_fast",
        label="DPM fast",
        aliases=("k_dpm_fast",),
        run=lazy(".dpm_solver:dpm_fast", SamplerFn),
        options=EtaOptions,
        uses_ensd=True,
        deterministic=False,
        source="arXiv:2206.00927",
    ),
    Sampler(
        name="dpm_adaptive",
        label="DPM adaptive",
        aliases=("k_dpm_ad",),
        run=lazy(".dpm_solver:dpm_adaptive", SamplerFn),
        options=AdaptiveOptions,
        uses_ensd=True,
        one_by_one=True,
        deterministic=False,
        source="arXiv:2206.00927",
    ),
)


@dataclass
class _Solver:
    """Single steps of DPM-Solver-1, -2 and -3 from one x; estimates they share are made once.

    The clock is −log σ and the noise is dx/dσ, which solves the same equation for every model; in log-SNR a flow
    model's first step, from pure noise, would have no end.
    """

    denoise: DenoiseFn
    x: Tensor
    sigma: float
    seen: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def estimate(self, name: str, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """(x0, noise) at a point, remembered under `name`."""
        if name not in self.seen:
            x0 = self.denoise(x, sigma).x0
            self.seen[name] = x0, slope(x, x0, sigma)
        return self.seen[name]

    def inner(self, share: float, target: float) -> float:
        """The σ at a share of the way to `target`."""
        return self.sigma * math.pow(target / self.sigma, share)

    def first(self, target: float) -> Tensor:
        """Order 1 (arXiv:2206.00927, eq. 3.7)."""
        x0, _ = self.estimate("start", self.x, self.sigma)
        return toward(self.x, x0, self.sigma, target)

    def second(self, target: float, r: float = 1 / 2) -> Tensor:
        """Order 2 (algorithm 4), with its inner point at the share r of the way."""
        _, noise = self.estimate("start", self.x, self.sigma)
        middle = self.inner(r, target)
        _, noise_r = self.estimate(f"inner {r:.3f} {target}", self.first(middle), middle)
        return self.first(target) + (noise_r - noise) * ((target - self.sigma) / (2 * r))

    def third(self, target: float) -> Tensor:
        """Order 3 (algorithm 5), inner points at 1/3 and 2/3."""
        _, noise = self.estimate("start", self.x, self.sigma)
        h = math.log(self.sigma / target)
        near, far = self.inner(1 / 3, target), self.inner(2 / 3, target)
        _, noise_1 = self.estimate(f"inner {1 / 3:.3f} {target}", self.first(near), near)
        bent = self.first(far) - (noise_1 - noise) * (far * 2 * (math.expm1(2 * h / 3) / (2 * h / 3) - 1))
        _, noise_2 = self.estimate(f"outer {target}", bent, far)
        return self.first(target) - (noise_2 - noise) * (target * 1.5 * (math.expm1(h) / h - 1))


def _down(model: ModelSampling, sigma: float, target: float, end: float, eta: float) -> float:
    """The σ to step to before noise brings x back to `target`; not below the end of the way."""
    return max(model.sde_step(sigma, target, eta), end) if eta else target


def _ends(sigmas: Tensor, model: ModelSampling) -> tuple[float, float, bool]:
    """The first σ, the last above 0 (log σ ends there), and whether one more estimate must follow.

    Their peers stop at that last σ and so do these samplers, unless a schedule leaps to 0 from far above the model's
    least noise: that much noise may not stay in the picture.
    """
    levels = sigmas.tolist()
    end = levels[-1] or levels[-2]
    return levels[0], end, levels[-1] == 0 and end > 2 * model.sigma_min


def dpm_fast(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: EtaOptions | None = None,
) -> Tensor:
    """DPM-Solver-fast: as many model calls as steps asked for, in even steps of order 3 and a lower one at the end.

    Of the schedule only the ends and the number of steps count.
    """
    options = options or EtaOptions()
    start, end, unfinished = _ends(sigmas, model)
    orders = _orders(len(sigmas) - 1) if end < start else []
    count, total = len(orders), len(orders) + unfinished
    levels = [*(start * math.pow(end / start, i / count) for i in range(count)), end]
    for i, order in enumerate(orders):
        sigma, following = levels[i], levels[i + 1]
        down = _down(model, sigma, following, end, options.eta)
        solver = _Solver(denoise, x, sigma)
        x0, _ = solver.estimate("start", x, sigma)
        x = (solver.first, solver.second, solver.third)[order - 1](down)
        if down < following:
            x = model.renoise(x, down, following, noise(sigma, following) * options.s_noise)
        on_step(Step(i, total, sigma, following, x, x0))
    if unfinished:
        x = denoise(x, end).x0
        on_step(Step(count, total, end, 0.0, x, x))
    return x


def _orders(calls: int) -> list[int]:
    """The orders of the steps that make so many model calls."""
    threes, rest = divmod(calls, 3)
    return [3] * threes + [rest] if rest else [3] * (threes - 1) + [2, 1]


class _Controller:
    """A PID controller of the step width (Söderlind 2003): grows h after small errors, shrinks it after large ones."""

    def __init__(self, options: AdaptiveOptions) -> None:
        order = 1.5 if options.eta else options.order
        p, i, d = options.pcoeff, options.icoeff, options.dcoeff
        self.h, self._safety = options.h_init, options.accept_safety
        self._powers = ((p + i + d) / order, -(p + 2 * d) / order, d / order)
        self._inverse: list[float] = []

    def accepts(self, error: float) -> bool:
        """Whether a step of this error (1 = the tolerance) stands; `h` is then the width of the next try."""
        inverse = 1 / (error + 1e-8)
        before = self._inverse or [inverse, inverse]
        factor = math.prod(value**power for value, power in zip((inverse, *before), self._powers, strict=True))
        factor = 1 + math.atan(factor - 1)
        self.h *= factor
        accepted = factor >= self._safety
        self._inverse = [inverse, before[0]] if accepted else before
        return accepted


def dpm_adaptive(
    denoise: DenoiseFn,
    x: Tensor,
    sigmas: Tensor,
    *,
    model: ModelSampling,
    noise: NoiseFn,
    on_step: StepFn,
    options: AdaptiveOptions | None = None,
) -> Tensor:
    """DPM-Solver-12 or -23: the difference of two orders decides how far each step goes.

    Of the schedule only the ends count. The error is measured over the whole batch, so batches are run image by image.
    """
    options = options or AdaptiveOptions()
    start, end, unfinished = _ends(sigmas, model)
    way, total = math.log(start / end), len(sigmas) - 1
    control, clock, sigma, previous = _Controller(options), 0.0, start, x
    while clock < way - 1e-5:
        reached = min(way, clock + control.h)
        following = end if reached == way else start * math.exp(-reached)
        down = _down(model, sigma, following, end, options.eta)
        solver = _Solver(denoise, x, sigma)
        x0, _ = solver.estimate("start", x, sigma)
        if options.order == 2:
            coarse, fine = solver.first(down), solver.second(down)
        else:
            coarse, fine = solver.second(down, 1 / 3), solver.third(down)
        if control.accepts(_error(coarse, fine, previous, options)):
            previous, x = coarse, fine
            if down < following:
                x = model.renoise(x, down, following, noise(sigma, following) * options.s_noise)
            clock, sigma = reached, following
        done = min(int(clock / way * total), total - 1)
        on_step(Step(done, total, sigma, following, x, x0))
    if unfinished:
        x = denoise(x, end).x0
        on_step(Step(total - 1, total, end, 0.0, x, x))
    return x


def _error(coarse: Tensor, fine: Tensor, previous: Tensor, options: AdaptiveOptions) -> float:
    """Root mean square of the difference, in units of the tolerance."""
    tolerance = (coarse.abs().maximum(previous.abs()) * options.rtol).clamp_min(options.atol)
    error = float(((coarse - fine) / tolerance).float().square().mean().sqrt())
    if not math.isfinite(error):
        raise GessoError("DPM adaptive cannot go on: the model gave values that are not finite.", hint="Try fp32.")
    return error
