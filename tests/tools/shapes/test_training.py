"""Stages run, stop, go on to the same weights as without the stop, and score measures what it is given."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tools.shapes import autoencoder, denoiser, score, world
from tools.shapes.layouts import SD1
from tools.shapes.muon import Muon, orthogonalise

SMALL = SD1(vae_widths=(16, 16, 16, 16), unet_widths=(16, 32), text_width=32, text_layers=1)
VAE = autoencoder.VaeRecipe(steps=2, fine_steps=1, batch=4, decoder_steps=2)
UNET = denoiser.UnetRecipe(steps=4, batch=4, pictures=50, warm=1)


def latents(folder: Path) -> None:
    """Stored latents of the size the denoiser is used to, from a random source."""
    generator = torch.Generator().manual_seed(0)
    stored = torch.randn(50, 4, 16, 16, generator=generator).half()
    denoiser.write_tensors(folder / "latents.safetensors", {"latents": stored})


def test_stages_of_the_autoencoder(tmp_path: Path) -> None:
    autoencoder.train_vae(SMALL, tmp_path, VAE)
    trained = load_file(tmp_path / "vae.safetensors")
    assert int(trained["step"]) == 3
    denoiser.store_latents(SMALL, tmp_path, UNET)
    stored = load_file(tmp_path / "latents.safetensors")
    assert stored["latents"].shape[:2] == (50, 4)
    assert stored["latents"].float().mean((0, 2, 3)).abs().max() < 0.01
    denoiser.store_latents(SMALL, tmp_path, replace(UNET, pictures=75))
    longer = load_file(tmp_path / "latents.safetensors")
    assert torch.equal(longer["latents"][:50], stored["latents"])
    assert torch.equal(longer["mean"], stored["mean"])


def test_polishing_changes_the_decoder_only(tmp_path: Path) -> None:
    autoencoder.train_vae(SMALL, tmp_path, VAE)
    before = autoencoder.load_vae(SMALL, tmp_path).state_dict()
    autoencoder.polish_decoder(SMALL, tmp_path, VAE)
    after = autoencoder.load_vae(SMALL, tmp_path).state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed
    assert all(k.startswith(("decoder.", "post_quant_conv.")) for k in changed)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_stop_changes_nothing(tmp_path: Path, optimizer: str) -> None:
    recipe = replace(UNET, optimizer=optimizer)
    for name, stops in (("whole", (4,)), ("stopped", (2, 4))):
        (tmp_path / name).mkdir()
        latents(tmp_path / name)
        for stop in stops:
            denoiser.train_unet(SMALL, tmp_path / name, recipe, stop=stop)
    whole, stopped = (load_file(tmp_path / n / "unet.safetensors") for n in ("whole", "stopped"))
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[k], stopped[k]) for k in whole)


def test_the_unknown_token_stays_zero(tmp_path: Path) -> None:
    latents(tmp_path)
    denoiser.train_unet(SMALL, tmp_path, replace(UNET, unknown=0.9, empty=0.0))
    pair, step = denoiser.load_average(SMALL, tmp_path)
    assert step == 4
    assert not pair.token_table()[denoiser.text.UNKNOWN].any()
    assert pair.token_table()[3:].abs().sum() > 0


def test_missing_stage_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'vae' stage"):
        autoencoder.load_vae(SMALL, tmp_path)
    with pytest.raises(FileNotFoundError, match="'unet' stage"):
        denoiser.load_average(SMALL, tmp_path)


@pytest.mark.parametrize("shape", [(8, 32), (32, 8)])
def test_orthogonalise_evens_out_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * torch.linspace(0.2, 3, shape[1])
    values = torch.linalg.svdvals(orthogonalise(matrix, 5).float())
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_muon_lowers_a_loss() -> None:
    torch.manual_seed(0)
    layer, target = torch.nn.Conv2d(4, 8, 3), torch.randn(2, 8, 6, 6)
    optimizer, x = Muon([layer.weight], lr=0.05), torch.randn(2, 4, 8, 8)
    losses = []
    for _ in range(30):
        loss = (layer(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def drawn(captions: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
    """A perfect generator: it draws what it is asked for."""
    scenes = {s.caption: s for s in world.held_out()}
    return [world.render(scenes[c], s) for c, s in zip(captions, seeds, strict=True)]


def mirrored(captions: Sequence[str], seeds: Sequence[int]) -> list[Image.Image]:
    """A generator that confuses left with right."""
    return [Image.fromarray(np.asarray(p)[:, ::-1].copy()) for p in drawn(captions, seeds)]


def test_score_of_a_perfect_and_of_a_mirrored_generator() -> None:
    captions = [s.caption for s in (*world.held_out()[:10], *world.held_out()[100:130])]
    perfect = score.measure(drawn, captions, seeds=2)
    assert len(perfect) == 80
    assert all(v.all for *_, v in perfect)
    assert "| pair | 60 | 100.0 |" in score.table(perfect)
    wrong = score.measure(mirrored, captions, seeds=1)
    assert not any(v.relation for c, _, _, v in wrong if "left of" in c)
    assert all(v.relation for c, _, _, v in wrong if "above" in c)
    assert score.contact_sheet(wrong).width > 8 * 128
