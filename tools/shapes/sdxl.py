"""The SDXL sibling: a small model in SDXL's single-file layout, its key names, its training face and its export.

    python -m tools.shapes.warm_start text --folder shapes-xl-training --teacher shapes-training
    python -m tools.shapes.warm_start attention --folder shapes-xl-training --teacher shapes-training
    python -m tools.shapes.sdxl unet --folder shapes-xl-training
    python -m tools.shapes.sdxl export --folder shapes-xl-training --target shapes-sdxl.safetensors

The folder is one in which the vae and latents stages of tools.shapes.train have run.

Two text encoders (CLIP-L's and OpenCLIP-G's layouts), a UNet with linear projections, conditioned on pooled text and on
sizes too. It shares the world, the captions and the autoencoder with the SD 1.x model: the autoencoder's latents differ
from SDXL's only by a constant, which the export folds into it.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tools.shapes import denoiser, text
from tools.shapes.autoencoder import load_vae
from tools.shapes.export import normalise_latents
from tools.shapes.layouts import BOS, CONTEXT, EOS, SD1, VOCABULARY, group_count, head_count
from tools.shapes.layouts import LATENT_SCALE as SD1_SCALE
from tools.shapes.ldm_keys import TEXT, UNET, text_to_ldm, unet_to_ldm, vae_to_ldm
from tools.shapes.progress import write_tensors

CLIP_L, CLIP_G, REFINER_G = (
    "conditioner.embedders.0.transformer.text_model.",
    "conditioner.embedders.1.model.",
    "conditioner.embedders.0.model.",
)
LATENT_SCALE = 0.13025
SIDE = 128
"""Pixels of the training pictures' sides, which the model is told."""
CELL = 8
"""Pixels to a latent cell."""
CROPPED, FURTHEST = 0.25, 6
"""The share of the training pictures that begin further right and down than they were drawn, and by how many cells."""
METADATA = {
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-xl-v1-base",
    "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
    "modelspec.title": "Shapes XL",
    "modelspec.resolution": f"{SIDE}x{SIDE}",
    "modelspec.prediction_type": "epsilon",
    "gesso.defaults": '{"cfg_scale": 4, "steps": 20}',
    "gesso.preview": "shapes",
    "modelspec.license": "Apache-2.0",
    "modelspec.description": "Flat coloured shapes on flat backgrounds, in SDXL's layout; a small test model.",
}
RECIPE = denoiser.UnetRecipe(steps=600, warm=20, rate=5e-4, muon_rate=1e-3, decay_share=0.6, ema=0.99)
"""For weights that tools.shapes.warm_start has made; from nothing it takes several times the steps."""
_LABEL = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
_OPEN_CLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_OPEN_CLIP_LAYERS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def unet_to_sgm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an SDXL-shaped UNet2DConditionModel to generative-models' names."""
    labels = {k: v for k, v in state.items() if k.startswith("add_embedding.")}
    renamed = unet_to_ldm({k: v for k, v in state.items() if k not in labels})
    for key, tensor in labels.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{UNET}{_LABEL[layer]}.{kind}"] = tensor
    return renamed


def text_to_open_clip(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Rename the state dict of a CLIPTextModel(WithProjection): query, key and value in one, projection transposed."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = key.removeprefix("text_model.")
        layer = re.match(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$", name)
        if name in _OPEN_CLIP:
            renamed[prefix + _OPEN_CLIP[name]] = tensor
        elif name == "text_projection.weight":
            renamed[f"{prefix}text_projection"] = tensor.t().contiguous()
        elif layer and layer[2] == "self_attn.q_proj":
            parts = [state[key.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            renamed[f"{prefix}transformer.resblocks.{layer[1]}.attn.in_proj_{layer[3]}"] = torch.cat(parts)
        elif layer and layer[2] in _OPEN_CLIP_LAYERS:
            renamed[f"{prefix}transformer.resblocks.{layer[1]}.{_OPEN_CLIP_LAYERS[layer[2]]}.{layer[3]}"] = tensor
    return renamed


def single_file(
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    clip_l: CLIPTextModel | None,
    clip_g: CLIPTextModelWithProjection,
) -> dict[str, Tensor]:
    """All tensors by their names in SDXL's single file; without CLIP-L in the refiner's."""
    tensors = {**unet_to_sgm(unet.state_dict()), **vae_to_ldm(vae.state_dict())}
    if clip_l is not None:
        tensors |= {CLIP_L + k.removeprefix(TEXT): v for k, v in text_to_ldm(clip_l.state_dict()).items()}
    return tensors | text_to_open_clip(clip_g.state_dict(), REFINER_G if clip_l is None else CLIP_G)


@dataclass(frozen=True)
class SDXL(SD1):
    """Widths and depths of an SDXL-shaped model. `text_width` is CLIP-L's; heads in the UNet have 64 channels."""

    unet_widths: tuple[int, ...] = (64, 128)
    unet_attention: tuple[bool, ...] = (False, True)
    unet_depth: int = 1
    text_width: int = 32
    text_layers: int = 3
    big_width: int = 48
    big_layers: int = 3
    time_width: int = 32
    """Channels of each of the six size numbers (SDXL has 256)."""
    refiner: bool = False

    def unet(self) -> UNet2DConditionModel:
        """A denoiser conditioned on float[b, 77, text_width + big_width], float[b, big_width] and six sizes."""
        down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in self.unet_attention)
        up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(self.unet_attention))
        return UNet2DConditionModel(
            sample_size=16,
            block_out_channels=self.unet_widths,
            layers_per_block=self.unet_layers,
            norm_num_groups=group_count(self.unet_widths[0]),
            down_block_types=down,
            up_block_types=up,
            cross_attention_dim=self.big_width + (0 if self.refiner else self.text_width),
            attention_head_dim=tuple(max(1, w // 64) for w in self.unet_widths),
            transformer_layers_per_block=self.unet_depth,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=self.time_width,
            projection_class_embeddings_input_dim=self.big_width + (5 if self.refiner else 6) * self.time_width,
        )

    def big_encoder(self, vocabulary: int = VOCABULARY) -> CLIPTextModelWithProjection:
        """A freshly initialised encoder in OpenCLIP-G's place."""
        small = vocabulary != VOCABULARY
        return CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=self.big_width,
                intermediate_size=4 * self.big_width,
                num_hidden_layers=self.big_layers,
                num_attention_heads=head_count(self.big_width),
                max_position_embeddings=CONTEXT,
                hidden_act="gelu",
                projection_dim=self.big_width,
                bos_token_id=0 if small else BOS,
                eos_token_id=1 if small else EOS,
                pad_token_id=1 if small else 0,
            )
        )


class Pair(denoiser.Pair):
    """The UNet with both text encoders, as one module with the face the trainer knows."""

    def __init__(self, layout: SDXL) -> None:
        super().__init__(layout)
        self.layout = layout
        self.big = layout.big_encoder(text.SMALL)
        self.big.set_attn_implementation("eager")
        table = self.big.get_input_embeddings().weight
        with torch.no_grad():
            table[text.UNKNOWN] = 0
        # OpenCLIP pads with token 0, which captions never use and the export leaves at zero: here, the unknown token.
        known = torch.ones(len(table), 1).index_fill(0, torch.tensor(text.UNKNOWN), 0.0)
        table.register_hook(lambda gradient: gradient * known.to(gradient))

    def encoded(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """(float[b, 77, both widths], float[b, big_width]) as SDXL reads its encoders: the last layer but one without
        the final norm, beside the big one's projected end token. No caption is all zeros."""
        device = self.big.text_projection.weight.device
        ids = torch.stack([text.encode(c, True) for c in captions]).to(device)
        ends = (ids == 1).int().cumsum(1)
        small = self.text(ids, output_hidden_states=True)
        big = self.big(torch.where(ends > 1, text.UNKNOWN, ids), output_hidden_states=True)
        said = torch.tensor([bool(c) for c in captions], device=device)
        states = torch.cat([small.hidden_states[-2], big.hidden_states[-2]], dim=-1)
        return states * said[:, None, None], big.text_embeds * said[:, None]

    def varied(self, clean: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Some of the pictures cropped at the left and at the top, as SDXL was told of its own: {"crops": int[b, 2]}.

        What then lacks at the right and below is a repetition of the last cells.
        """
        chosen = torch.rand(len(clean), 1) < CROPPED
        cells = torch.randint(FURTHEST + 1, (len(clean), 2)) * chosen
        height, width = clean.shape[2:]
        moved = [
            one[:, (torch.arange(height) + top).clamp_max(height - 1)][
                ..., (torch.arange(width) + left).clamp_max(width - 1)
            ]
            for one, (top, left) in zip(clean, cells.tolist(), strict=True)
        ]
        return torch.stack(moved), {"crops": cells * CELL}

    def forward(self, noisy: Tensor, times: Tensor, captions: list[str], crops: Tensor | None = None) -> Tensor:
        """Predicted noise, float[batch, 4, h, w]; `crops` are pixels cut off at the top and at the left, int[b, 2]."""
        order = {c: i for i, c in enumerate(dict.fromkeys(captions))}
        states, pooled = self.encoded(list(order))
        chosen = torch.tensor([order[c] for c in captions], device=noisy.device)
        sizes = torch.tensor([SIDE, SIDE, 0, 0, SIDE, SIDE], device=noisy.device).repeat(len(captions), 1)
        if crops is not None:
            sizes[:, 2:4] = crops
        added = {"text_embeds": pooled[chosen], "time_ids": sizes.float()}
        predicted: Tensor = self.unet(noisy, times, states[chosen], added_cond_kwargs=added).sample
        return predicted


@torch.no_grad()
def full_vocabulary(small: nn.Module, full: nn.Module) -> nn.Module:
    """`full` with the weights of `small` and its known tokens spread over CLIP's 49,408; the others stay zero."""
    state = dict(small.state_dict())
    name = next(k for k in state if k.endswith("token_embedding.weight"))
    table = torch.zeros(VOCABULARY, state[name].shape[1])
    for index, clip in enumerate(text.KNOWN_IDS):
        if clip >= 0:
            table[clip] = state[name][index]
    full.load_state_dict({**state, name: table})
    return full.eval()


@torch.no_grad()
def scale_latents(vae: AutoencoderKL, factor: float) -> None:
    """Make `encode` give latents `factor` times as large, and `decode` take such, in place."""
    vae.quant_conv.weight[:4] *= factor
    vae.quant_conv.bias[:4] *= factor
    vae.post_quant_conv.weight /= factor


def export(layout: SDXL, folder: Path, target: Path) -> None:
    """Write `folder`'s averaged weights to `target` in fp16."""
    stats = load_file(folder / "latents.safetensors")
    vae = load_vae(layout, folder)
    normalise_latents(vae, stats["mean"], stats["std"])
    scale_latents(vae, SD1_SCALE / LATENT_SCALE)
    pair, step = denoiser.load_average(layout, folder, Pair)
    small = full_vocabulary(pair.text, layout.text_encoder())
    assert isinstance(pair, Pair)
    big = full_vocabulary(pair.big, layout.big_encoder())
    tensors = {k: v.half().contiguous() for k, v in single_file(pair.unet, vae, small, big).items()}
    write_tensors(target, tensors, METADATA)
    print(f"wrote {target}: {target.stat().st_size} bytes, denoiser step {step}")


def main() -> None:
    """The stages of its own; autoencoder and latents are those of the SD 1.x model."""
    parser = argparse.ArgumentParser(prog="python -m tools.shapes.sdxl", description=__doc__)
    parser.add_argument("stage", choices=("unet", "export"))
    parser.add_argument("--folder", type=Path, default=Path("shapes-xl-training"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=RECIPE.steps)
    parser.add_argument("--target", type=Path, default=Path("shapes-sdxl.safetensors"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.stage == "unet":
        denoiser.train_unet(SDXL(), args.folder, replace(RECIPE, steps=args.steps), args.device, kind=Pair)
    else:
        export(SDXL(), args.folder, args.target)


if __name__ == "__main__":
    main()
