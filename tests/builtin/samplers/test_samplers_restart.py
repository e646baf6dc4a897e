"""Restart: where and how often it goes back up, as in A1111."""

from itertools import pairwise

import pytest

from gesso_builtin.samplers.restart import _moves
from tools.sampler_cases import FLOW, SCHEDULERS, SD1


def moves(steps: int, model=SD1) -> list[tuple[float, float]]:
    sigmas = SCHEDULERS.get("karras").run.load()(steps, model=model, size=(8, 8), options=None)
    return _moves(sigmas.tolist(), model)


@pytest.mark.parametrize(("steps", "jumps"), [(10, 0), (19, 0), (20, 1), (35, 1), (36, 2), (50, 2)])
def test_number_of_restarts_and_steps(steps: int, jumps: int) -> None:
    made = moves(steps)
    ups = [(before[1], after[0]) for before, after in pairwise(made) if after[0] > before[1]]
    assert len(ups) == jumps
    assert len(made) == steps  # restarts cost steps, they add none
    assert made[-1][1] == 0
    for low, high in ups:
        assert low == pytest.approx(0.1, rel=0.35)
        assert high == pytest.approx(2.0, rel=0.35)


def test_flow_models_restart_at_the_same_signal_to_noise_ratio() -> None:
    made = moves(40, FLOW)
    ups = [after[0] for before, after in pairwise(made) if after[0] > before[1]]
    assert ups == pytest.approx([2 / 3] * 2, rel=0.1)


def test_a_schedule_that_stops_early_is_kept() -> None:
    levels = [10 * 0.8**i for i in range(31)]
    assert _moves(levels, SD1)[-1][1] == levels[-1]
