"""Pictures from the exported file with diffusers' modules and sampler: a second opinion beside gesso's own engine."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from PIL import Image
from safetensors.torch import load_file

from tools.shapes import text
from tools.shapes.layouts import LATENT_SCALE, SD1

# captions, seeds (one each) -> pictures
Generator = Callable[[Sequence[str], Sequence[int]], list[Image.Image]]


SIDE = 128


def diffusers_generator(weights: Path, layout: SD1, steps: int, guidance: float) -> Generator:
    """A generator over the single file `weights`: DPM++ 2M on Karras sigmas with classifier-free guidance."""
    state = load_file(weights)
    unet, vae, encoder = layout.unet().eval(), layout.vae().eval(), layout.text_encoder().eval()
    unet.load_state_dict(convert_ldm_unet_checkpoint(state, dict(unet.config)))
    vae.load_state_dict(convert_ldm_vae_checkpoint(state, dict(vae.config)))
    words = convert_ldm_clip_checkpoint(state)
    named = {k.removeprefix("text_model."): v for k, v in words.items()}
    encoder.load_state_dict(named if "embeddings.token_embedding.weight" in encoder.state_dict() else words)

    @torch.inference_mode()
    def generate(captions: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
        scheduler = DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True
        )
        scheduler.set_timesteps(steps)
        ids = torch.stack([text.encode(c, small=False) for c in ("", *captions)])
        states = encoder(ids).last_hidden_state
        states = torch.cat([states[:1].expand(len(captions), -1, -1), states[1:]])
        shape = (4, SIDE // 8, SIDE // 8)
        latents = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds])
        latents = latents * scheduler.init_noise_sigma
        for time in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latents, time)
            without, guided = unet(torch.cat([scaled] * 2), time, states).sample.chunk(2)
            latents = scheduler.step(without + guidance * (guided - without), time, latents).prev_sample
        pixels = vae.decode(latents / LATENT_SCALE).sample.add(1).mul(127.5).round().clamp(0, 255)
        return [Image.fromarray(p.permute(1, 2, 0).numpy().astype(np.uint8)) for p in pixels]

    return generate
