"""Which steps and σ a strength runs: A1111's rules, written down here once more, for every sampler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gesso import DiscreteSampling, RunContext
from gesso.engine.control import Control
from gesso.engine.denoise import resolve_schedule
from gesso.plugins.host import Host
from gesso.types import Job, Request

TENTHS = [n / 10 for n in range(1, 11)]
STEPS_OF_20 = {0.1: 3, 0.2: 5, 0.3: 7, 0.4: 9, 0.5: 11, 0.6: 13, 0.7: 15, 0.8: 17, 0.9: 19, 1.0: 20}
"""What A1111 v1.10.1 shows in its progress bar for 20 steps."""
TIME_STEPS = {"ddim", "ddim_cfg_pp", "plms", "uni_pc"}
"""Samplers A1111 runs on time steps instead of σ."""
SAMPLING = DiscreteSampling.from_betas(tables="sd1")


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host.load("both") as loaded:
        yield loaded


def sigmas(host: Host, sampler: str, **overrides: Any) -> list[float]:
    request = Request(sampler=sampler, steps=20)
    parts: Any = {"host": host, "blobs": None, "residency": None, "emit": lambda *_: None, "control": Control()}
    ctx = RunContext(Job(request=request), **parts)
    found: torch.Tensor = resolve_schedule(ctx, host.registry("samplers").get(sampler), SAMPLING, overrides)
    return found.tolist()


def names() -> list[str]:
    with Host.load("both") as loaded:
        return [sampler.name for sampler in loaded.registry("samplers")]


@pytest.mark.parametrize("sampler", names())
def test_every_strength_of_every_sampler(host: Host, sampler: str) -> None:
    """The schedule of 20 steps from A1111's place on."""
    whole = sigmas(host, sampler)
    for strength, steps in STEPS_OF_20.items():
        t_enc = steps - 1
        expected = whole[-1 - max(t_enc, 1) :] if sampler in TIME_STEPS else whole[20 - t_enc - 1 :]
        assert sigmas(host, sampler, strength=strength) == expected, strength


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 13, 25, 50, 150, 1000])
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "dpm_2", "ddim"])
def test_any_number_of_steps(host: Host, sampler: str, steps: int) -> None:
    """int(strength · steps) + 1 of them, never more than there are."""
    whole = sigmas(host, sampler, steps=steps)
    for strength in [0.0, 0.01, *TENTHS, 0.29, 0.58, 0.999, 0.9999]:
        t_enc = int(min(strength, 0.999) * steps)
        found = sigmas(host, sampler, steps=steps, strength=strength)
        assert found == whole[len(whole) - len(found) :]
        if sampler in TIME_STEPS:
            assert len(found) - 1 == min(max(t_enc, 1), len(whole) - 1)
        else:
            assert len(found) == len(whole) - (steps - t_enc - 1)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "dpm_2", "heun", "restart"])
def test_all_steps_asked_for(host: Host, sampler: str) -> None:
    """A1111's option "do exactly the amount of steps": as many are run, of a schedule made for steps / strength."""
    for strength in TENTHS:
        made_for = int(20 / min(strength, 0.999))
        found = sigmas(host, sampler, strength=strength, full_steps=True)
        assert len(found) - 1 == 20
        assert found == sigmas(host, sampler, steps=made_for)[-21:]


def test_strength_nothing_still_runs_a_step(host: Host) -> None:
    assert len(sigmas(host, "euler", strength=0.0)) == 2
    assert len(sigmas(host, "euler", strength=0.0, full_steps=True)) == 2


def test_the_penultimate_sigma_is_dropped_before_the_cut(host: Host) -> None:
    """Samplers that discard it have it dropped from the whole schedule: the last σ but 0 stays the same."""
    for record in host.registry("samplers"):
        if record.discard_penultimate:
            assert sigmas(host, record.name, strength=0.1)[-2] == sigmas(host, record.name)[-2]


@pytest.mark.parametrize(("sampler", "calls"), [("euler", 11), ("dpm_2", 11), ("ddim", 10), ("dpmpp_sde", 11)])
def test_that_many_steps_are_run(demo: Any, sampler: str, calls: int) -> None:
    from PIL import Image

    init = demo.take(Image.new("RGB", (64, 64), (50, 80, 220)))
    made = demo.make(steps=20, sampler=sampler, params={"img2img": {"init": init, "strength": 0.5}})
    done = [e.data for e in made.events if e.kind == "progress" and e.data["stage"] == "sample"]
    assert [d["done"] for d in done] == list(range(1, calls + 1))
    assert {d["total"] for d in done} == {calls}
