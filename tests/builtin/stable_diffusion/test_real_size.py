"""The published models' real shapes, on meta: recognised, configured and converted without a key left over."""

from __future__ import annotations

from typing import Any

import pytest

from gesso import Header, Plan, TensorInfo
from gesso.models.detect import detect
from tools.random_checkpoint import LAYOUTS

CONFIGS = {
    "sd15": {
        "block_out_channels": [320, 640, 1280, 1280],
        "attention_head_dim": 8,
        "transformer_layers_per_block": [1, 1, 1, 1],
        "cross_attention_dim": 768,
    },
    "sdxl": {
        "block_out_channels": [320, 640, 1280],
        "attention_head_dim": [5, 10, 20],
        "transformer_layers_per_block": [10, 2, 10],
        "cross_attention_dim": 2048,
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_key_finds_its_place(name: str, host: Any) -> None:
    tensors = {n: TensorInfo(format="F16", shape=tuple(t.shape), start=0, end=0) for n, t in LAYOUTS[name][0]().items()}
    header = Header(container="safetensors", tensors=tensors)
    match = detect(header, host)
    family = host.registry("families").get(match.family)
    parts = [*family.parts.values(), host.registry("vaes").get(family.vae).part]
    parts += [host.registry("text_encoders").get(use.encoder).part for use in family.text]
    used = set()
    for part in parts:
        config = part.config.load()(header, match)
        plan: Plan = part.plan.load()(header, match, config)
        module = part.build.load()(config)
        state = {key for key in module.state_dict() if not key.endswith("position_ids")}
        assert {line.target for line in plan} == state
        used |= {line.source for line in plan}
        if part is family.parts.get("unet"):
            assert {key: config[key] for key in CONFIGS[name]} == CONFIGS[name]
    assert used == set(tensors)
