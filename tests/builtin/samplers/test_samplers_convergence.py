"""Deterministic solvers converge to the known answer as fast as theory says, on eps/v and on flow models."""

import pytest

from gesso import ModelSampling, Step
from tools.sampler_cases import CONVERGENCE, FLOW, SAMPLERS, SD1, Convergence, Gaussian, even_in_log_snr, solve, tensor


@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize("case", CONVERGENCE, ids=lambda case: f"{case.name} {case.options}")
def test_order(case: Convergence, model: ModelSampling) -> None:
    assert case.measured(model) > case.order - 0.2


# Not in the list: solvers without a setting free of fresh noise, and the one that chooses its own steps (below).
NOISY = {"ddpm", "lcm", "restart"}


def test_every_deterministic_solver_is_measured() -> None:
    twins = {"ddim_cfg_pp", "euler_ancestral_cfg_pp"}  # Euler's method without guidance: test_cfg_pp.py
    measured = {case.name for case in CONVERGENCE}
    assert {record.name for record in SAMPLERS} - measured == NOISY | twins | {"dpm_adaptive"}


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("model", [SD1, FLOW], ids=["eps", "flow"])
def test_dpm_adaptive_meets_its_tolerance(model: ModelSampling, order: int) -> None:
    problem, start, end = Gaussian(model), 0.9 if model is FLOW else 14.6, 0.03
    x = model.alpha(start) * problem.mean + tensor([[1.3, -0.4, 0.8]]) * problem.deviation(start)
    exact, sigmas = problem.exact(x, start, end), even_in_log_snr(model, 10, start, end)
    errors, calls = [], []
    for tolerance in (0.05, 0.005, 0.0005):
        options = {"eta": 0.0, "order": order, "rtol": tolerance, "atol": tolerance * 0.15}
        steps: list[Step] = []
        result = solve("dpm_adaptive", problem, x, sigmas, model=model, on_step=steps.append, **options)
        errors.append(float((result - exact).abs().max()))
        calls.append(len(steps))
        assert errors[-1] < 5 * tolerance
    assert errors[0] > errors[1] > errors[2]
    assert calls[0] < calls[1] < calls[2]
