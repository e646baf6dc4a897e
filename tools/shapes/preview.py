"""Fit the demo model's live preview: the linear map from a latent to the colour of the pixels under it.

    python -m tools.shapes.preview

Prints the rows and the bias that `gesso_builtin.demo_model.preview` holds, and what share of the colours they explain.
"""

import numpy as np
import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file

from tools.shapes import world
from tools.shapes.layouts import LATENT_SCALE, SD1
from tools.shapes.train import TARGET

SCENES = 256


@torch.inference_mode()
def main() -> None:
    vae = SD1().vae().eval()
    vae.load_state_dict(convert_ldm_vae_checkpoint(load_file(TARGET), dict(vae.config)))
    rng = np.random.default_rng(0)
    pictures = [world.render(world.random_scene(rng, 0.5), seed) for seed in range(SCENES)]
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    pixels = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    latents = vae.encode(pixels).latent_dist.mean * LATENT_SCALE
    colours = torch.nn.functional.avg_pool2d(pixels, pixels.shape[-1] // latents.shape[-1])
    known = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    known = torch.cat([known, torch.ones(len(known), 1)], 1)
    wanted = colours.permute(0, 2, 3, 1).reshape(-1, 3)
    rows = torch.linalg.lstsq(known, wanted).solution
    explained = 1 - (known @ rows - wanted).var() / wanted.var()
    for row in rows.tolist():
        print(tuple(round(value, 3) for value in row))
    print(f"explained: {explained:.3f}")


if __name__ == "__main__":
    main()
