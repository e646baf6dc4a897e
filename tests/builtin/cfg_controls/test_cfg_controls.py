"""Steps without the negative prompt: which, how much work they save, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from gesso import Guidance
from gesso_builtin.cfg_controls.plugin import CfgControls, skipped


@pytest.mark.parametrize(
    ("options", "left_out"),
    [({}, set()), ({"skip_early": 0.25}, {0, 1, 2, 3, 4, 5}), ({"skip_early": 1}, set(range(20))),
     ({"min_sigma": 5.0}, {15, 17, 19}), ({"min_sigma": 5.0, "all_steps": True}, set(range(15, 20))),
     ({"min_sigma": 15.0}, set(range(5, 20, 2))), ({"all_steps": True}, set())],
)  # fmt: skip
def test_which_calls_are_left_out_is_a1111s_rule(options: dict[str, Any], left_out: set[int]) -> None:
    """20 steps with σ from 19.5 down to 0.5; the first call is number 0."""
    calls = [Guidance(19.5 - call, call, 20, (), (), 7.0) for call in range(20)]
    assert {g.call for g in calls if skipped(g, CfgControls.parse(options))} == left_out


@contextmanager
def counted(demo: Any) -> Iterator[list[int]]:
    """How many rows each call of the network is given."""
    reference = demo.service.host.registry("families").get("sd1").predict
    original, rows = reference.load(), list[int]()

    def counting(model: Any, x: Any, sigma: float, cond: Any) -> Any:
        rows.append(len(x))
        return original(model, x, sigma, cond)

    reference._value = counting
    try:
        yield rows
    finally:
        reference._value = original


def test_a_call_without_it_is_half_the_work(demo: Any) -> None:
    with counted(demo) as rows:
        demo.make(steps=6, params={"cfg_controls": {"min_sigma": 15}})
        demo.make(steps=6, params={"cfg_controls": {"skip_early": 0.5}})
    assert rows == [2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 2]


def test_without_it_everywhere_is_no_guidance(demo: Any) -> None:
    """Nothing but the prompt's own prediction: the picture of CFG 1, to the last bit."""
    plain = demo.make(cfg_scale=1, negative_prompt="a green star").picture
    for options in ({"skip_early": 1}, {"min_sigma": 15, "all_steps": True}):
        made = demo.make(negative_prompt="a green star", params={"cfg_controls": options}).picture
        assert np.array_equal(made, plain)


def test_more_of_it_changes_more(demo: Any) -> None:
    def away(options: dict[str, Any]) -> float:
        picture = demo.make(steps=6, params={"cfg_controls": options}).picture
        return float(np.abs(picture.astype(float) - plain).mean())

    plain = demo.make(steps=6).picture.astype(float)
    assert 0 < away({"min_sigma": 1, "all_steps": True}) < away({"min_sigma": 15, "all_steps": True})
    assert 0 < away({"skip_early": 0.1}) < away({"skip_early": 0.9})


@pytest.mark.parametrize("sampler", ["heun", "euler_cfg_pp"])
def test_samplers_that_ask_twice_or_read_the_unguided_estimate_go_on(demo: Any, sampler: str) -> None:
    made = demo.make(sampler=sampler, cfg_scale=1.5, params={"cfg_controls": {"min_sigma": 15, "skip_early": 0.2}})
    assert made.picture.std() > 5


def test_composable_prompts_go_on(demo: Any) -> None:
    made = demo.make(prompt="a red circle AND a blue background :0.5", params={"cfg_controls": {"skip_early": 1}})
    assert made.picture.std() > 5
