"""Every converted tensor equals the one diffusers' own converters make of the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)

from tools.shapes.sdxl import unet_to_sgm


def same(module: torch.nn.Module, expected: dict[str, torch.Tensor]) -> None:
    got = {name: tensor for name, tensor in module.state_dict().items() if not name.endswith("position_ids")}
    assert got.keys() == expected.keys()
    for name, tensor in got.items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("name", ["sd1", "sdxl", "refiner"])
def test_unet_and_vae(name: str, load: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tiny = request.getfixturevalue(name)
    model = load(tiny.write(tmp_path / "model.safetensors"))
    unet, vae = tiny.pipe.unet, tiny.pipe.vae
    config = dict(unet.config, class_embed_type=None)
    same(model.parts["unet"].module, convert_ldm_unet_checkpoint(dict(tiny.tensors), config))
    same(model.vae.module, convert_ldm_vae_checkpoint(dict(tiny.tensors), dict(vae.config)))
    # The shapes say all that the configuration must.
    for ours, theirs in ((model.parts["unet"], unet), (model.vae, vae)):
        for key, value in ours.config.items():
            known = theirs.config[key]
            if key in ("attention_head_dim", "transformer_layers_per_block"):
                levels = [kind.startswith("CrossAttn") for kind in unet.config.down_block_types]
                known, value = ([v] * len(levels) if isinstance(v, int) else list(v) for v in (known, value))
                known, value = ([v for v, a in zip(vs, levels, strict=True) if a] for vs in (known, value))
            assert value == (list(known) if isinstance(known, tuple) else known), key


def test_clip(sd1: Any, load: Any, tmp_path: Path) -> None:
    model = load(sd1.write(tmp_path / "model.safetensors"))
    expected = convert_ldm_clip_checkpoint(dict(sd1.tensors))
    same(model.text["clip_l"].module, {k.removeprefix("text_model."): v for k, v in expected.items()})


@pytest.mark.parametrize("name", ["sdxl", "refiner"])
def test_open_clip(name: str, load: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    tiny = request.getfixturevalue(name)
    model = load(tiny.write(tmp_path / "model.safetensors"))
    prefix = "conditioner.embedders.0.model." if name == "refiner" else "conditioner.embedders.1.model."
    text = tiny.pipe.text_encoder_2
    expected = convert_open_clip_checkpoint(text, dict(tiny.tensors), prefix=prefix)
    expected = {k if k.startswith("text_") else f"text_model.{k}": v for k, v in expected.items()}
    same(model.text["clip_g"].module, expected)
    ours = model.text["clip_g"].config
    for key in ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "projection_dim"):
        assert ours[key] == getattr(text.config, key)


def test_names_people_also_have(sd1: Any, load: Any, tmp_path: Path) -> None:
    """CLIP without `text_model.`, float position ids, EMA weights and oddments beside the model change nothing."""
    strange = {}
    for name, tensor in sd1.tensors.items():
        strange[name.replace("transformer.text_model.", "transformer.")] = tensor
    strange["cond_stage_model.transformer.embeddings.position_ids"] = torch.arange(77).float()[None] + 0.25
    strange["model_ema.decay"] = torch.tensor(0.9)
    strange["alphas_cumprod"] = torch.rand(1000)
    model = load(type(sd1)(sd1.pipe, strange).write(tmp_path / "strange.safetensors"))
    plain = load(sd1.write(tmp_path / "plain.safetensors"))
    same(model.text["clip_l"].module, dict(plain.text["clip_l"].module.state_dict()))
    assert model.text["clip_l"].module.embeddings.position_ids.dtype == torch.int64


def test_distilled_models(load: Any, sdxl: Any, tmp_path: Path) -> None:
    """SSD-1B's and Vega's shapes: no attention in the middle, other depths on the way up than down."""
    config = {key: value for key, value in sdxl.pipe.unet.config.items() if not key.startswith("_")}
    config |= {
        "mid_block_type": "UNetMidBlock2D",
        "transformer_layers_per_block": [1, [1, 1], [2, 2]],
        "reverse_transformer_layers_per_block": [[2, 2, 3], [2, 1, 1], 1],
    }
    torch.manual_seed(7)
    unet = UNet2DConditionModel.from_config(config).eval()
    tensors = {k: v for k, v in sdxl.tensors.items() if not k.startswith("model.diffusion_model.")}
    model = load(type(sdxl)(None, {**tensors, **unet_to_sgm(unet.state_dict())}).write(tmp_path / "ssd.safetensors"))
    same(model.parts["unet"].module, dict(unet.state_dict()))
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 77, 96)
    added = {"text_embeds": torch.randn(1, 64), "time_ids": torch.rand(1, 6)}
    with torch.inference_mode():
        outs = [
            u(x, 10, encoder_hidden_states=context, added_cond_kwargs=added).sample
            for u in (unet, model.parts["unet"].module)
        ]
    torch.testing.assert_close(*outs)
