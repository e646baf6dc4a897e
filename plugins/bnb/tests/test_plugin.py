"""The plugin is found, it keeps what every plugin keeps, and its operators what operators promise."""

from __future__ import annotations

from typing import ClassVar

import torch

from gesso.testing import find_plugins
from gesso_bnb.layers import dequantise, quantised
from gesso_smoke import OperatorContract, PluginContract


def test_it_is_installed() -> None:
    assert [plugin.dist for plugin in find_plugins(["gesso-bnb:bnb"])] == ["gesso-bnb"]


def sample(kind: str):  # type: ignore[no-untyped-def]
    weight = quantised(kind, torch.randn(16, 64, generator=torch.Generator().manual_seed(2)))
    return weight, dequantise(weight, dtype=torch.float32)


class TestPlugin(PluginContract, OperatorContract):
    plugin = "gesso-bnb:bnb"
    weights: ClassVar = {kind: sample(kind) for kind in ("nf4", "fp4", "llm_int8")}
