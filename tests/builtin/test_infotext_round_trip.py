"""A picture's infotext makes the same picture again: for every sampler, and with every parameter switched on once."""

from __future__ import annotations

from typing import Any

import pytest

CASES: dict[str, dict[str, Any]] = {
    "variation": {"params": {"variations": {"seed": 5, "strength": 0.4}}},
    "variation seed drawn": {"params": {"variations": {"strength": 0.4}}},
    "seed resize": {"params": {"variations": {"resize_from_width": 32, "resize_from_height": 96}}},
    "RNG NV": {"params": {"noise_controls": {"source": "NV"}}},
    "RNG GPU": {"params": {"noise_controls": {"source": "GPU"}}},
    "ENSD": {"sampler": "euler_ancestral", "params": {"noise_controls": {"ensd": 31337}}},
    "NGMS": {"params": {"cfg_controls": {"min_sigma": 12.5}}},
    "NGMS all steps": {"params": {"cfg_controls": {"min_sigma": 12.5, "all_steps": True}}},
    "skip early CFG": {"params": {"cfg_controls": {"skip_early": 0.4}}},
    "clip skip": {"params": {"clip_skip": {"layers": 2}}},
    "tiling": {"params": {"tiling": {"enabled": True}}},
    "tiling in one direction": {"params": {"tiling": {"enabled": True, "axes": "horizontal"}}},
    "emphasis": {"prompt": "a (red:1.4) circle", "params": {"prompt_syntax": {"emphasis": "No norm"}}},
    "old schedules": {"prompt": "a [red:blue:1.0] circle", "params": {"prompt_syntax": {"old_schedules": True}}},
    "eta": {"sampler": "euler_ancestral", "params": {"sampler": {"eta": 0.5}}},
    "eta of DDIM": {"sampler": "ddim", "params": {"sampler": {"eta": 0.5}}},
    "churn": {"params": {"sampler": {"s_churn": 1.0}}},
    "CFG rescale": {"params": {"guider": {"rescale": 0.7}}},
    "rho": {"scheduler": "karras", "params": {"scheduler": {"rho": 3.0}}},
    "several at once": {
        "sampler": "dpmpp_2m_sde", "negative_prompt": "a green star, blue", "count": 2,
        "params": {"variations": {"seed": 5, "strength": 0.2}, "noise_controls": {"source": "NV", "ensd": 1},
                   "clip_skip": {"layers": 2}, "tiling": {"enabled": True}, "cfg_controls": {"skip_early": 0.2}},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_parameter(demo: Any, name: str) -> None:
    fields = CASES[name]
    made = demo.make(**fields)
    plain = {key: value for key, value in fields.items() if key != "params"}
    assert demo.make(**plain).files != made.files, "the parameter does nothing"
    assert demo.again(made.infotexts[-1]).files == made.files[-1:]


def test_every_sampler(demo: Any) -> None:
    lost = []
    for sampler in demo.service.host.registry("samplers"):
        made = demo.make(sampler=sampler.name, steps=2, width=32, height=32)
        if demo.again(made.infotexts[0]).files != made.files:
            lost.append(sampler.name)
    assert lost == []
