"""Headers of real sizes, by names and shapes alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel

from gesso import BadFileError, Header, TensorInfo
from gesso_flux.recognise import detect, fits
from gesso_flux.t5_keys import config as t5_config
from gesso_flux.transformer import build
from gesso_flux.transformer_keys import bfl_renames, config, plan

DEV = {
    "in_channels": 64, "out_channels": 64, "num_layers": 19, "num_single_layers": 38, "attention_head_dim": 128,
    "num_attention_heads": 24, "joint_attention_dim": 4096, "pooled_projection_dim": 768, "guidance_embeds": True,
    "axes_dims_rope": [16, 56, 56],
}  # fmt: skip
"""What black-forest-labs/FLUX.1-dev says of itself in transformer/config.json."""


def header(shapes: dict[str, tuple[int, ...]]) -> Header:
    tensors = {n: TensorInfo(format="BF16", shape=s, start=0, end=2 * math.prod(s)) for n, s in shapes.items()}
    return Header(container="safetensors", tensors=tensors)


@pytest.fixture(scope="module")
def dev() -> dict[str, tuple[int, ...]]:
    """Names and shapes of flux1-dev.safetensors."""
    with torch.device("meta"):
        model = FluxTransformer2DModel.from_config(DEV)
    places = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    made = {}
    for name, renames in bfl_renames(DEV).items():
        parts = [places.pop(line.target) for line in renames]
        made[name] = (sum(part[0] for part in parts), *parts[0][1:])
    assert not places
    return made


def test_twelve_billion_are_recognised_and_built_on_meta(dev: Any) -> None:
    found = header(dev)
    (match,) = detect(found)
    assert (match.family, match.variant, match.prediction, match.questions) == ("flux", "dev", "flow", ("kontext",))
    made = config(found, match)
    assert made == DEV
    module = build(made)
    assert all(parameter.is_meta for parameter in module.parameters())
    assert sum(p.numel() for p in module.parameters()) == pytest.approx(11.9e9, rel=0.01)
    assert {line.target for line in plan(found, match, made)} == set(dict(module.named_parameters()))
    assert detect(header({f"model.diffusion_model.{name}": shape for name, shape in dev.items()}))


def test_variants_and_neighbours(dev: Any) -> None:
    schnell = {name: shape for name, shape in dev.items() if not name.startswith("guidance_in.")}
    assert detect(header(schnell))[0].variant == "schnell"
    assert detect(header({**dev, "img_in.weight": (3072, 384)}))[0].variant == "fill"
    newer = {name.replace("_norm.scale", "_norm.weight"): shape for name, shape in dev.items()}
    assert detect(header(newer))[0].variant == "dev"
    canny = {**dev, "img_in.weight": (3072, 128)}
    chroma = {name: shape for name, shape in dev.items() if not name.startswith("vector_in.")}
    for other in (canny, chroma, {}, {"img_in.weight": (3072, 64)}):
        assert detect(header(other)) == []


def test_what_goes_with_it(dev: Any) -> None:
    found = header(dev)
    assert fits(found, "t5xxl", {"d_model": 4096})
    assert fits(found, "clip_l", {"hidden_size": 768})
    assert fits(found, "vae", {"latent_channels": 16})
    for part, wrong in (
        ("t5xxl", {"d_model": 1024}),
        ("clip_l", {"hidden_size": 1280}),
        ("vae", {"latent_channels": 4}),
    ):
        assert not fits(found, part, wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"double_blocks.5000.img_mod.lin.weight": (1, 1)},
        {"double_blocks.0.img_attn.norm.key_norm.scale": (3,)},
        {"txt_in.weight": (3072,)},
    ],
)
def test_hostile_headers_end_in_one_sentence(dev: Any, change: Any) -> None:
    found = header({**dev, **change})
    (match,) = detect(found)
    with pytest.raises(BadFileError):
        config(found, match)


def test_t5_xxl() -> None:
    """Names and shapes of t5xxl_fp16.safetensors."""
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (32128, 4096), "encoder.final_layer_norm.weight": (4096,)}
    for n in range(24):
        block = f"encoder.block.{n}.layer."
        shapes |= {f"{block}0.SelfAttention.{part}.weight": (4096, 4096) for part in "qkvo"}
        shapes |= {f"{block}1.DenseReluDense.{part}.weight": (10240, 4096) for part in ("wi_0", "wi_1")}
        shapes[f"{block}1.DenseReluDense.wo.weight"] = (4096, 10240)
    shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (32, 64)
    match = detect(header({}))
    assert match == []
    made = t5_config(header(shapes), None)  # type: ignore[arg-type]
    assert made == {
        "vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
        "relative_attention_num_buckets": 32, "feed_forward_proj": "gated-gelu",
    }  # fmt: skip
