"""The engine against diffusers' own pipelines, with the same weights and the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxFillPipeline, FluxKontextPipeline, FluxPipeline
from PIL import Image
from tokenizers import Tokenizer, processors
from transformers import CLIPTokenizer, PreTrainedTokenizerFast

from gesso import Prompt
from gesso_builtin.stable_diffusion.tokenizer import vocabulary
from gesso_flux.transformer import packed, unpacked

PROMPT = "a red circle on a blue background"
NEGATIVE = "ugly, blurry pictures"
CLOSE = {"rtol": 1e-5, "atol": 2e-5}
# diffusers hands tensors to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def pipeline(kind: Any, parts: Any, *, shifted: bool = True) -> Any:
    tokens, merges = vocabulary()
    copy = Tokenizer.from_str(parts.tokenizer.to_str())
    copy.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=shifted, base_shift=0.5, max_shift=1.15, base_image_seq_len=256, max_image_seq_len=4096
    )
    made = kind(
        scheduler=scheduler, transformer=parts.transformer, vae=parts.vae, text_encoder=parts.clip,
        text_encoder_2=parts.t5,
        tokenizer=CLIPTokenizer(vocab=tokens, merges=merges, pad_token="<|endoftext|>", model_max_length=77),
        tokenizer_2=PreTrainedTokenizerFast(tokenizer_object=copy, pad_token="<pad>", eos_token="</s>"),
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def noise(width: int, height: int, seed: int = 7) -> torch.Tensor:
    """What the engine starts from, as tokens."""
    drawn = torch.randn(16, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    return packed(drawn[None])


def told(model: Any, text: str = PROMPT, **options: Any) -> Any:
    encode = model.family.encode_prompt.load()
    return encode(model, [Prompt.plain(text)], size=(64, 64), role="positive", options=options).entries[0]


def same(ours: Any, theirs: Any) -> None:
    """Every pixel within one of 255: both round the same floats."""
    difference = abs(ours - np.asarray(theirs).astype(int))
    assert difference.max() <= 1
    assert np.asarray(theirs).std() > 5


def test_prompts(studio: Any, tiny: Any) -> None:
    context, pooled, _ = pipeline(FluxPipeline, tiny("dev")).encode_prompt(PROMPT, PROMPT, device="cpu")
    entry = told(studio.load("complete"))
    torch.testing.assert_close(entry.tensors["context"], context, **CLOSE)
    torch.testing.assert_close(entry.tensors["pooled"], pooled, **CLOSE)
    assert entry.tensors["context"].shape == (1, 512, 32)


@pytest.mark.parametrize(("name", "real_cfg"), [("complete", 1.0), ("complete", 3.0), ("schnell", 1.0)])
def test_pictures(studio: Any, tiny: Any, name: str, real_cfg: float) -> None:
    """Resolution shift, distilled and real guidance, schedule, sampler and autoencoder, end to end."""
    width, height, dev = 128, 64, name == "complete"
    pipe = pipeline(FluxPipeline, tiny("dev" if dev else name), shifted=dev)
    theirs = pipe(
        PROMPT, negative_prompt=NEGATIVE, true_cfg_scale=real_cfg, height=height, width=width, num_inference_steps=4,
        guidance_scale=5.0, latents=noise(width, height), max_sequence_length=512 if dev else 256,
    ).images[0]  # fmt: skip
    ours = studio(
        name, negative_prompt=NEGATIVE, cfg_scale=real_cfg, width=width, height=height, steps=4,
        params={"flux": {"distilled_cfg": 5.0}},
    )  # fmt: skip
    same(ours.pixels, theirs)


def test_kontext(studio: Any, tiny: Any) -> None:
    picture = Image.effect_noise((96, 64), 80).convert("RGB")
    pipe = pipeline(FluxKontextPipeline, tiny("dev"))
    theirs = pipe(
        image=picture, prompt=PROMPT, height=64, width=64, num_inference_steps=4, guidance_scale=2.5,
        latents=noise(64, 64), max_area=64 * 64, _auto_resize=False,
    ).images[0]  # fmt: skip
    ours = studio("complete", steps=4, params={"flux": {"reference": studio.take(picture)}})
    same(ours.pixels, theirs)
    assert "Distilled CFG Scale: 2.5" in ours.infotext
    assert (ours.pixels != studio("complete", steps=4).pixels).any()


def test_fill(studio: Any, tiny: Any) -> None:
    """One call with a picture and a mask, and one with neither."""
    model, parts = studio.load("fill"), tiny("fill")
    pixels = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 10:40, 5:50] = 1
    pipe = pipeline(FluxFillPipeline, parts)
    shown = (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1) * (1 - mask)
    with torch.inference_mode():
        cells, latents = pipe.prepare_mask_latents(
            mask, shown, 1, 16, 1, 64, 64, torch.float32, "cpu", torch.Generator()
        )
        beside = torch.cat((latents, cells), dim=-1)
        entry = told(model)
        cond = model.family.encode_prompt.load()(
            model, [Prompt.plain(PROMPT)], size=(64, 64), role="positive", options={}
        )
        entry = model.family.condition.load()(model, cond, pixels=pixels, mask=mask, weight=1.0).entries[0]
        # gesso rounds the hidden picture's grey, 127.5, to a whole number.
        torch.testing.assert_close(packed(entry.tensors["concat"]), beside, rtol=1e-2, atol=2e-2)
        x, sigma = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2)), 0.7
        velocity = parts.transformer(
            hidden_states=torch.cat((packed(x), packed(entry.tensors["concat"])), dim=2),
            encoder_hidden_states=entry.tensors["context"], pooled_projections=entry.tensors["pooled"],
            timestep=torch.tensor([sigma]), guidance=torch.tensor([30.0]), txt_ids=torch.zeros(512, 3),
            img_ids=pipe._prepare_latent_image_ids(1, 4, 4, "cpu", torch.float32), return_dict=False,
        )[0]  # fmt: skip
        ours = model.family.predict.load()(model, x, sigma, entry)
    torch.testing.assert_close(ours, x - sigma * unpacked(velocity, 8, 8), **CLOSE)
    assert (told(model).tensors["concat"][:, 16:] == 1).all()
