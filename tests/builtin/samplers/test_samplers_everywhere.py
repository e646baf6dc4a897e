"""Every sampler with every schedule, and what all samplers must not do."""

import pytest
import torch

from gesso import ModelSampling, Prediction
from gesso.engine.noise import BrownianNoise, IndependentNoise, initial_noise
from gesso.engine.sampling import check_schedule
from tools.sampler_cases import FLOW, SAMPLERS, SCHEDULERS, SD1, Gaussian, solve

NAMES = [record.name for record in SAMPLERS]


@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize("steps", [1, 2, 3, 24])
@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_gives_a_finite_picture_and_with_enough_steps_a_likely_one(
    name: str, steps: int, model: ModelSampling
) -> None:
    record, problem, seeds = SAMPLERS.get(name), Gaussian(model), list(range(4))
    for schedule in SCHEDULERS:
        sigmas = schedule.run.load()(steps + record.discard_penultimate, model=model, size=(512, 512), options=None)
        if record.discard_penultimate:  # as the engine does
            sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
        check_schedule(sigmas)
        start, generators = initial_noise(seeds, (3,), dtype=torch.float64)
        noise = (
            BrownianNoise(seeds, (3,), float(sigmas[-2]), float(sigmas[0]), dtype=torch.float64)
            if record.noise == "brownian"
            else IndependentNoise(generators, (3,), dtype=torch.float64)
        )
        x = model.scale_noise(start, float(sigmas[0]))
        result = solve(name, problem, x, sigmas, model=model, noise=noise)
        assert torch.isfinite(result).all(), schedule.name
        # IPNDM_V's published weights do not bear steps that suddenly grow; LMS's do.
        if steps >= 24 and (name, schedule.name) != ("ipndm_v", "linear_quadratic"):
            away = ((result - problem.mean) / problem.spread).abs().max()
            assert away < 5, (schedule.name, float(away))


@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "dpm_adaptive"])
def test_no_step_waits_for_the_device(name: str, model: ModelSampling) -> None:
    """Tensors on the meta device have no values: whoever asks for one, as a wait for a GPU would, fails."""
    sigmas = SCHEDULERS.get("simple").run.load()(24, model=model, size=(8, 8), options=None)
    x = torch.zeros(2, 4, 8, 8, device="meta")

    def denoise(at: torch.Tensor, sigma: float) -> Prediction:
        assert isinstance(sigma, float)
        return Prediction(at * 0.5, at * 0.6, at * 0.4)

    result = solve(name, denoise, x, sigmas, model=model)
    assert result.shape == x.shape
    with pytest.raises(RuntimeError, match="meta"):
        result.max().item()
