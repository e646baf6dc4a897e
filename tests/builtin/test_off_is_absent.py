"""A feature that is off leaves the very file that comes without its plugin."""

from __future__ import annotations

from typing import Any

import pytest

from gesso.testing import load_host

FEATURES = ("variations", "noise_controls", "cfg_controls", "clip_skip", "vae_choice", "tiling", "styles")
ASKED = {"sampler": "euler_ancestral", "negative_prompt": "a green star", "count": 2}


@pytest.fixture(scope="module")
def with_all_off(demo: Any) -> list[bytes]:
    """Every record sent at its defaults, as the page does."""
    registry = demo.service.host.registry("params")
    off = {name: registry.get(name).params().model_dump(mode="json") for name in FEATURES}
    files: list[bytes] = demo.make(**ASKED, params=off).files
    assert demo.make(**ASKED).files == files
    return files


@pytest.mark.parametrize("feature", FEATURES)
def test_off_is_as_if_it_were_not_installed(demo: Any, with_all_off: list[bytes], feature: str) -> None:
    with load_host(["builtin"], without=[feature]) as host:
        assert feature not in host.registry("params")
        assert demo.beside(host).make(**ASKED).files == with_all_off
