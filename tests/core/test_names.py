"""Old names of samplers, with the schedule in them, are split as A1111 splits them."""

from __future__ import annotations

import pytest

from gesso import SamplerFn, ScheduleFn, Scheduler, UnknownNameError, lazy
from gesso.contributions import Sampler
from gesso.names import split_sampler_name
from gesso.registry import Registry


def sampler(name: str, label: str, default: str = "uniform", *aliases: str) -> Sampler:
    run = lazy("nowhere:run", SamplerFn)
    return Sampler(name=name, label=label, aliases=aliases, run=run, default_scheduler=default)


@pytest.fixture
def samplers() -> Registry[Sampler]:
    registry = Registry("sampler", Sampler)
    for item in (
        sampler("dpmpp_2m", "DPM++ 2M", "karras", "k_dpmpp_2m"),
        sampler("dpmpp_2m_sde", "DPM++ 2M SDE", "exponential"),
        sampler("dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun", "exponential"),
        sampler("euler", "Euler"),
        sampler("ddim", "DDIM", "ddim"),
        sampler("heun", "Heun"),
    ):
        registry.add(item, owner="test")
    return registry


@pytest.fixture
def schedulers() -> Registry[Scheduler]:
    registry = Registry("scheduler", Scheduler)
    run = lazy("nowhere:run", ScheduleFn)
    for name, label, *aliases in (
        ("automatic", "Automatic"), ("uniform", "Uniform"), ("karras", "Karras"), ("exponential", "Exponential"),
        ("sgm_uniform", "SGM Uniform", "SGMUniform"), ("ddim", "DDIM"), ("simple", "Simple"),
    ):  # fmt: skip
        registry.add(Scheduler(name=name, label=label, aliases=tuple(aliases), run=run), owner="test")
    return registry


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DPM++ 2M Karras", ("dpmpp_2m", "automatic")),
        ("DPM++ 2M karras", ("dpmpp_2m", "automatic")),
        ("k_dpmpp_2m karras", ("dpmpp_2m", "automatic")),
        ("DPM++ 2M SDE Karras", ("dpmpp_2m_sde", "karras")),
        ("DPM++ 2M SDE Exponential", ("dpmpp_2m_sde", "automatic")),
        ("DPM++ 2M SDE Heun Karras", ("dpmpp_2m_sde_heun", "karras")),
        ("DPM++ 2M SDE Heun", ("dpmpp_2m_sde_heun", None)),
        ("DPM++ 2M", ("dpmpp_2m", None)),
        ("Euler SGMUniform", ("euler", "sgm_uniform")),
        ("Euler SGM Uniform", ("euler", "sgm_uniform")),
        ("Euler Uniform", ("euler", "automatic")),
        ("Euler Automatic", ("euler", "automatic")),
        ("DDIM", ("ddim", None)),
        ("DDIM DDIM", ("ddim", "automatic")),
        ("  euler   simple ", ("euler", "simple")),
    ],
)
def test_split(text: str, expected: tuple[str, str | None], samplers, schedulers) -> None:
    found, schedule = split_sampler_name(text, samplers, schedulers)
    assert (found.name, schedule and schedule.name) == expected


@pytest.mark.parametrize(
    ("text", "named", "near"),
    [("Eular", "Eular", "Euler"), ("DPM++ 3M Karras", "DPM++ 3M", "DPM++ 2M"), ("Karras", "Karras", ""), ("", "", "")],
)
def test_an_unknown_name_says_what_is_near(text: str, named: str, near: str, samplers, schedulers) -> None:
    with pytest.raises(UnknownNameError, match=f"Unknown sampler '{named.replace('+', '.')}'") as caught:
        split_sampler_name(text, samplers, schedulers)
    assert not near or near.casefold() in [name.casefold() for name in caught.value.near]
