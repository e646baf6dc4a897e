"""CFG++: the paper's formula in the coordinates it is written in, and no change where there is no guidance."""

import math
from itertools import pairwise

import pytest
import torch

from gesso import ModelSampling, Prediction
from tools.sampler_cases import FLOW, SCHEDULERS, SD1, Gaussian, solve, tensor

PLAIN = {
    "ddim_cfg_pp": ("ddim", {"eta": 0.7}),
    "euler_cfg_pp": ("euler", {}),
    "dpmpp_2m_cfg_pp": ("dpmpp_2m", {}),
    "dpmpp_2s_ancestral_cfg_pp": ("dpmpp_2s_ancestral", {"eta": 0.6}),
}


class Guided:
    """Two Gaussian estimates, mixed as a guider of this scale does."""

    def __init__(self, model: ModelSampling, scale: float) -> None:
        self.cond = Gaussian(model, mean=tensor([2.0, 0.0, -1.0]))
        self.uncond, self.scale = Gaussian(model), scale

    def __call__(self, x: torch.Tensor, sigma: float) -> Prediction:
        cond, uncond = self.cond(x, sigma).x0, self.uncond(x, sigma).x0
        return Prediction(uncond + self.scale * (cond - uncond), cond, uncond)


def sigmas_of(model: ModelSampling, n: int = 9) -> torch.Tensor:
    return SCHEDULERS.get("sgm_uniform").run.load()(n, model=model, size=(8, 8), options=None)


def fixed_noise(sigma: float, sigma_next: float) -> torch.Tensor:
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(int(1e6 * sigma_next)), dtype=torch.float64)


@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize(("name", "plain"), PLAIN.items(), ids=str)
def test_without_guidance_they_are_the_plain_samplers(
    name: str, plain: tuple[str, dict[str, float]], model: ModelSampling
) -> None:
    sigmas = sigmas_of(model)[1:]
    x = fixed_noise(0, 1) * float(sigmas[0])
    other, options = plain
    for problem in (Gaussian(model), Guided(model, 0.0)):
        alone = Gaussian(model)
        result = solve(name, problem, x, sigmas, model=model, noise=fixed_noise, **options)
        expected = solve(other, alone, x, sigmas, model=model, noise=fixed_noise, **options)
        assert torch.allclose(result, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "scale", "share"), [("euler_cfg_pp", 0.8, 0.8), ("ddim_cfg_pp", 7.5, 7.5 / 12.5)])
def test_the_papers_step(name: str, scale: float, share: float) -> None:
    """Algorithm 2 of arXiv:2406.08070: x' = √ᾱ' x̂_λ + √(1 − ᾱ') ε̂_∅, in variance-preserving coordinates."""
    problem, sigmas = Guided(SD1, scale), sigmas_of(SD1)
    x = fixed_noise(0, 1) * float(sigmas[0])
    result = solve(name, problem, x, sigmas)
    levels = sigmas.tolist()
    z = x / math.sqrt(1 + levels[0] ** 2)
    for sigma, following in pairwise(levels):
        a, a_next = 1 / (1 + sigma**2), 1 / (1 + following**2)
        uncond = problem.uncond(z / math.sqrt(a), sigma).x0
        cond = problem.cond(z / math.sqrt(a), sigma).x0
        noise_free = (z - math.sqrt(a) * uncond) / math.sqrt(1 - a)
        z = math.sqrt(a_next) * (uncond + share * (cond - uncond)) + math.sqrt(1 - a_next) * noise_free
    assert torch.allclose(result, z, rtol=1e-10)


@pytest.mark.parametrize("name", ["euler_cfg_pp", "euler_ancestral_cfg_pp", *PLAIN])
@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
def test_more_guidance_leads_further_towards_the_condition(name: str, model: ModelSampling) -> None:
    sigmas = sigmas_of(model)
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * float(sigmas[0])
    scales = (0.0, 0.5, 1.0)
    problems = [Guided(model, scale * (12.5 if name == "ddim_cfg_pp" else 1.0)) for scale in scales]
    way = problems[0].cond.mean - problems[0].uncond.mean
    places = [solve(name, problem, x, sigmas, model=model).mean(0) @ way for problem in problems]
    assert places[0] < places[1] < places[2]
