"""The network shapes of each layout we train; the SDXL sibling's are in `tools.shapes.sdxl`, which trains it too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

CONTEXT = 77
VOCABULARY = 49408
BOS, EOS = 49406, 49407
LATENT_SCALE = 0.18215
TRAIN_STEPS = 1000


def group_count(first_width: int) -> int:
    """GroupNorm groups for a network whose first level has `first_width` channels.

    SD 1.x has 32 groups over 320 (UNet) and 128 (autoencoder) channels. A small network keeps four channels or more to
    a group: with one channel to a group the norm is an instance norm, which erases flat colours.
    """
    return min(32, first_width // 4)


def head_count(width: int) -> int:
    """Attention heads of a CLIP text encoder: 64 channels to a head as in CLIP, or 32 in small encoders."""
    return width // 64 if width % 64 == 0 else width // 32


def alphas_cumprod() -> torch.Tensor:
    """SD 1.x's cumulative signal shares: scaled-linear betas 0.00085 to 0.012 over 1000 steps, float32[1000]."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


@dataclass(frozen=True)
class SD1:
    """Widths and depths of an SD 1.x-shaped model: AutoencoderKL, UNet2DConditionModel, CLIP text encoder."""

    vae_widths: tuple[int, ...] = (32, 32, 64, 64)
    vae_layers: int = 1
    unet_widths: tuple[int, ...] = (64, 128)
    unet_attention: tuple[bool, ...] = (False, True)
    unet_layers: int = 1
    text_width: int = 96
    text_layers: int = 2

    def vae(self) -> AutoencoderKL:
        """A freshly initialised autoencoder: eight pixels to a latent cell, four latent channels."""
        levels = len(self.vae_widths)
        return AutoencoderKL(
            block_out_channels=self.vae_widths,
            layers_per_block=self.vae_layers,
            norm_num_groups=group_count(self.vae_widths[0]),
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            scaling_factor=LATENT_SCALE,
            sample_size=128,
        )

    def unet(self) -> UNet2DConditionModel:
        """A freshly initialised denoiser of 4-channel latents, conditioned on float[batch, 77, text_width]."""
        down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in self.unet_attention)
        up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(self.unet_attention))
        return UNet2DConditionModel(
            sample_size=16,
            block_out_channels=self.unet_widths,
            layers_per_block=self.unet_layers,
            norm_num_groups=group_count(self.unet_widths[0]),
            down_block_types=down,
            up_block_types=up,
            cross_attention_dim=self.text_width,
            attention_head_dim=8,
        )

    def text_encoder(self, vocabulary: int = VOCABULARY) -> CLIPTextModel:
        """A freshly initialised CLIP text encoder; training uses a small `vocabulary`, the export the full one."""
        small = vocabulary != VOCABULARY
        return CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=self.text_width,
                intermediate_size=4 * self.text_width,
                num_hidden_layers=self.text_layers,
                num_attention_heads=head_count(self.text_width),
                max_position_embeddings=CONTEXT,
                hidden_act="quick_gelu",
                projection_dim=self.text_width,
                bos_token_id=0 if small else BOS,
                eos_token_id=1 if small else EOS,
                pad_token_id=1 if small else EOS,
            )
        )


# Layouts that go through all stages of tools.shapes.train; "flux" and "video" go here as they come.
LAYOUTS: dict[str, Callable[..., Any]] = {"sd1": SD1}
