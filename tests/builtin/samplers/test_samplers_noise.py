"""Fresh noise: it leaves the distribution as it is, belongs to each image alone, and is drawn as A1111 draws it."""

import pytest
import torch

from gesso import ModelSampling, Prediction, Step
from gesso.engine.noise import BrownianNoise, IndependentNoise, initial_noise
from tools.sampler_cases import (
    FLOW,
    SAMPLERS,
    SCHEDULERS,
    SD1,
    Gaussian,
    Mixture,
    even_in_log_snr,
    recorded,
    solve,
    tensor,
)

# LCM has a law of its own: each step starts from an estimate, which for ordinary models is narrower than the data.
STOCHASTIC = {record.name: {} for record in SAMPLERS if not record.deterministic and record.name != "lcm"}
CHURNED = {name: {"s_churn": churn, "s_tmax": 5.0} for name, churn in (("euler", 10), ("heun", 40), ("dpm_2", 40))}
CASES = [*STOCHASTIC.items(), *CHURNED.items(), ("ddim", {"eta": 1.0}), ("ddim", {"eta": 0.5})]


@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
def test_noise_leaves_the_distribution_unchanged(name: str, options: dict[str, float], model: ModelSampling) -> None:
    """From the right distribution at σ, with the exact estimate, a sampler must end in the right one at σ'."""
    problem, generator = Gaussian(model), torch.Generator().manual_seed(5)
    start, end = (0.9, 0.05) if model is FLOW else (8.0, 0.05)
    sigmas = even_in_log_snr(model, 300, start, end)

    def normal(*unused: float) -> torch.Tensor:
        return torch.randn(8000, 3, generator=generator, dtype=torch.float64)

    x = model.alpha(start) * problem.mean + normal() * problem.deviation(start)
    result = solve(name, problem, x, sigmas, model=model, noise=normal, **options)
    away = (result - model.alpha(end) * problem.mean) / problem.deviation(end)
    assert away.mean(0).abs().max() < 0.03
    assert (away.std(0) - 1).abs().max() < 0.03


@pytest.mark.parametrize("name", [record.name for record in SAMPLERS])
def test_a_batch_is_its_images(name: str) -> None:
    """Four images at once are the four alone, bit for bit where the arithmetic is elementwise."""
    record = SAMPLERS.get(name)
    data, seeds, shape = recorded(), [11, 12, 13, 2**40], (6,)
    sigmas = SCHEDULERS.get("karras").run.load()(12, model=SD1, size=(8, 8), options=None)

    def run(chosen: list[int]) -> torch.Tensor:
        x, generators = initial_noise(chosen, shape, dtype=torch.float64)
        noise = (
            BrownianNoise(chosen, shape, float(sigmas[-2]), float(sigmas[0]), dtype=torch.float64)
            if record.noise == "brownian"
            else IndependentNoise(generators, shape, dtype=torch.float64)
        )
        return solve(name, Mixture.of(data), x * float(sigmas[0]), sigmas, noise=noise)

    singles = torch.cat([run([seed]) for seed in seeds])
    if record.one_by_one:
        assert not torch.equal(run(seeds), singles)  # which is why the engine runs it image by image
    else:
        assert torch.allclose(run(seeds), singles, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [r.name for r in SAMPLERS if r.options and "s_noise" in r.options.model_fields])
def test_sigma_noise_scales_the_fresh_noise(name: str) -> None:
    data = recorded()
    problem, x, sigmas = Mixture.of(data), tensor([data["x0"]]), tensor(data["sigmas"])
    if name == "restart":
        sigmas = SCHEDULERS.get("karras").run.load()(20, model=SD1, size=(8, 8), options=None)
    options = {"s_churn": 20.0} if name in ("euler", "heun", "dpm_2", "heunpp2") else {}

    def run(height: float, s_noise: float) -> torch.Tensor:
        return solve(
            name, problem, x, sigmas, noise=lambda a, b: torch.full_like(x, height), s_noise=s_noise, **options
        )

    assert torch.allclose(run(1.0, 0.5), run(0.5, 1.0))
    assert not torch.allclose(run(1.0, 0.5), run(1.0, 1.0))


@pytest.mark.parametrize("name", [r.name for r in SAMPLERS if r.options and "eta" in r.options.model_fields])
def test_eta_zero_needs_no_noise(name: str) -> None:
    data = recorded()
    problem, x, sigmas = Mixture.of(data), tensor([data["x0"]]), tensor(data["sigmas"])
    results = [
        solve(name, problem, x, sigmas, noise=lambda a, b, h=height: torch.full_like(x, h), eta=0.0)
        for height in (0, 9)
    ]
    assert torch.equal(*results)


def test_2m_sde_with_heuns_term_is_2m_sde_heun() -> None:
    data = recorded()
    problem, x, sigmas = Mixture.of(data), tensor([data["x0"]]), tensor(data["sigmas"])
    one = solve("dpmpp_2m_sde", problem, x, sigmas, solver_type="heun")
    assert torch.equal(one, solve("dpmpp_2m_sde_heun", problem, x, sigmas))
    assert not torch.equal(one, solve("dpmpp_2m_sde", problem, x, sigmas))


def test_only_adaptive_solvers_run_image_by_image() -> None:
    assert [record.name for record in SAMPLERS if record.one_by_one] == ["dpm_adaptive"]


def test_sde_samplers_use_one_brownian_path_per_image() -> None:
    brownian = [record.label for record in SAMPLERS if record.noise == "brownian"]
    assert brownian == ["DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"]


def test_churn_draws_once_a_step_used_or_not() -> None:
    """So that the noise of a step does not depend on the limits, as in A1111."""
    data, calls = recorded(), []
    sigmas, x = tensor(data["sigmas"]), tensor([data["x0"]])

    def noise(sigma: float, sigma_next: float) -> torch.Tensor:
        calls.append(sigma)
        return torch.ones_like(x)

    solve("euler", Mixture.of(data), x, sigmas, noise=noise, s_churn=10, s_tmin=0.3, s_tmax=2.0)
    assert calls == sigmas[:-1].tolist()
    calls.clear()
    solve("euler", Mixture.of(data), x, sigmas, noise=noise)
    assert calls == []


def test_no_churn_where_a_flow_model_is_pure_noise() -> None:
    sigmas = tensor([1.0, 0.5, 0.0])
    result = solve("euler", Gaussian(FLOW), torch.ones(1, 3).double(), sigmas, model=FLOW, s_churn=50)
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("name", [record.name for record in SAMPLERS])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
def test_dtype_steps_and_stop(name: str, dtype: torch.dtype, model: ModelSampling) -> None:
    """x keeps its dtype and stays finite; steps are told in order; what `on_step` raises ends the run."""
    sigmas = SCHEDULERS.get("simple").run.load()(8, model=model, size=(8, 8), options=None)
    x = (torch.randn(2, 3, generator=torch.Generator().manual_seed(1)) * float(sigmas[0])).to(dtype)

    def denoise(at: torch.Tensor, sigma: float) -> Prediction:
        assert at.dtype == dtype
        return Prediction(Gaussian(model)(at.double(), sigma).x0.to(dtype))

    steps: list[Step] = []
    result = solve(name, denoise, x, sigmas, model=model, on_step=steps.append)
    assert result.dtype == dtype
    assert torch.isfinite(result).all()
    assert [step.index for step in steps] == sorted(step.index for step in steps)
    assert all(0 <= step.index < step.total for step in steps)
    assert all(step.x.dtype == dtype == step.x0.dtype for step in steps)

    def stop(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve(name, denoise, x, sigmas, model=model, on_step=stop)
