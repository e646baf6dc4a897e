"""gesso's conditioning and one network call against diffusers' own pipelines with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gesso import Prompt, Segment, Span, SubPrompt

# diffusers 0.42's Euler scheduler hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CLOSE = {"rtol": 1e-5, "atol": 2e-5}
TEXT, NEGATIVE = "a red circle, (oil paint) on a blue background", "ugly, blurry"


def encode(model: Any, text: str, role: str = "positive", size: tuple[int, int] = (64, 128), **options: Any) -> Any:
    prompt = Prompt.plain(text)
    return model.family.encode_prompt.load()(model, [prompt], size=size, role=role, options=options).entries[0]


def predicted(model: Any, entry: Any, step: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(x, x0, σ) of one call at training time `step`."""
    sigma = float(model.sampling.sigmas[step])
    channels = model.vae.config["latent_channels"]
    x = torch.randn(1, channels, 8, 16, generator=torch.Generator().manual_seed(step)) * sigma
    with torch.inference_mode():
        return x, model.family.predict.load()(model, x, sigma, entry), sigma


def by_diffusers(pipe: Any, x: torch.Tensor, sigma: float, step: int, **call: Any) -> torch.Tensor:
    """x0 by diffusers' Euler scheduler and UNet."""
    pipe.scheduler.set_timesteps(timesteps=[step])
    time = pipe.scheduler.timesteps[0]
    assert float(pipe.scheduler.sigmas[0]) == pytest.approx(sigma, rel=1e-4)  # diffusers' table is float32
    with torch.inference_mode():
        out = pipe.unet(pipe.scheduler.scale_model_input(x, time), time, return_dict=False, **call)[0]
        return pipe.scheduler.step(out, time, x).pred_original_sample


@pytest.mark.parametrize("step", [0, 500, 999])
def test_sd1(sd1: Any, load: Any, tmp_path: Path, step: int) -> None:
    model = load(sd1.write(tmp_path / "sd1.safetensors"))
    positive, negative = encode(model, TEXT), encode(model, NEGATIVE, "negative")
    expected = sd1.pipe.encode_prompt(TEXT, "cpu", 1, True, NEGATIVE)
    torch.testing.assert_close(positive.tensors["context"], expected[0], **CLOSE)
    torch.testing.assert_close(negative.tensors["context"], expected[1], **CLOSE)
    x, x0, sigma = predicted(model, positive, step)
    want = by_diffusers(sd1.pipe, x, sigma, step, encoder_hidden_states=expected[0])
    torch.testing.assert_close(x0, want, rtol=1e-5, atol=1e-5 * max(1.0, sigma))


def test_sd1_clip_skip(sd1: Any, load: Any, tmp_path: Path) -> None:
    model = load(sd1.write(tmp_path / "sd1.safetensors"))
    ids, text = sd1.pipe.tokenizer(TEXT, padding="max_length", return_tensors="pt").input_ids, sd1.pipe.text_encoder
    with torch.inference_mode():
        states = text(ids, output_hidden_states=True).hidden_states
        for skip in (1, 2, 3):
            expected = text.final_layer_norm(states[-skip])
            torch.testing.assert_close(encode(model, TEXT, clip_skip=skip).tensors["context"], expected, **CLOSE)


@pytest.mark.parametrize("step", [0, 500, 999])
def test_sdxl(sdxl: Any, load: Any, tmp_path: Path, step: int) -> None:
    model = load(sdxl.write(tmp_path / "sdxl.safetensors"))
    assert (model.match.family, model.match.variant, list(model.text)) == ("sdxl", "base", ["clip_l", "clip_g"])
    positive, negative = encode(model, TEXT), encode(model, NEGATIVE, "negative")
    context, without, pooled, without_pooled = sdxl.pipe.encode_prompt(TEXT, negative_prompt=NEGATIVE, device="cpu")
    torch.testing.assert_close(positive.tensors["context"], context, **CLOSE)
    torch.testing.assert_close(positive.tensors["pooled"], pooled, **CLOSE)
    torch.testing.assert_close(negative.tensors["context"], without, **CLOSE)
    torch.testing.assert_close(negative.tensors["pooled"], without_pooled, **CLOSE)
    # diffusers counts height first; the picture is 64 wide and 128 high.
    ids = sdxl.pipe._get_add_time_ids((128, 64), (0, 0), (128, 64), torch.float32, text_encoder_projection_dim=64)
    torch.testing.assert_close(positive.tensors["time_ids"], ids)
    x, x0, sigma = predicted(model, positive, step)
    added = {"text_embeds": pooled, "time_ids": ids}
    want = by_diffusers(sdxl.pipe, x, sigma, step, encoder_hidden_states=context, added_cond_kwargs=added)
    torch.testing.assert_close(x0, want, rtol=1e-5, atol=1e-5 * max(1.0, sigma))


def test_sdxl_size_conditioning(sdxl: Any, load: Any, tmp_path: Path) -> None:
    model = load(sdxl.write(tmp_path / "sdxl.safetensors"))
    entry = encode(model, TEXT, original_size=(1920, 1080), crop=(30, 7), target_size=(640, 480))
    assert entry.tensors["time_ids"].tolist() == [[1080, 1920, 7, 30, 480, 640]]


def test_sdxl_empty_negative_is_zeros(sdxl: Any, load: Any, tmp_path: Path) -> None:
    model = load(sdxl.write(tmp_path / "sdxl.safetensors"))
    entry = encode(model, "", "negative")
    expected = sdxl.pipe.encode_prompt(TEXT, device="cpu")
    for key, want in (("context", expected[1]), ("pooled", expected[3])):
        assert torch.equal(entry.tensors[key], want)
    assert encode(model, "", "positive").tensors["context"].abs().sum() > 0


def test_sdxl_clip_skip_as_a1111(sdxl: Any, load: Any, tmp_path: Path) -> None:
    """Ignored, unless asked to act on CLIP-L; then the state is taken as the layer left it."""
    model = load(sdxl.write(tmp_path / "sdxl.safetensors"))
    plain = encode(model, TEXT).tensors["context"]
    assert torch.equal(plain, encode(model, TEXT, clip_skip=3).tensors["context"])
    skipped = encode(model, TEXT, clip_skip=3, sdxl_clip_l_skip=True).tensors["context"]
    # diffusers' clip_skip counts from the last layer but one and acts on both encoders.
    expected = sdxl.pipe.encode_prompt(TEXT, device="cpu", do_classifier_free_guidance=False, clip_skip=1)[0]
    torch.testing.assert_close(skipped[..., :32], expected[..., :32], **CLOSE)
    assert torch.equal(skipped[..., 32:], plain[..., 32:])


def test_long_prompts_pool_the_first_chunk(sdxl: Any, load: Any, tmp_path: Path) -> None:
    model = load(sdxl.write(tmp_path / "sdxl.safetensors"))
    first = "one two three four five " * 15
    long = encode(model, first + "a red circle").tensors
    assert long["context"].shape == (1, 154, 96)
    torch.testing.assert_close(long["pooled"], encode(model, first).tensors["pooled"], **CLOSE)


@pytest.mark.parametrize("step", [0, 500, 999])
def test_refiner(refiner: Any, load: Any, tmp_path: Path, step: int) -> None:
    model = load(refiner.write(tmp_path / "refiner.safetensors"))
    assert (model.match.family, model.match.variant, list(model.text)) == ("sdxl", "refiner", ["clip_g"])
    positive, negative = encode(model, TEXT), encode(model, NEGATIVE, "negative")
    context, without, pooled, _ = refiner.pipe.encode_prompt(TEXT, negative_prompt=NEGATIVE, device="cpu")
    torch.testing.assert_close(positive.tensors["context"], context, **CLOSE)
    torch.testing.assert_close(negative.tensors["context"], without, **CLOSE)
    size = (128, 64)
    ids, other = refiner.pipe._get_add_time_ids(
        size, (0, 0), size, 6.0, 2.5, size, (0, 0), size, torch.float32, text_encoder_projection_dim=64
    )
    torch.testing.assert_close(positive.tensors["time_ids"], ids)
    torch.testing.assert_close(negative.tensors["time_ids"], other)
    x, x0, sigma = predicted(model, positive, step)
    added = {"text_embeds": pooled, "time_ids": ids}
    want = by_diffusers(refiner.pipe, x, sigma, step, encoder_hidden_states=context, added_cond_kwargs=added)
    torch.testing.assert_close(x0, want, rtol=1e-5, atol=1e-5 * max(1.0, sigma))


def test_sd2(sd2: Any, load: Any, tmp_path: Path) -> None:
    """OpenCLIP-H: the last layer but one with the final norm, padded with zeros behind one end token."""
    model = load(sd2.write(tmp_path / "sd2.safetensors"))
    assert model.match.family == "sd2"
    entry = encode(model, "a circle")
    ids = torch.tensor([[49406, 320, 7117, 49407] + [0] * 73])
    text = sd2.pipe["text_encoder"]
    with torch.inference_mode():
        states = text(ids, output_hidden_states=True).hidden_states
        expected = text.final_layer_norm(states[-2])
        torch.testing.assert_close(entry.tensors["context"], expected, **CLOSE)
        x, x0, sigma = predicted(model, entry, 500)
        out = sd2.pipe["unet"](x / (sigma**2 + 1) ** 0.5, 500, encoder_hidden_states=expected).sample
    torch.testing.assert_close(x0, x - sigma * out, rtol=1e-5, atol=1e-4)


def test_v_prediction(sdxl: Any, load: Any, tmp_path: Path) -> None:
    model = load(sdxl.write(tmp_path / "v.safetensors", {"v_pred": torch.empty(0)}))
    entry = encode(model, TEXT)
    context, _, pooled, _ = sdxl.pipe.encode_prompt(TEXT, device="cpu")
    added = {"text_embeds": pooled, "time_ids": entry.tensors["time_ids"]}
    before = sdxl.pipe.scheduler
    sdxl.pipe.scheduler = type(before).from_config(before.config, prediction_type="v_prediction")
    try:
        x, x0, sigma = predicted(model, entry, 700)
        want = by_diffusers(sdxl.pipe, x, sigma, 700, encoder_hidden_states=context, added_cond_kwargs=added)
    finally:
        sdxl.pipe.scheduler = before
    torch.testing.assert_close(x0, want, rtol=1e-5, atol=1e-4)


def test_vae(sdxl: Any, load: Any, tmp_path: Path) -> None:
    model = load(sdxl.write(tmp_path / "sdxl.safetensors"))
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        scaled = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = sdxl.pipe.vae.encode(scaled).latent_dist.mean * 0.13025
        picture = sdxl.pipe.vae.decode(latents / 0.13025).sample
    torch.testing.assert_close(model.vae.record.encode.load()(model.vae, pixels, None), latents, **CLOSE)
    expected = ((picture + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    got = model.vae.record.decode.load()(model.vae, latents)
    assert (got.int() - expected.int()).abs().max() <= 1


def test_emphasis_and_editing(sdxl: Any, load: Any, tmp_path: Path) -> None:
    """Weights act on both encoders' states and leave the pooled one alone; spans and sub-prompts become entries."""
    model = load(sdxl.write(tmp_path / "sdxl.safetensors"))
    heavy = Prompt("x", (SubPrompt((Span((Segment("a red", 1.5), Segment(" circle"))),)),))
    encode_prompt = model.family.encode_prompt.load()
    plain = encode(model, "a red circle").tensors
    entry = encode_prompt(model, [heavy], size=(64, 64), role="positive", options={}).entries[0]
    for part in (slice(0, 32), slice(32, None)):
        assert not torch.allclose(entry.tensors["context"][..., part], plain["context"][..., part])
    assert torch.equal(entry.tensors["pooled"], plain["pooled"])
    first = SubPrompt((Span((Segment("a"),), 0, 0.5), Span((Segment("b"),), 0.5, 1)), 0.7)
    edited = Prompt("y", (first, SubPrompt((Span((Segment("c"),)),))))
    entries = encode_prompt(model, [edited], size=(64, 64), role="positive", options={}).entries
    assert [(e.weight, e.steps) for e in entries] == [(0.7, (0, 0.5)), (0.7, (0.5, 1)), (1.0, (0.0, 1.0))]
