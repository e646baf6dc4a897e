"""Loaded models: nothing left on meta, weights that come back bit for bit, variants that run, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EDMEulerScheduler

from gesso import BadFileError, Model, Prompt, Weight

NAMES = ["sd1", "sd2", "sdxl", "refiner"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_on_meta(
    name: str, dtype: torch.dtype, load: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model: Model = load(request.getfixturevalue(name).write(tmp_path / "m.safetensors"), dtype)
    assert set(model.components()) >= {"unet", "vae"}
    for part, component in model.components().items():
        for key, tensor in [*component.module.named_parameters(), *component.module.named_buffers()]:
            assert not tensor.is_meta, f"{part}.{key}"
        assert component.dtype == (torch.float32 if part == "vae" else dtype)
        assert all(p.dtype == component.dtype for p in component.module.parameters())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_reload_is_bit_identical(
    name: str, dtype: torch.dtype, load: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """After writing into tensors that share the file's pages (fp32) or are casts of them, and after exchanging them."""
    model: Model = load(request.getfixturevalue(name).write(tmp_path / "m.safetensors"), dtype)
    for component in model.components().values():
        before = {key: p.detach().clone() for key, p in component.module.named_parameters()}
        with torch.no_grad():
            for parameter in component.module.parameters():
                parameter.mul_(1.5).add_(0.1)
        originals = {key: component.weights.original(key) for key in before}
        for key in before:
            assert torch.equal(originals[key], before[key]), key
            assert not torch.equal(component.module.get_parameter(key), before[key]), key
        for key in list(before):
            component.weights.reload(key)
        for key, parameter in component.module.named_parameters():
            assert torch.equal(parameter, before[key]), key


def test_reload_touches_no_neighbour(load: Any, sdxl: Any, tmp_path: Path) -> None:
    """Query, key and value come from one tensor of the file, and small weights share pages."""
    model: Model = load(sdxl.write(tmp_path / "m.safetensors"))
    weights, module = model.text["clip_g"].weights, model.text["clip_g"].module
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    damaged = {key: p.detach().clone() for key, p in module.named_parameters()}
    name = "text_model.encoder.layers.1.self_attn.q_proj.weight"
    weights.reload(name)
    for key, parameter in module.named_parameters():
        assert torch.equal(parameter, damaged[key]) == (key != name), key


def test_half_precision_keeps_the_vae_in_fp32(load: Any, sdxl: Any, tmp_path: Path) -> None:
    from gesso.engine.devices import pick_vae_dtype

    assert pick_vae_dtype(torch.device("cuda"), torch.float16) == torch.float32
    model: Model = load(sdxl.write(tmp_path / "m.safetensors"), torch.float16)
    # Activations SDXL's VAE really has: far beyond fp16's 65,504.
    big = torch.full((1, 4, 8, 8), 3e4)
    decode = model.vae.record.decode.load()
    assert model.vae.dtype == torch.float32
    assert decode(model.vae, big).shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    ("extra", "data", "kind"),
    [
        ({"edm_mean": torch.tensor([0.1, 0.2, 0.3, 0.4]), "edm_std": torch.tensor([1.0, 2, 3, 4])}, 0.5, "epsilon"),
        ({"edm_vpred.sigma_max": torch.tensor(120.0)}, 1.0, "v_prediction"),
    ],
)
def test_edm(load: Any, sdxl: Any, tmp_path: Path, extra: dict[str, torch.Tensor], data: float, kind: str) -> None:
    """Scaling, time and output as diffusers' EDM scheduler has them."""
    model: Model = load(sdxl.write(tmp_path / "m.safetensors", extra))
    scheduler = EDMEulerScheduler(sigma_data=data, prediction_type=kind)
    encode = model.family.encode_prompt.load()
    entry = encode(model, [Prompt.plain("a star")], size=(64, 64), role="positive", options={}).entries[0]
    for sigma in (0.01, 1.0, 50.0):
        x = torch.randn(1, 4, 8, 8) * sigma
        t = scheduler.precondition_noise(torch.tensor(sigma))
        added = {"text_embeds": entry.tensors["pooled"], "time_ids": entry.tensors["time_ids"]}
        with torch.inference_mode():
            scaled = scheduler.precondition_inputs(x, sigma)
            out = sdxl.pipe.unet(
                scaled, t, encoder_hidden_states=entry.tensors["context"], added_cond_kwargs=added
            ).sample
            want = scheduler.precondition_outputs(x, out, torch.tensor(sigma))
            got = model.family.predict.load()(model, x, sigma, entry)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_playground_latents(load: Any, sdxl: Any, tmp_path: Path) -> None:
    mean, std = torch.tensor([-1.6574, 1.886, -1.383, 2.5155]), torch.tensor([8.4927, 5.9022, 6.5498, 5.2299])
    model: Model = load(sdxl.write(tmp_path / "m.safetensors", {"edm_mean": mean, "edm_std": std}))
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        z = sdxl.pipe.vae.encode(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).latent_dist.mean
        latents = (z - mean[:, None, None]) * 0.5 / std[:, None, None]
        picture = sdxl.pipe.vae.decode(latents * std[:, None, None] / 0.5 + mean[:, None, None]).sample
    torch.testing.assert_close(model.vae.record.encode.load()(model.vae, pixels, None), latents, rtol=1e-5, atol=1e-5)
    expected = ((picture + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1)
    assert (model.vae.record.decode.load()(model.vae, latents) - expected).abs().max() <= 1


@pytest.mark.parametrize(("channels", "kind"), [(8, "ip2p"), (9, "inpaint")])
def test_models_with_extra_inputs_run(load: Any, channels: int, kind: str, tmp_path: Path, make_sd1: Any) -> None:
    """Without a picture: a mask of ones and grey latents for inpainting models, zeros for editing ones."""
    model: Model = load(make_sd1(channels).write(tmp_path / "m.safetensors"))
    assert model.match.variant == kind
    encode = model.family.encode_prompt.load()
    entry = encode(model, [Prompt.plain("a star")], size=(64, 128), role="positive", options={}).entries[0]
    extra = entry.tensors["concat"]
    assert extra.shape == (1, channels - 4, 16, 8)
    assert (extra == 0).all() if kind == "ip2p" else (extra[:, 0] == 1).all() and (extra[:, 1:] != 0).any()
    x = torch.randn(2, 4, 16, 8)
    tensors = {key: value.expand(2, *value.shape[1:]) for key, value in entry.tensors.items()}
    x0 = model.family.predict.load()(model, x, 1.0, type(entry)(tensors))
    assert x0.shape == x.shape
    assert x0.isfinite().all()


def test_what_is_missing_is_named(load: Any, sdxl: Any, tmp_path: Path) -> None:
    def without(prefix: str) -> Path:
        kept = {name: tensor for name, tensor in sdxl.tensors.items() if not name.startswith(prefix)}
        return type(sdxl)(None, kept).write(tmp_path / "m.safetensors")

    for prefix, part in (
        ("first_stage_model.", "holds no vae"),
        ("conditioner.embedders.0.", "holds no clip_l"),
        ("conditioner.embedders.1.", "holds no clip_g"),
        ("first_stage_model.decoder.mid.", "The vae is incomplete"),
        ("model.diffusion_model.out.0.", "The unet is incomplete"),
        ("conditioner.embedders.1.model.text_projection", "The clip_g is incomplete"),
    ):
        with pytest.raises(BadFileError, match=part):
            load(without(prefix))


def test_wrong_shapes_are_named(load: Any, sdxl: Any, tmp_path: Path) -> None:
    for name, shape in (
        ("model.diffusion_model.time_embed.0.weight", (3, 3)),
        ("conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight", (100, 64)),
        ("conditioner.embedders.1.model.text_projection", (64,)),
        ("first_stage_model.decoder.mid.attn_1.q.weight", (32, 32, 3, 3)),
        ("model.diffusion_model.input_blocks.4.0.out_layers.3.weight", ()),
        ("first_stage_model.decoder.conv_in.weight", (1,)),
    ):
        with pytest.raises(BadFileError):
            load(sdxl.write(tmp_path / "m.safetensors", {name: torch.zeros(shape)}))


# --- model folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [None, "400KB"])
@pytest.mark.parametrize("name", ["sd1", "sdxl", "refiner"])
def test_folder_equals_file(
    name: str, shards: str | None, load: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A diffusers folder, whole or in shards, gives the very tensors of the single file, and so the same answers."""
    tiny = request.getfixturevalue(name)
    folder = tmp_path / "model.v1"
    tiny.pipe.save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    assert bool(list(folder.rglob("*.index.json"))) == bool(shards)
    by_file: Model = load(tiny.write(tmp_path / "m.safetensors"))
    by_folder: Model = load(folder)
    assert (by_folder.match.family, by_folder.match.variant) == (by_file.match.family, by_file.match.variant)
    for part, component in by_file.components().items():
        other = by_folder.components()[part].module.state_dict()
        state = component.module.state_dict()
        assert state.keys() == other.keys()
        assert all(torch.equal(state[key], other[key]) for key in state)
    x = torch.randn(1, 4, 8, 8)
    for model in (by_file, by_folder):
        encode = model.family.encode_prompt.load()
        entry = encode(model, [Prompt.plain("a star")], size=(64, 64), role="positive", options={}).entries[0]
        with torch.inference_mode():
            x0 = model.family.predict.load()(model, x, 1.0, entry)
        model.readers[0].close()
        if model is by_file:
            expected = x0
    torch.testing.assert_close(x0, expected)


def test_folder_scheduler_says_the_prediction(load: Any, sdxl: Any, tmp_path: Path) -> None:
    sdxl.pipe.save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}))
    model: Model = load(tmp_path / "m")
    assert model.sampling.kind == "v"
    assert model.sampling.sigma_max > 4000


def test_old_folder_names_of_the_vae(load: Any, sd1: Any, tmp_path: Path) -> None:
    """The attention of folders from SD1's time has the names diffusers used then."""
    from safetensors.torch import load_file, save_file

    sd1.pipe.save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "vae" / "diffusion_pytorch_model.safetensors"
    new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for name, tensor in load_file(path).items():
        for now, then in new.items():
            name = name.replace(f"attentions.0.{now}.", f"attentions.0.{then}.")
        state[name] = tensor
    save_file(state, path)
    module = load(tmp_path / "m").vae.module
    for key, tensor in sd1.pipe.vae.state_dict().items():
        assert torch.equal(module.state_dict()[key], tensor), key


def test_folder_config_that_lies(load: Any, sdxl: Any, tmp_path: Path) -> None:
    sdxl.pipe.save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "unet" / "config.json"
    config = json.loads(path.read_text())
    for change in (
        {"block_out_channels": [10**9, 64, 128]}, {"down_block_types": ["Nonsense"] * 3}, {"cross_attention_dim": "x"},
        {"layers_per_block": -1}, {"attention_head_dim": 0},
    ):  # fmt: skip
        path.write_text(json.dumps({**config, **change}))
        with pytest.raises(BadFileError):
            load(tmp_path / "m")


def test_weights_are_plain(load: Any, sd1: Any, tmp_path: Path) -> None:
    model: Model = load(sd1.write(tmp_path / "m.safetensors"))
    name = next(iter(sd1.tensors))
    weight = model.readers[0].read(name)
    assert isinstance(weight, Weight)
    assert weight.format == "F32"
