"""Write a checkpoint of random weights at a published model's real size, in its single-file layout.

    python tools/random_checkpoint.py sd15 /tmp/sd15-random.safetensors

For trying loading, memory and speed where the published weights are not at hand. The file is written tensor by tensor,
so the tool needs no more memory than the largest of them. Weights are scaled so that activations stay finite.
"""

from __future__ import annotations

import argparse
import json
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from gesso_flux.transformer_keys import bfl_renames

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools.shapes.ldm_keys import text_to_ldm, unet_to_ldm, vae_to_ldm
from tools.shapes.sdxl import single_file

ITEM = 2
"""Bytes of an fp16 number."""


def sd15() -> dict[str, torch.Tensor]:
    """Stable Diffusion 1.5's tensors on meta, by their names in the file."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        vae = sd_vae()
        text = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12))
    state = {**unet_to_ldm(unet.state_dict()), **vae_to_ldm(vae.state_dict()), **text_to_ldm(text.state_dict())}
    return {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}


def sdxl() -> dict[str, torch.Tensor]:
    """SDXL base 1.0's tensors on meta, by their names in the file."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        small = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12))
        big = CLIPTextModelWithProjection(
            CLIPTextConfig(
                hidden_size=1280,
                intermediate_size=5120,
                num_attention_heads=20,
                num_hidden_layers=32,
                projection_dim=1280,
            )
        )
        state = single_file(unet, sd_vae(), small, big)
    return {name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}


def sd_vae() -> AutoencoderKL:
    """The autoencoder of SD1 and SDXL, which differ in weights alone."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
    )


def flux() -> dict[str, torch.Tensor]:
    """Flux.1 dev's transformer on meta, by Black Forest Labs' names; text encoders and VAE are files of their own."""
    with torch.device("meta"):
        places = dict(FluxTransformer2DModel(guidance_embeds=True).state_dict())
    config = {"num_attention_heads": 24, "attention_head_dim": 128, "num_layers": 19, "num_single_layers": 38}
    renamed = bfl_renames({**config, "guidance_embeds": True})
    return {name: torch.cat([places[line.target] for line in lines]) for name, lines in renamed.items()}


def t5xxl() -> dict[str, torch.Tensor]:
    """The encoder of T5 v1.1 XXL on meta, by transformers' names."""
    config = T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu"
    )
    with torch.device("meta"):
        state = T5EncoderModel(config).state_dict()
    return {name: tensor for name, tensor in state.items() if name != "encoder.embed_tokens.weight"}


LAYOUTS = {
    "sd15": (sd15, "512x512"), "sdxl": (sdxl, "1024x1024"), "flux": (flux, "1024x1024"), "t5xxl": (t5xxl, "1024x1024")
}  # fmt: skip


def values(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Ones for norms, zeros for biases, small random numbers elsewhere."""
    if name.endswith("bias"):
        return torch.zeros(shape, dtype=torch.float16)
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.float16)
    fan_in = math.prod(shape[1:])
    return (torch.randn(shape, generator=generator) * (0.7 / math.sqrt(fan_in))).half()


def blocks(tensors: dict[str, torch.Tensor], seed: int, resolution: str) -> Iterator[bytes]:
    """Header, then every tensor's bytes."""
    header: dict[str, object] = {
        "__metadata__": {"modelspec.title": "random weights", "modelspec.resolution": resolution}
    }
    start = 0
    for name, tensor in tensors.items():
        end = start + tensor.numel() * ITEM
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    generator = torch.Generator().manual_seed(seed)
    for number, (name, tensor) in enumerate(tensors.items(), 1):
        yield values(name, tensor.shape, generator).numpy().tobytes()
        print(f"\r{number}/{len(tensors)} tensors", end="", file=sys.stderr)
    print(file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", choices=sorted(LAYOUTS))
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    partial = args.file.with_suffix(".partial")
    with partial.open("wb") as file:
        layout, resolution = LAYOUTS[args.layout]
        for block in blocks(layout(), args.seed, resolution):
            file.write(block)
    partial.rename(args.file)
    print(f"{args.file}: {args.file.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
