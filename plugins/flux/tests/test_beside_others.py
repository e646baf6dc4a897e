"""The second pass and LoRA files on Flux.1, by plugins with no line that names it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from gesso import Service
from gesso.paths import Paths
from gesso.testing import load_host

for plugin in ("gesso_hires", "gesso_lora"):
    pytest.importorskip(plugin, reason=f"{plugin} is not installed")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, tiny: Any, layouts: Any) -> Iterator[Any]:
    home, dev = Paths.of(tmp_path_factory.mktemp("beside")), tiny("dev")
    models = home.home / "models"
    layouts.write_modules(dev, models)
    layouts.save(models / "checkpoints" / "bare.safetensors", layouts.to_bfl(dev))
    torch.manual_seed(4)
    down, up = torch.randn(4, 32) * 0.3, torch.randn(96, 4) * 0.3
    fused = "lora_unet_double_blocks_0_img_attn_qkv"
    kohya = {f"{fused}.lora_down.weight": down, f"{fused}.lora_up.weight": up, f"{fused}.alpha": torch.tensor(4.0)}
    layouts.save(models / "loras" / "kohya.safetensors", kohya)
    toolkit = {}
    for n, part in enumerate("qkv"):
        layer = f"transformer.transformer_blocks.0.attn.to_{part}"
        toolkit[f"{layer}.lora_A.weight"] = down.clone()
        toolkit[f"{layer}.lora_B.weight"] = up[n * 32 : (n + 1) * 32].clone()
    layouts.save(models / "loras" / "toolkit.safetensors", toolkit)
    with load_host(["builtin", "flux", "hires", "lora"]) as host:
        yield layouts.Studio(Service(host, home), models)


def test_one_lora_in_two_spellings(beside: Any) -> None:
    usual = beside("bare")
    fused, split = (beside("bare", prompt=f"a red circle <lora:{name}:1>").pixels for name in ("kohya", "toolkit"))
    assert abs(fused - split).max() <= 1
    assert abs(fused - beside("bare", prompt="a red circle").pixels).max() > 1
    assert beside("bare").files == usual.files


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_second_pass(beside: Any, upscaler: str) -> None:
    hires = {"enabled": True, "scale": 1.5, "strength": 0.5, "upscaler": upscaler}
    made = beside("bare", params={"hires": hires}).pixels
    assert made.shape == (96, 96, 3)
    assert made.std() > 5
