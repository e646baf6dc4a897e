"""Parametrisations: tables, time, log-SNR, noise; schedules that no sampler should see are refused."""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from gesso import DiscreteSampling, FlowSampling, InvalidInputError, ModelSampling
from gesso.engine.sampling import ResolutionFlowSampling, check_schedule

MODELS = {
    "eps": DiscreteSampling.from_betas(),
    "v, zero terminal SNR": DiscreteSampling.from_betas(kind="v", zero_terminal_snr=True),
    "flow": FlowSampling(),
    "flow, shift 3": FlowSampling(3.0),
}
all_models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def test_the_table_is_stable_diffusions() -> None:
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    alphas = scheduler.alphas_cumprod.double()
    assert torch.allclose(MODELS["eps"].sigmas, ((1 - alphas) / alphas).sqrt(), rtol=1e-4)  # theirs is float32
    assert MODELS["eps"].sigma_min == pytest.approx(0.0291671, rel=1e-5)
    assert MODELS["eps"].sigma_max == pytest.approx(14.614641, rel=1e-6)


def test_zero_terminal_snr() -> None:
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    )
    alphas = scheduler.alphas_cumprod.double()[:-1]
    model = MODELS["v, zero terminal SNR"]
    assert torch.allclose(model.sigmas[:-1], ((1 - alphas) / alphas).sqrt(), rtol=1e-3)
    assert model.sigma_max == pytest.approx(4518.75, rel=1e-4)  # what peers put in place of an infinite σ


@all_models
def test_time_and_sigma_are_inverse(model: ModelSampling) -> None:
    for t in (0.0, 0.5, 1.0, 17.25, 500.0, 998.75, 999.0):
        assert model.timestep(model.sigma(t)) == pytest.approx(t, abs=1e-8)
    assert model.sigma(0) == pytest.approx(model.sigma_min)
    assert model.sigma(999) == pytest.approx(model.sigma_max)
    assert model.sigma(-5) == model.sigma(0)
    assert model.sigma(5000) == model.sigma(999)
    assert model.timestep(0.0) == 0
    assert model.timestep(2 * model.sigma_max) == 999


@all_models
def test_half_log_snr_and_its_inverse(model: ModelSampling) -> None:
    for sigma in (0.03, 0.3, 0.9, 0.999):
        value = model.half_log_snr(sigma)
        assert value == pytest.approx(math.log(model.alpha(sigma) / sigma))
        assert model.from_half_log_snr(value) == pytest.approx(sigma)


def test_pure_noise_of_a_flow_model_has_a_finite_log_snr() -> None:
    assert -20 < FlowSampling().half_log_snr(1.0) < FlowSampling().half_log_snr(0.9999)


@all_models
def test_renoise_keeps_signal_and_noise_in_proportion(model: ModelSampling) -> None:
    sigma, target = 0.2, 0.7
    generator = torch.Generator().manual_seed(1)
    clean, first, second = (torch.randn(50_000, generator=generator, dtype=torch.float64) for _ in range(3))
    x = model.renoise(model.scale_noise(first, sigma, clean), sigma, target, second)
    away = x - model.alpha(target) * clean
    assert away.std() == pytest.approx(target, rel=0.01)
    assert float((away * clean).mean()) == pytest.approx(0, abs=0.01)


@all_models
@pytest.mark.parametrize("step", ["sde_step", "ancestral_step"])
def test_noisy_steps_go_below_and_never_under_zero(model: ModelSampling, step: str) -> None:
    down = getattr(model, step)
    assert down(0.8, 0.5, 0.0) == 0.5
    assert 0 < down(0.8, 0.5, 1.0) < down(0.8, 0.5, 0.5) < 0.5
    assert down(0.8, 0.0, 1.0) == 0
    assert down(0.8, 0.1, 5.0) >= 0


def test_eta_one_is_the_posterior_of_ddpm() -> None:
    """β̃ of Ho et al. 2020, eq. 7, in variance-exploding scale."""
    model, sigma, target = MODELS["eps"], 3.0, 1.2
    a, a_next = 1 / (1 + sigma**2), 1 / (1 + target**2)
    variance = (1 - a_next) / (1 - a) * (1 - a / a_next) / a_next
    down = model.sde_step(sigma, target, 1.0)
    assert target**2 - down**2 == pytest.approx(variance)


@pytest.mark.parametrize("shift", [0.0, -1.0, math.nan])
def test_a_shift_must_be_positive(shift: float) -> None:
    with pytest.raises(InvalidInputError, match="shift"):
        FlowSampling(shift)


@pytest.mark.parametrize("size", [(512, 512), (1024, 1024), (1024, 576), (1536, 1536)])
def test_shift_by_resolution_is_fluxs(size: tuple[int, int]) -> None:
    mu = calculate_shift((size[0] // 16) * (size[1] // 16))
    model = ResolutionFlowSampling().for_size(size)
    for t in (0.1, 0.5, 0.9):
        assert model.sigma(1000 * t - 1) == pytest.approx(math.exp(mu) / (math.exp(mu) + 1 / t - 1))


@all_models
def test_other_models_are_the_same_at_every_size(model: ModelSampling) -> None:
    assert model.for_size((64, 2048)) is model


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([3.0, math.nan, 1.0, 0.0], "σ = nan at place 1"),
        ([math.inf, 1.0, 0.0], "σ = inf at place 0"),
        ([3.0, 1.0, -0.5], "σ = -0.5 at place 2"),
        ([3.0, 1.0, 2.0, 0.0], "does not decrease at place 2"),
        ([3.0, 1.0, 1.0, 0.0], "does not decrease at place 2"),
        ([3.0], "at least two"),
        ([], "at least two"),
        ([[3.0, 0.0]], "at least two"),
    ],
)
def test_bad_schedules_are_refused(values: list[float], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check_schedule(torch.tensor(values, dtype=torch.float64))


def test_a_good_schedule_passes_unchanged() -> None:
    sigmas = torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)
    assert check_schedule(sigmas) is sigmas
