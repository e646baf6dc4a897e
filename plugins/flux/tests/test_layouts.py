"""Each layout gives the same weights and the same picture."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image

from gesso import BadFileError, InvalidInputError

LAYOUTS = ("complete", "prefixed", "bare", "renamed", "folder")


def test_every_layout_is_recognised(studio: Any) -> None:
    found = {e.name: (e.family, e.variant, sorted(e.lacks)) for e in studio.service.library.entries() if not e.built_in}
    apart = ["clip_l", "t5xxl", "vae"]
    assert found == {
        "complete": ("flux", "dev", []), "folder": ("flux", "dev", []), "prefixed": ("flux", "dev", apart),
        "bare": ("flux", "dev", apart), "renamed": ("flux", "dev", apart), "schnell": ("flux", "schnell", apart),
        "fill": ("flux", "fill", apart), "scaled": ("flux", "dev", apart),
    }  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_weights_are_those_of_diffusers_to_the_bit(studio: Any, tiny: Any, name: str) -> None:
    model, parts = studio.load(name), tiny("dev")
    components = model.components()
    modules = {"transformer": parts.transformer, "clip_l": parts.clip, "t5xxl": parts.t5.encoder, "vae": parts.vae}
    for part, module in modules.items():
        want = {key.removeprefix("text_model."): value for key, value in module.state_dict().items()}
        got = dict(components[part].module.state_dict())
        assert {key for key in want if not key.endswith("position_ids")} == set(got), part
        assert all(torch.equal(want[key], value) for key, value in got.items()), part


def test_every_layout_makes_the_same_picture(studio: Any) -> None:
    first = studio("complete")
    assert first.pixels.std() > 0
    for name in LAYOUTS[1:]:
        # Weights lie elsewhere in each file, and kernels take other ways for other alignments.
        assert abs(studio(name).pixels - first.pixels).max() <= 1, name


def test_scaled_fp8_is_held_as_it_is_and_decoded_with_its_scale(studio: Any, tiny: Any) -> None:
    """Fused matrices are cut without decoding them, and their scale goes with each part."""
    model, whole = studio.load("scaled"), tiny("dev").transformer.state_dict()
    weights = model.parts["transformer"].weights
    fused = torch.cat([whole[f"transformer_blocks.0.attn.to_{part}.weight"] for part in "qkv"])
    scale = fused.abs().amax() / 448
    want = (fused / scale).to(torch.float8_e4m3fn).float() * scale
    for n, part in enumerate("qkv"):
        got = weights.original(f"transformer_blocks.0.attn.to_{part}.weight")
        torch.testing.assert_close(got, want[n * 32 : (n + 1) * 32])
    layer = model.parts["transformer"].module.transformer_blocks[0].attn.to_k
    assert layer.stored().data.dtype is torch.float8_e4m3fn
    assert abs(studio("scaled").pixels - studio("bare").pixels).mean() < 8


def test_llama_cpp_names_of_t5(studio: Any, tiny: Any, layouts: Any) -> None:
    path = layouts.save(
        studio.models / "text_encoders" / "t5-llama.safetensors", layouts.llama_names(tiny("dev")),
        **{"tokenizer.json": tiny("dev").tokenizer.to_str()},
    )  # fmt: skip
    try:
        studio.service.library.entries("text_encoder", rescan=True)
        made = studio("bare", params={"flux": {"t5xxl": "t5-llama"}})
        assert abs(made.pixels - studio("bare").pixels).max() <= 1
        assert "T5: t5-llama" in made.infotext
    finally:
        path.unlink()
        studio.service.library.entries("text_encoder", rescan=True)


def test_what_is_missing_is_said_before_the_job_is_queued(studio: Any) -> None:
    moved = studio.models / "text_encoders" / "t5xxl.safetensors"
    moved.rename(moved.with_suffix(".hidden"))
    try:
        studio.service.library.entries("text_encoder", rescan=True)
        with pytest.raises(InvalidInputError, match=r"bare holds no T5 v1.1 XXL encoder.*text_encoders"):
            studio("bare")
        studio("complete")
    finally:
        moved.with_suffix(".hidden").rename(moved)
        studio.service.library.entries("text_encoder", rescan=True)


def test_a_text_encoder_that_does_not_fit_is_refused(studio: Any) -> None:
    with pytest.raises(BadFileError, match=r"no T5 v1\.1 XXL encoder for Flux\.1"):
        studio("bare", params={"flux": {"t5xxl": "clip_l"}})


def test_the_files_used_stand_in_the_infotext_and_are_read_back(studio: Any) -> None:
    made = studio("bare")
    assert all(pair in made.infotext for pair in ("CLIP-L: clip_l", "T5: t5xxl", "VAE: ae", "Distilled CFG Scale: 3.5"))
    fields, unknown = studio.service.reuse(made.infotext)
    assert unknown == {}
    assert fields["params"]["flux"] == {"distilled_cfg": "3.5", "clip_l": "clip_l", "t5xxl": "t5xxl"}
    again = studio.service.run(studio.service.job(studio.service.request(fields)), lambda event: None).artifacts
    picture = Image.open(io.BytesIO(studio.service.executor.blobs.get(again[0].file)))
    assert picture.tobytes() == Image.open(io.BytesIO(made.files[0])).tobytes()
    forge = studio.service.reuse("x\nSteps: 4, Module 1: ae, Module 2: clip_l, Module 3: t5xxl_fp16")[0]
    assert forge["params"]["flux"] == {"clip_l": "clip_l", "t5xxl": "t5xxl_fp16"}
