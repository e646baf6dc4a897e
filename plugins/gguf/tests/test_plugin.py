"""The plugin is found, it keeps what every plugin keeps, and its operator what operators promise."""

from __future__ import annotations

from typing import ClassVar

import torch
from gguf import GGMLQuantizationType as Kind
from gguf import quants

from gesso import Weight
from gesso.testing import find_plugins
from gesso_gguf.layers import dequantise
from gesso_smoke import OperatorContract, PluginContract


def test_it_is_installed() -> None:
    assert [plugin.dist for plugin in find_plugins(["gesso-gguf:gguf"])] == ["gesso-gguf"]


def sample(kind: str) -> tuple[Weight, torch.Tensor]:
    values = torch.randn(16, 64, generator=torch.Generator().manual_seed(2))
    weight = Weight(kind, (16, 64), {"data": torch.from_numpy(quants.quantize(values.numpy(), Kind[kind]))})
    return weight, dequantise(weight, dtype=torch.float32)


class TestPlugin(PluginContract, OperatorContract):
    plugin = "gesso-gguf:gguf"
    weights: ClassVar = {kind: sample(kind) for kind in ("Q8_0", "Q4_0", "Q5_1")}
