"""Comparisons of the built-in samplers and schedules with what other programs compute; see `sampler_cases`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from gesso import FlowSampling, ModelSampling, Step
from gesso_builtin.samplers import deis
from gesso_builtin.samplers.steps import lagrange
from tools.sampler_cases import FLOW, SAMPLERS, SCHEDULERS, SD1, Gaussian, Mixture, Tensor, recorded, solve, tensor

COMFY = "ComfyUI v0.3.64, recorded"
FORGE = "Forge dfdcbab, recorded"
DIFFUSERS = "diffusers"


@dataclass(frozen=True)
class Comparison:
    """One row of the parity table: `error` computes the largest error relative to the reference's largest value."""

    kind: str
    name: str
    reference: str
    error: Callable[[], float]
    detail: str = ""
    tolerance: float = 1e-6

    @property
    def label(self) -> str:
        return (SAMPLERS if self.kind == "sampler" else SCHEDULERS).get(self.name).label

    def __str__(self) -> str:
        return f"{self.name} {self.detail} {self.reference}"


def relative(result: Tensor, reference: Tensor) -> float:
    """The largest elementwise relative error; zeros must be met exactly."""
    wrong_zero = torch.where(result == 0, 0.0, torch.inf)
    return float(torch.where(reference == 0, wrong_zero, (result - reference).abs() / reference.abs()).max())


# -- recorded

ETA_0 = {"eta": 0.0}
DETERMINISTIC: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("euler", {}),
    "heun": ("heun", {}),
    "dpm_2": ("dpm_2", {}),
    "lms": ("lms", {}),
    "dpmpp_2m": ("dpmpp_2m", {}),
    "euler_a_eta0": ("euler_ancestral", ETA_0),
    "dpm_2_a_eta0": ("dpm_2_ancestral", ETA_0),
    "dpmpp_2s_a_eta0": ("dpmpp_2s_ancestral", ETA_0),
    "dpmpp_sde_eta0": ("dpmpp_sde", ETA_0),
    "dpmpp_2m_sde_eta0_midpoint": ("dpmpp_2m_sde", ETA_0),
    "dpmpp_2m_sde_eta0_heun": ("dpmpp_2m_sde_heun", ETA_0),
    "dpmpp_2m_sde_eta1_zero_noise": ("dpmpp_2m_sde", {}),
    "dpmpp_3m_sde_eta0": ("dpmpp_3m_sde", ETA_0),
    "dpmpp_3m_sde_eta1_zero_noise": ("dpmpp_3m_sde", {}),
    "dpmpp_sde_eta1_zero_noise": ("dpmpp_sde", {}),
    "euler_a_eta1_zero_noise": ("euler_ancestral", {}),
    "dpm_fast": ("dpm_fast", ETA_0),
    "dpm_adaptive": ("dpm_adaptive", ETA_0),
    "heunpp2": ("heunpp2", {}),
    "ipndm": ("ipndm", {}),
    "ipndm_v": ("ipndm_v", {}),
    "deis": ("deis", {}),
    "lcm_zero_noise": ("lcm", {}),
    "gradient_estimation": ("gradient_estimation", {}),
}
"""samplers.json's names of results → the sampler and its options."""


def on_mixture(name: str, expected: list[float], *, noisy: bool = False, **options: Any) -> float:
    """The error on the recorded problem; with `noisy` the k-th call for noise gets row k."""
    data = recorded("samplers")
    rows = iter(data["noise"])
    noise = (lambda sigma, sigma_next: tensor([next(rows)])) if noisy else None
    result = solve(name, Mixture.of(data), tensor([data["x0"]]), tensor(data["sigmas"]), noise=noise, **options)
    return relative(result[0], tensor(expected))


def recorded_samplers() -> Iterator[Comparison]:
    data = recorded("samplers")
    for key, (name, options) in DETERMINISTIC.items():
        compare = partial(on_mixture, name, data["results"][key], **options)
        part = re.search(r"(eta\d.*|zero_noise)$", key)
        detail = re.sub(r"eta(\d)", r"η = \1,", part[0]).replace("_", " ").strip(" ,") if part else ""
        # The peers integrate DEIS's weights by 10,000 rectangles, which leaves an error of 1e-4 in each weight.
        yield Comparison("sampler", name, COMFY, compare, detail, 2e-5 if name == "deis" else 1e-6)
    for name, entry in data["stochastic"].items():
        yield Comparison("sampler", name, COMFY, partial(on_mixture, name, entry["x"], noisy=True), "with noise")
    yield Comparison("sampler", "deis", COMFY, deis_by_rectangles, "with the peers' quadrature")
    heun = data["results"]["heun"]
    yield Comparison("sampler", "restart", COMFY, partial(on_mixture, "restart", heun), "below 20 steps: Heun")


def deis_by_rectangles() -> float:
    """DEIS with its weights integrated as the peers do it: 10,000 values, ends included, by 1/10,000 of the width."""
    exact = deis.weights

    def rectangles(levels: list[float], following: float) -> list[float]:
        if len(levels) == 1:
            return exact(levels, following)
        times = [deis._time(level) for level in levels]
        end = deis._time(following)
        # The peers' points are float32, the rest of the recorded run is float64.
        points = torch.linspace(times[0], end, 10_000, dtype=torch.float32).to(torch.float64).tolist()
        width = (end - times[0]) / 10_000
        shares = [[deis._speed(t) * lagrange(times, j, t) for t in points] for j in range(len(levels))]
        return [width * math.fsum(share) for share in shares]

    deis.weights = rectangles
    try:
        return on_mixture("deis", recorded("samplers")["results"]["deis"])
    finally:
        deis.weights = exact


def on_schedule(key: str, count: int, expected: list[float]) -> float:
    variant, name = key.split("/")
    model = type(SD1).from_betas(tables={"sd": "sd1"}.get(variant, variant))
    run = SCHEDULERS.get(name).run.load()
    if name == "kl_optimal":  # Forge's ends at σ_min without a step to 0: its n + 1 sigmas are ours for n + 1 steps
        result = run(count + 1, model=model, size=(512, 512), options=None)[:-1]
    else:
        result = run(count, model=model, size=(512, 512), options=None)
    return relative(result, tensor(expected))


def recorded_schedules() -> Iterator[Comparison]:
    for key, by_count in recorded("schedulers", "schedules")["results"].items():
        variant, name = key.split("/")
        compare = [partial(on_schedule, key, int(count), expected) for count, expected in by_count.items()]
        detail = f"{variant}, n = {', '.join(by_count)}"
        yield Comparison("schedule", name, FORGE, partial(_worst, compare), detail)


def _worst(errors: list[partial[float]]) -> float:
    return max(error() for error in errors)


# -- diffusers

NOISE_SEED = 20


def start(model: ModelSampling, sigma: float) -> Tensor:
    """A batch of 5 points at σ for the Gaussian problem."""
    problem = Gaussian(model)
    generator = torch.Generator().manual_seed(3)
    away = torch.randn(5, 3, generator=generator, dtype=torch.float64) * problem.deviation(sigma)
    return model.alpha(sigma) * problem.mean + away


def peer(scheduler: Any, sigmas: Tensor, model: ModelSampling, *, noisy: bool = False, **kwargs: Any) -> list[Tensor]:
    """Every x (in gesso's scaling) of a diffusers scheduler that is given these sigmas, for the Gaussian problem."""
    problem, generator = Gaussian(model), torch.Generator().manual_seed(NOISE_SEED)
    flow = isinstance(model, FlowSampling)
    scheduler.set_timesteps(len(sigmas) - 1)
    if hasattr(scheduler, "sigmas"):
        scheduler.sigmas = sigmas
        scheduler.timesteps = sigmas[:-1] * 1000
    x, states = start(model, float(sigmas[0])), []
    sample = x if flow else x / (1 + float(sigmas[0]) ** 2) ** 0.5
    for i, t in enumerate(scheduler.timesteps):
        sigma, following = float(sigmas[i]), float(sigmas[i + 1])
        x = sample if flow else sample * (1 + sigma**2) ** 0.5
        if noisy:
            kwargs["variance_noise"] = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        sample = scheduler.step((x - problem(x, sigma).x0) / sigma, t, sample, **kwargs).prev_sample
        states.append(sample if flow else sample * (1 + following**2) ** 0.5)
    return states


def ours(name: str, sigmas: Tensor, model: ModelSampling, *, noisy: bool = False, **options: Any) -> list[Tensor]:
    """Every x of a built-in sampler on the same problem."""
    generator = torch.Generator().manual_seed(NOISE_SEED)
    x, states = start(model, float(sigmas[0])), []

    def noise(sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=torch.float64)

    def keep(step: Step) -> None:
        states.append(step.x)

    solve(name, Gaussian(model), x, sigmas, model=model, noise=noise if noisy else None, on_step=keep, **options)
    return states


def against(make: Callable[[], Any], name: str, model: ModelSampling, steps: int = 20, **options: Any) -> float:
    """The largest error over all steps, relative to the largest value."""
    if name == "ddim":
        sigmas = SCHEDULERS.get("ddim").run.load()(steps, model=model, size=(512, 512), options=None)
    else:
        first = 0.98 if isinstance(model, FlowSampling) else 14.0
        sigmas = torch.cat([torch.linspace(first**0.5, 0.2, steps, dtype=torch.float64) ** 2, torch.zeros(1).double()])
    kwargs = {"eta": options["eta"]} if name == "ddim" else {}
    noisy = options.pop("noisy", False)
    theirs = peer(make(), sigmas, model, noisy=noisy, **kwargs)
    mine = ours(name, sigmas, model, noisy=noisy, **options)
    scale = max(float(x.abs().max()) for x in theirs[-5:])
    return max(float((a - b).abs().max()) for a, b in zip(mine, theirs, strict=True)) / scale


def plms_error(steps: int = 20) -> float:
    """PLMS, all steps but the last, which in diffusers goes along the slopes and here takes the estimate."""
    from diffusers import PNDMScheduler

    scheduler = PNDMScheduler(skip_prk_steps=True, set_alpha_to_one=True, steps_offset=1)
    scheduler.alphas_cumprod = 1 / (1 + SD1.sigmas**2)
    scheduler.set_timesteps(steps)
    sigmas = SCHEDULERS.get("ddim").run.load()(steps, model=SD1, size=(512, 512), options=None)
    table, problem, x = SD1.sigmas.tolist(), Gaussian(SD1), start(SD1, float(sigmas[0]))
    sample = x / (1 + float(sigmas[0]) ** 2) ** 0.5
    for t in scheduler.timesteps[:-1]:
        sigma = table[int(t)]
        x = sample * (1 + sigma**2) ** 0.5
        sample = scheduler.step((x - problem(x, sigma).x0) / sigma, t, sample).prev_sample
    expected = sample * (1 + float(sigmas[-2]) ** 2) ** 0.5
    return relative(ours("plms", sigmas, SD1)[-2], expected)


def diffusers_samplers() -> Iterator[Comparison]:
    import diffusers

    def ddim() -> Any:
        scheduler = diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=True, steps_offset=1)
        scheduler.alphas_cumprod = 1 / (1 + SD1.sigmas**2)
        return scheduler

    def unipc(**config: Any) -> Any:
        return diffusers.UniPCMultistepScheduler(**config)

    def multistep(**config: Any) -> Any:
        return diffusers.DPMSolverMultistepScheduler(**config)

    def row(name: str, detail: str, make: Callable[[], Any], model: ModelSampling, **options: Any) -> Comparison:
        return Comparison("sampler", name, DIFFUSERS, partial(against, make, name, model, **options), detail)

    yield row("ddim", "η = 0", ddim, SD1, eta=0.0)
    yield row("ddim", "η = 1", ddim, SD1, eta=1.0, noisy=True)
    yield Comparison("sampler", "plms", DIFFUSERS, plms_error, "all steps but the last")
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    for model, kind, config in ((SD1, "eps", {}), (FLOW, "flow", flow)):
        for variant in ("bh1", "bh2"):
            for order in (1, 2, 3):
                make = partial(unipc, solver_order=order, solver_type=variant, **config)
                yield row("uni_pc", f"{kind}, {variant}, order {order}", make, model, order=order, variant=variant)
        config = {**config, "final_sigmas_type": "zero"}
        make = partial(multistep, solver_order=2, solver_type="midpoint", **config)
        yield row("dpmpp_2m", kind, make, model)
        make = partial(multistep, solver_order=3, solver_type="heun", **config)
        yield row("dpmpp_3m_sde", f"{kind}, η = 0", make, model, eta=0.0)
        sde = {**config, "algorithm_type": "sde-dpmsolver++", "solver_order": 2}
        make = partial(multistep, solver_type="midpoint", **sde)
        yield row("dpmpp_2m_sde", f"{kind}, η = 1", make, model, noisy=True)
        make = partial(multistep, solver_type="heun", **sde)
        yield row("dpmpp_2m_sde_heun", f"{kind}, η = 1", make, model, noisy=True)
    yield row("euler", "flow", lambda: diffusers.FlowMatchEulerDiscreteScheduler(), FLOW)


def diffusers_schedules() -> Iterator[Comparison]:
    import diffusers
    from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule

    def linear_quadratic() -> float:
        run, counts = SCHEDULERS.get("linear_quadratic").run.load(), (2, 3, 4, 10, 25)
        made = ((run(n, model=FLOW, size=(512, 512), options=None)[:-1], n) for n in counts)
        return max(relative(sigmas, tensor(linear_quadratic_schedule(n, 0.025))) for sigmas, n in made)

    def turbo() -> float:
        betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
        errors = []
        for n in (1, 2, 3, 4, 8):
            scheduler = diffusers.EulerDiscreteScheduler(**betas, timestep_spacing="trailing")
            scheduler.set_timesteps(n)
            sigmas = SCHEDULERS.get("turbo").run.load()(n, model=SD1, size=(512, 512), options=None)
            errors.append(relative(sigmas, scheduler.sigmas.double()))
        return max(errors)

    yield Comparison("schedule", "linear_quadratic", DIFFUSERS, linear_quadratic, "Mochi, n = 2, 3, 4, 10, 25")
    # diffusers builds its table of betas in float32.
    yield Comparison("schedule", "turbo", DIFFUSERS, turbo, "trailing, n = 1, 2, 3, 4, 8", 5e-6)


def comparisons() -> Iterator[Comparison]:
    """All of them."""
    yield from recorded_samplers()
    yield from diffusers_samplers()
    yield from recorded_schedules()
    yield from diffusers_schedules()
