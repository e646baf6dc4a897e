"""Files that open but describe no network: one readable error, no long loop, no big allocation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gesso import BadFileError, Header, TensorInfo
from gesso.models.detect import detect
from gesso_builtin.stable_diffusion import clip_keys, unet_keys, vae_keys

NUMBERED = {
    "model.diffusion_model.input_blocks.{}.0.out_layers.3.weight": unet_keys.config,
    "model.diffusion_model.middle_block.1.transformer_blocks.{}.norm1.bias": unet_keys.config,
    "first_stage_model.encoder.down.{}.block.0.conv2.weight": vae_keys.sdxl_config,
    "first_stage_model.encoder.down.0.block.{}.conv2.weight": vae_keys.sdxl_config,
    "conditioner.embedders.0.transformer.text_model.encoder.layers.{}.mlp.fc1.weight": clip_keys.l_config,
    "conditioner.embedders.1.model.transformer.resblocks.{}.mlp.c_fc.weight": clip_keys.g_config,
}


def header(tensors: dict[str, Any]) -> Header:
    infos = {n: TensorInfo(format="F16", shape=tuple(t.shape), start=0, end=0) for n, t in tensors.items()}
    return Header(container="safetensors", tensors=infos)


@pytest.mark.parametrize("number", [999_999_999, 10**4000])
@pytest.mark.parametrize("name", NUMBERED)
def test_block_numbers_no_model_has(name: str, number: int, sdxl: Any, host: Any) -> None:
    """A name alone, of a tensor without bytes, must not make a billion layers."""
    digits = "9" * 4001 if number > 10**9 else str(number)
    read = header({**sdxl.tensors, name.format(digits): torch.empty(0)})
    match = detect(read, host)
    with pytest.raises((BadFileError, ValueError)):  # ValueError: Python's own limit on digits
        NUMBERED[name](read, match)


@pytest.mark.parametrize(
    ("component", "change"),
    [
        ("unet", {"layers_per_block": 10**9}),
        ("unet", {"layers_per_block": [10**9] * 3}),
        ("unet", {"transformer_layers_per_block": [1, [10**9], 1]}),
        ("unet", {"transformer_layers_per_block": 10**9}),
        ("unet", {"block_out_channels": [32] * 500}),
        ("unet", {"block_out_channels": [10**15, 32, 32]}),
        ("unet", {"block_out_channels": 4}),
        ("unet", {"layers_per_block": "2"}),
        ("vae", {"layers_per_block": 10**9}),
        ("text_encoder", {"num_hidden_layers": 10**9}),
        ("text_encoder", {"max_position_embeddings": 10**12}),
        ("text_encoder_2", {"num_hidden_layers": True}),
        ("text_encoder_2", {"hidden_size": "x"}),
        ("text_encoder", {"hidden_act": "exec"}),
    ],
)
def test_folder_configs_no_model_has(
    component: str, change: dict[str, Any], sdxl: Any, load: Any, folder: Path
) -> None:
    path = folder / component / "config.json"
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), **change}))
    try:
        with pytest.raises(BadFileError):
            load(folder)
    finally:
        path.write_text(before)


@pytest.fixture(scope="module")
def folder(sdxl: Any, load: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("folder") / "m"
    sdxl.pipe.save_pretrained(path)
    load(path)  # Good as it stands, so that what a test refuses is its own change.
    return path


def test_huge_shapes_without_bytes(load: Any, sdxl: Any, tmp_path: Path) -> None:
    """Shapes with a zero side are legal at any size; what is built from them must stay on meta or be refused."""
    for name, shape in (
        ("conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight", (10**12, 0)),
        ("conditioner.embedders.1.model.positional_embedding", (10**11, 0)),
        ("conditioner.embedders.1.model.token_embedding.weight", (0, 10**9)),
        ("model.diffusion_model.input_blocks.0.0.weight", (10**9, 0, 3, 3)),
        ("model.diffusion_model.label_emb.0.0.weight", (0, 10**15)),
        ("first_stage_model.decoder.conv_in.weight", (0, 10**9, 3, 3)),
    ):
        path = tmp_path / "m.safetensors"
        sdxl.write(path, {name: torch.empty(0)})
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        head = json.loads(content[8 : 8 + length])
        head[name]["shape"] = list(shape)
        text = json.dumps(head).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
        with pytest.raises(BadFileError):
            load(path)
