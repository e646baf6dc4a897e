"""The schedules are those of Forge and diffusers, number for number."""

import pytest

from tools.sampler_references import Comparison, diffusers_schedules, recorded_schedules


@pytest.mark.parametrize("row", list(recorded_schedules()), ids=str)
def test_same_sigmas_as_forge(row: Comparison) -> None:
    assert row.error() <= row.tolerance


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_same_sigmas_as_diffusers() -> None:
    rows = list(diffusers_schedules())
    assert {row.name for row in rows} == {"linear_quadratic", "turbo"}
    for row in rows:
        assert row.error() <= row.tolerance, row
