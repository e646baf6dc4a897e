"""The model's file names its own live preview, which shows the colours of the finished picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file

from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service
from gesso_builtin.demo_model.preview import preview
from tools.shapes import world
from tools.shapes.layouts import LATENT_SCALE, SD1
from tools.shapes.train import TARGET


def test_it_shows_the_colours(tmp_path: Path) -> None:
    vae = SD1().vae().eval()
    vae.load_state_dict(convert_ldm_vae_checkpoint(load_file(TARGET), dict(vae.config)))
    rng = np.random.default_rng(1)
    for seed in range(8):
        picture = torch.from_numpy(np.array(world.render(world.random_scene(rng, 0.5), seed)))
        pixels = picture.permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            latent = vae.encode(pixels / 127.5 - 1).latent_dist.mean[0] * LATENT_SCALE
        wanted = torch.nn.functional.avg_pool2d(pixels, 8)[0].permute(1, 2, 0)
        assert (preview(latent).float() - wanted).abs().mean() < 12


def test_the_file_names_it_and_the_cfg_scale_it_is_best_at(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path)
    service = Service(Host.load("both", home=paths.home), paths)
    assert service.request({"prompt": "x", "model": "shapes"}).cfg_scale == 4
    assert service.library.header(TARGET).metadata["gesso.preview"] in service.host.registry("previews")
