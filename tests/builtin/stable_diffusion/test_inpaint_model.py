"""Models made for inpainting are told the mask and the picture with grey under it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gesso import Model, Prompt
from gesso.paths import Paths
from gesso.plugins.host import Host
from gesso.service import Service


@pytest.fixture(scope="module")
def file(make_sd1: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = make_sd1(9).write(tmp_path_factory.mktemp("models") / "inpaint.safetensors")
    return path


def conditioned(model: Model, pixels: torch.Tensor, mask: torch.Tensor, weight: float) -> torch.Tensor:
    plain = model.family.encode_prompt.load()(
        model, [Prompt.plain("a star")], size=(64, 64), role="positive", options={}
    )
    assert model.family.condition is not None
    cond = model.family.condition.load()(model, plain, pixels=pixels, mask=mask, weight=weight)
    return cond.entries[0].tensors["concat"]


def test_mask_and_hidden_picture_stand_beside_the_latents(load: Any, file: Path) -> None:
    model: Model = load(file)
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1
    beside = conditioned(model, pixels, mask, 1.0)
    assert beside.shape == (1, 5, 8, 8)
    assert (beside[:, 0, :, :4] == 0).all()
    assert (beside[:, 0, :, 4:] == 1).all()
    hidden = pixels.clone()
    hidden[:, :, 32:] = 128  # the uint8 nearest to the middle, as torch rounds 127.5
    assert torch.allclose(beside[:, 1:], model.vae.record.encode.load()(model.vae, hidden, None), atol=1e-5)
    whole = model.vae.record.encode.load()(model.vae, pixels, None)
    assert torch.allclose(conditioned(model, pixels, mask, 0.0)[:, 1:], whole, atol=1e-5)
    assert not torch.allclose(beside[:, 1:], whole, atol=1e-3)


def test_inpainting_with_such_a_model(file: Path, tmp_path: Path) -> None:
    """A whole job: the weight has an effect, and what is not masked stays byte by byte."""
    paths = Paths.of(tmp_path)
    service = Service(Host.load("both", home=paths.home, probe=False), paths)
    noise = Image.effect_noise((64, 64), 120).convert("RGB")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (24, 24, 40, 40))
    refs = []
    for picture in (noise, mask):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        refs.append(service.take_picture(buffer.getvalue()).model_dump())

    def made(weight: float) -> Any:
        fields = {"prompt": "a star", "model": str(file), "steps": 2, "seed": 1, "width": 64, "height": 64,
                  "sampler": "euler", "params": {"img2img": {"init": refs[0], "strength": 1.0},
                                                 "inpaint": {"mask": refs[1], "weight": weight}}}  # fmt: skip
        (artifact,) = service.run(service.job(service.request(fields))).artifacts
        return np.asarray(Image.open(io.BytesIO(service.file(artifact.file))).convert("RGB"))

    one, other = made(1.0), made(0.2)
    service.close()
    assert (one != other).any()
    assert (one[:10] == np.asarray(noise)[:10]).all()
    assert (one[24:40, 24:40] != np.asarray(noise)[24:40, 24:40]).any()
