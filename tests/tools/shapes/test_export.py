"""The exported single file loads back, through diffusers' own converters, into networks that compute the same bits."""

from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from diffusers.models.attention_processor import AttnProcessor
from safetensors import safe_open
from safetensors.torch import load_file

from tools.shapes import export as exporting
from tools.shapes import text
from tools.shapes.denoiser import Pair
from tools.shapes.layouts import LATENT_SCALE, SD1
from tools.shapes.progress import save_checkpoint, write_tensors

LAYOUTS = {
    "as shipped": SD1(),
    "deeper": SD1(unet_layers=2, unet_attention=(True, True), vae_layers=2),
    "three levels": SD1(unet_widths=(64, 64, 128), unet_attention=(True, True, False)),
}


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS.keys())
def exported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[SD1, Path, Pair]:
    layout: SD1 = request.param
    torch.manual_seed(0)
    pair = Pair(layout)
    save_checkpoint(tmp_path / "vae.safetensors", 1, {"vae": layout.vae()}, {})
    save_checkpoint(tmp_path / "unet.safetensors", 1, {"model": pair, "average": pair}, {})
    stats = {"mean": torch.tensor([0.1, -0.2, 0.3, 0.0]), "std": torch.tensor([1.0, 2.0, 0.5, 1.5])}
    write_tensors(tmp_path / "latents.safetensors", stats)
    exporting.LIMIT_BYTES, kept = 40_000_000, exporting.LIMIT_BYTES
    try:
        exporting.export(layout, tmp_path, tmp_path / "shapes.safetensors")
    finally:
        exporting.LIMIT_BYTES = kept
    return layout, tmp_path, pair


@torch.inference_mode()
def test_unet_round_trip(exported: tuple[SD1, Path, Pair]) -> None:
    layout, folder, pair = exported
    unet = layout.unet()
    converted = convert_ldm_unet_checkpoint(load_file(folder / "shapes.safetensors"), dict(unet.config))
    unet.load_state_dict(converted)
    unet.set_attn_processor(AttnProcessor())  # as in training: the fused kernel rounds differently
    noisy, states = torch.randn(2, 4, 16, 16), torch.randn(2, 77, layout.text_width)
    expected = pair.unet.half().float()(noisy, torch.tensor([3, 900]), states).sample
    assert torch.equal(unet.eval()(noisy, torch.tensor([3, 900]), states).sample, expected)


@torch.inference_mode()
def test_vae_round_trip_and_latent_statistics(exported: tuple[SD1, Path, Pair]) -> None:
    layout, folder, _ = exported
    vae = layout.vae().eval()
    vae.load_state_dict(convert_ldm_vae_checkpoint(load_file(folder / "shapes.safetensors"), dict(vae.config)))
    raw = exporting.load_vae(layout, folder)
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    stats = load_file(folder / "latents.safetensors")
    mean, std = stats["mean"][:, None, None], stats["std"][:, None, None]
    expected = (raw.encode(pictures).latent_dist.mean - mean) / std
    latents = vae.encode(pictures).latent_dist.mean * LATENT_SCALE
    torch.testing.assert_close(latents, expected, atol=2e-2, rtol=2e-2)
    decoded = vae.decode(expected / LATENT_SCALE).sample
    torch.testing.assert_close(decoded, raw.decode(expected * std + mean).sample, atol=2e-2, rtol=2e-2)
    exact = exporting.load_vae(layout, folder)
    exporting.normalise_latents(exact, stats["mean"], stats["std"])
    assert torch.equal(exact.half().float().to(memory_format=torch.contiguous_format).decode(latents).sample,
                       vae.decode(latents).sample)  # fmt: skip


@torch.inference_mode()
def test_text_round_trip(exported: tuple[SD1, Path, Pair]) -> None:
    layout, folder, pair = exported
    encoder = layout.text_encoder().eval()
    encoder.set_attn_implementation("eager")
    state = convert_ldm_clip_checkpoint(load_file(folder / "shapes.safetensors"))
    encoder.load_state_dict({k.removeprefix("text_model."): v for k, v in state.items()})
    caption = "a small cyan heart on a red background"
    got = encoder(text.encode(caption, small=False)[None]).last_hidden_state
    expected = pair.text.eval().half().float()(text.encode(caption, small=True)[None]).last_hidden_state
    assert torch.equal(got, expected)


def test_metadata(exported: tuple[SD1, Path, Pair]) -> None:
    with safe_open(exported[1] / "shapes.safetensors", "pt") as handle:
        metadata = handle.metadata()
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1"
    assert metadata["modelspec.prediction_type"] == "epsilon"


def test_too_large_a_model_is_refused(tmp_path: Path) -> None:
    layout = SD1(text_width=192)
    save_checkpoint(tmp_path / "vae.safetensors", 1, {"vae": layout.vae()}, {})
    save_checkpoint(tmp_path / "unet.safetensors", 1, {"average": Pair(layout)}, {})
    write_tensors(tmp_path / "latents.safetensors", {"mean": torch.zeros(4), "std": torch.ones(4)})
    with pytest.raises(ValueError, match="smaller"):
        exporting.export(layout, tmp_path, tmp_path / "shapes.safetensors")
    assert not (tmp_path / "shapes.safetensors").exists()
