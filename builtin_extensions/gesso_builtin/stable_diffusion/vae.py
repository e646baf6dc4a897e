"""Stable Diffusion's autoencoder behind gesso's seams."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL

from gesso import Component

TILE_ABOVE = 128
"""Latent side above which the VAE works in tiles (1024 pixels)."""
# What the four latent channels look like in RGB: linear fits, good enough to watch a picture grow.
_SD_RGB = ((0.3512, 0.2297, 0.3227), (0.3250, 0.4974, 0.2350), (-0.2829, 0.1762, 0.2721), (-0.2120, -0.2616, -0.7177))
_SDXL_RGB = (
    (0.3651, 0.4232, 0.4341), (-0.2533, -0.0042, 0.1068), (0.1076, 0.1111, -0.0362), (-0.3165, -0.2492, -0.2188),
)  # fmt: skip
_SDXL_BIAS = (0.1084, -0.0175, -0.0011)


def build(config: dict[str, Any]) -> torch.nn.Module:
    """The autoencoder on meta."""
    with torch.device("meta"):
        vae: torch.nn.Module = AutoencoderKL.from_config(config)
    return vae


@torch.inference_mode()
def decode(component: Component, latents: torch.Tensor) -> torch.Tensor:
    """Latents (B,4,H,W) → uint8 pixels (B,8H,8W,3). Large pictures are decoded in tiles."""
    module: Any = component.module
    mean, factor = statistics(component)
    x = (latents.to(device=component.device, dtype=torch.float32) / factor + mean).to(component.dtype)
    module.use_tiling = max(x.shape[-2:]) > TILE_ABOVE
    pixels: torch.Tensor = module.decode(x, return_dict=False)[0].float()
    return ((pixels + 1) * 127.5).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu()


@torch.inference_mode()
def encode(component: Component, pixels: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    """uint8 pixels (B,H,W,3) → latents (B,4,H/8,W/8); `noise` samples the posterior, None takes its mean."""
    module: Any = component.module
    x = pixels.to(component.device).permute(0, 3, 1, 2).to(component.dtype) / 127.5 - 1
    module.use_tiling = max(x.shape[-2:]) > TILE_ABOVE * 8
    posterior = module.encode(x).latent_dist
    z: torch.Tensor = posterior.mean if noise is None else posterior.mean + posterior.std * noise.to(posterior.mean)
    mean, factor = statistics(component)
    return (z.float() - mean) * factor


def statistics(component: Component) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean, factor), each broadcasting to (B,4,H,W): the model's latents are (z − mean) · factor."""
    config = component.config
    scale = float(config["scaling_factor"])
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if not mean or not std:
        mean, std = [config.get("shift_factor") or 0.0], [1.0]
    made = [torch.tensor(v, dtype=torch.float32, device=component.device).reshape(1, -1, 1, 1) for v in (mean, std)]
    return made[0], scale / made[1]


def preview(x0: torch.Tensor) -> torch.Tensor:
    """A rough picture of SD's latents: (4,H,W) → uint8 (H,W,3)."""
    return _preview(x0, _SD_RGB, (0.0, 0.0, 0.0))


def preview_sdxl(x0: torch.Tensor) -> torch.Tensor:
    """A rough picture of SDXL's latents: (4,H,W) → uint8 (H,W,3)."""
    return _preview(x0, _SDXL_RGB, _SDXL_BIAS)


def _preview(x0: torch.Tensor, factors: tuple[tuple[float, ...], ...], bias: tuple[float, ...]) -> torch.Tensor:
    rgb = torch.einsum("chw,cr->hwr", x0.float().cpu(), torch.tensor(factors)) + torch.tensor(bias)
    return ((rgb + 1) * 127.5).clamp(0, 255).to(torch.uint8)
