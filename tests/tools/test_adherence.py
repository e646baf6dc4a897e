"""The page of every sampler with every scheduler is whole; and, in short, what it says is so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from gesso import Sampler, SamplerFn, Step, lazy
from gesso.service import Service
from tools.adherence import PAGE, PICTURES, cell, draw, watched_service


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with watched_service() as made:
        yield made


def cells(line: str) -> list[str]:
    return [part.strip() for part in line.strip().strip("|").split("|")]


def test_the_page_has_every_pair_and_each_is_finite(service: Service) -> None:
    head, _, *rows = (cells(line) for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|"))
    assert head[1:] == [s.label for s in service.host.registry("schedulers")]
    assert [row[0] for row in rows] == [s.label for s in service.host.registry("samplers")]
    for label, *counts in rows:
        assert len(counts) == len(head) - 1, label
        assert set(counts) <= {str(n) for n in range(PICTURES + 1)}, label


def distance(a: Image.Image, b: Image.Image) -> float:
    """PSNR in dB."""
    error = float(np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2))
    return 10 * np.log10(255**2 / error) if error else float("inf")


def test_a_pair_of_each_is_finite_and_a_batch_of_four_is_four_singles(service: Service) -> None:
    """Each sampler once, each scheduler about twice; `tox -e adherence` tries all pairs."""
    torch.set_num_threads(1)
    schedulers = [s.name for s in service.host.registry("schedulers")]
    for number, sampler in enumerate(service.host.registry("samplers")):
        scheduler = schedulers[number % len(schedulers)]
        asked = {"steps": 4, "cfg_scale": 4, "width": 64, "height": 64}
        pictures, finite = draw(service, sampler.name, scheduler, batch_size=4, **asked)
        assert len(pictures) == 4
        assert finite, (sampler.name, scheduler)
        (third,), _ = draw(service, sampler.name, scheduler, **{**asked, "seed": 3})
        assert distance(pictures[2], third) >= 40, (sampler.name, scheduler)


def nowhere(denoise, x, sigmas, *, model, noise, on_step, options):
    """A sampler whose numbers are none."""
    lost = x / 0 * 0
    on_step(Step(0, 1, float(sigmas[0]), 0.0, lost, lost))
    return lost


def test_what_is_not_finite_is_found(service: Service) -> None:
    samplers = service.host.registry("samplers")
    samplers.add(Sampler(name="nowhere", run=lazy(f"{__name__}:nowhere", SamplerFn)), owner="test")
    try:
        assert cell(service, "nowhere", "karras", 1, 4) == "not finite"
    finally:
        samplers.remove_owner("test")
