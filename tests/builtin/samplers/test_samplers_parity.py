"""The samplers compute what ComfyUI, Forge and diffusers compute."""

import pytest

from tools.sampler_references import Comparison, diffusers_samplers, recorded_samplers

RECORDED, DIFFUSERS = list(recorded_samplers()), list(diffusers_samplers())


@pytest.mark.parametrize("row", RECORDED, ids=str)
def test_same_as_recorded(row: Comparison) -> None:
    assert row.error() <= row.tolerance


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("row", DIFFUSERS, ids=str)
def test_same_as_diffusers(row: Comparison) -> None:
    assert row.error() <= row.tolerance


def test_every_recorded_result_is_compared() -> None:
    assert sum(row.detail != "with the peers' quadrature" for row in RECORDED) == 24 + 9 + 1  # the last is Restart
