"""img2img, inpainting, the second pass, shift, previews and adapter files, by the hooks that know no family."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from gesso import AdapterKeys, InvalidInputError
from gesso.jobs.previews import preview_of
from gesso_flux.preview import fit


@pytest.fixture(scope="module")
def picture(studio: Any) -> Image.Image:
    """What the model made: a picture its autoencoder knows."""
    return Image.fromarray(studio("complete", seed=3).pixels.astype(np.uint8))


def test_img2img_goes_away_from_the_picture_with_strength(studio: Any, picture: Image.Image) -> None:
    init = studio.take(picture)
    far = []
    for strength in (0.1, 0.9):
        params = {"img2img": {"init": init, "strength": strength}}
        made = studio("complete", steps=10, params=params)
        far.append(abs(made.pixels - np.asarray(picture).astype(int)).mean())
    assert far[0] < far[1]


@pytest.mark.parametrize("name", ["complete", "fill"])
def test_inpainting_changes_what_is_masked_only(studio: Any, picture: Image.Image, name: str) -> None:
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 63), fill=255)
    params = {
        "img2img": {"init": studio.take(picture), "strength": 1.0}, "inpaint": {"mask": studio.take(mask), "blur": 0}
    }  # fmt: skip
    made = studio(name, steps=4, params=params).pixels
    before = np.asarray(picture).astype(int)
    assert (made[:, 33:] == before[:, 33:]).all()
    assert abs(made[:, :31] - before[:, :31]).mean() > 2


def test_shift_is_the_schedules_for_one_job(studio: Any) -> None:
    usual = studio("complete", steps=4).pixels
    # 64 × 64 pixels are 16 tokens: μ = 0.5 − (256 − 16) · 0.65 / 3840.
    factor = float(np.exp(0.5 - 240 * 0.65 / 3840))
    assert abs(studio("complete", steps=4, params={"flux": {"shift": factor}}).pixels - usual).max() <= 1
    assert abs(studio("complete", steps=4, params={"flux": {"shift": 6}}).pixels - usual).max() > 1
    assert (studio("complete", steps=4).pixels == usual).all()


def test_schnell_cuts_and_guides_nothing(studio: Any) -> None:
    made = studio("schnell")
    assert "Distilled CFG Scale" not in made.infotext
    assert (studio("schnell", params={"flux": {"distilled_cfg": 9}}).pixels == made.pixels).all()
    with pytest.raises(InvalidInputError, match="schnell, which edits no pictures"):
        studio("schnell", params={"flux": {"reference": studio.take(Image.new("RGB", (64, 64)))}})


def test_defaults_are_those_people_start_from(studio: Any) -> None:
    library, service = studio.service.library, studio.service
    dev, schnell = (service.profile(library.find(name)) for name in ("bare", "schnell"))
    assert (dev["width"], dev["height"], dev["sampler"], dev["scheduler"], dev["cfg_scale"]) == (
        896, 1152, "euler", "simple", 1.0,
    )  # fmt: skip
    assert (dev["steps"], schnell["steps"]) == (20, 4)
    with pytest.raises(InvalidInputError, match="multiple of 16"):
        studio("bare", width=72)


def test_a_batch_is_its_pictures_one_by_one(studio: Any) -> None:
    def open_all(made: Any) -> list[Any]:
        return [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int) for file in made.files]

    options = {"cfg_scale": 3.0, "params": {"flux": {"reference": studio.take(Image.new("RGB", (64, 32), "red"))}}}
    both = open_all(studio("complete", batch_size=2, **options))
    single = [open_all(studio("complete", seed=seed, **options))[0] for seed in (7, 8)]
    assert all(abs(a - b).max() <= 1 for a, b in zip(both, single, strict=True))
    assert abs(both[0] - both[1]).max() > 1


def test_weights_in_the_prompt_count(studio: Any) -> None:
    usual = studio("complete").pixels
    assert (studio("complete", prompt="a (red:1.6) circle on a blue background").pixels != usual).any()


def test_previews_show_the_colours_the_autoencoder_means(studio: Any) -> None:
    """Fitted to an autoencoder that was trained, the demo model's, it tells a picture it has not seen."""
    (demo,) = (entry.name for entry in studio.service.library.entries() if entry.built_in)
    vae = studio.load(demo).vae
    patches = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(9)).repeat_interleave(32, 2)
    pixels = (patches.repeat_interleave(32, 3) * 255).to(torch.uint8).permute(0, 2, 3, 1)
    with torch.inference_mode():
        shown = fit(vae)(vae.record.encode.load()(vae, pixels, None)[0]).float()
    want = pixels[0].reshape(16, 8, 16, 8, 3).float().mean((1, 3))
    assert shown.shape == (16, 16, 3)
    assert ((shown - want) ** 2).mean() < 0.25 * ((want.mean((0, 1)) - want) ** 2).mean()


def test_the_preview_is_fitted_once_a_model(studio: Any) -> None:
    model, record = studio.load("complete"), studio.service.host.registry("previews").get("flux1")
    assert model.preview == "flux1"
    assert preview_of(record, model)(torch.zeros(16, 8, 8)).shape == (8, 8, 3)
    assert preview_of(record, model) is preview_of(record, model)


QKV, MLP = "double_blocks.0.img_attn.qkv", "single_blocks.1.linear1"
IMAGE = [f"transformer_blocks.0.attn.to_{part}.weight" for part in "qkv"]
SINGLE = [f"single_transformer_blocks.1.{part}.weight" for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
SPELLINGS = [
    *[(f"lora_unet_{QKV.replace('.', '_')}.weight", IMAGE), (f"diffusion_model.{QKV}.weight", IMAGE)],
    *[(f"{QKV}.weight", IMAGE), (f"lora_unet_{MLP.replace('.', '_')}.weight", SINGLE)],
    ("transformer.transformer_blocks.0.attn.to_q.weight", IMAGE[:1]),
    ("lora_transformer_transformer_blocks_0_attn_to_q.weight", IMAGE[:1]),
    ("lora_unet_final_layer_adaLN_modulation_1.weight", ["norm_out.linear.weight"]),
    ("lora_te1_text_model_encoder_layers_1_mlp_fc1.weight", ["encoder.layers.1.mlp.fc1.weight"]),
    ("lora_te3_encoder_block_1_layer_0_SelfAttention_q.weight", ["block.1.layer.0.SelfAttention.q.weight"]),
]


@pytest.mark.parametrize("name", ["bare", "renamed"])
def test_adapter_files_are_understood_in_every_spelling(studio: Any, name: str) -> None:
    """Whatever names the checkpoint itself has, fused matrices of an adapter are cut like its own."""
    model = studio.load(name)
    keys = AdapterKeys(model)
    for spelling, parameters in SPELLINGS:
        assert [target.parameter for target in keys.find(spelling)] == parameters, spelling
    whole = torch.arange(7 * 32.0)[:, None].expand(-1, 32)
    for targets, rows in ((SPELLINGS[0], 96), (SPELLINGS[3], 224)):
        parts = [
            target.fit(whole[:rows], model.parts["transformer"].module.get_parameter(target.parameter).shape)
            for target in keys.find(targets[0])
        ]
        assert torch.equal(torch.cat(parts), whole[:rows])
    (last,) = keys.find("lora_unet_final_layer_adaLN_modulation_1.weight")
    assert last.fit(whole[:64], (64, 32))[0, 0] == 32


def test_every_weight_of_the_transformer_has_all_its_spellings(studio: Any) -> None:
    model = studio.load("renamed")
    keys = AdapterKeys(model)
    names = keys.names()
    for start in ("lora_unet_double", "lora_unet_transformer", "diffusion_model.", "transformer.", "lora_transformer_"):
        assert any(name.startswith(start) for name in names), start
    for prefix in ("lora_unet_double_blocks", "diffusion_model.", "transformer."):
        found = {t.parameter for n in names if n.startswith(prefix) for t in keys.find(n)}
        everything = set(model.parts["transformer"].weights.sources)
        blocks = {name for name in everything if name.startswith("transformer_blocks.")}
        assert found == (blocks if prefix == "lora_unet_double_blocks" else everything)
