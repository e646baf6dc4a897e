"""What a file says it is when no family claims it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from gesso.errors import BadFileError
from gesso.families import Family
from gesso.models.detect import describe, detect
from gesso.models.headers import read_header
from gesso.types import Header, Match

KINDS = {
    "a LoRA": [
        ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "lora_te_text_model_encoder_layers_0.alpha"],
        ["unet.down_blocks.0.attentions.0.to_q.lora_A.weight"],
        ["transformer.blocks.0.attn.lora_B.default.weight"],
        ["lora_unet_x.hada_w1_a"],
        ["lycoris_blocks_0.lokr_w1"],
    ],
    "a ControlNet": [
        ["control_model.input_blocks.0.0.weight", "control_model.input_hint_block.0.weight"],
        ["controlnet_cond_embedding.conv_in.weight", "conv_in.weight", "down_blocks.0.resnets.0.norm1.weight"],
        ["controlnet_blocks.0.weight"],
    ],
    "a textual inversion": [["emb_params"], ["string_to_param"], ["clip_l", "clip_g"], ["<my-style>"]],
    "an upscaler": [
        ["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"],
        ["body.0.rdb1.conv1.weight", "conv_first.weight"],
        ["params_ema.conv_first.weight"],
    ],
    "a text encoder": [
        ["text_model.encoder.layers.0.self_attn.q_proj.weight"],
        ["encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight"],
        ["transformer.resblocks.0.attn.in_proj_weight"],
    ],
    "a VAE": [
        ["encoder.conv_in.weight", "decoder.conv_in.weight"],
        ["first_stage_model.decoder.mid.attn_1.q.weight"],
        ["decoder.up_blocks.0.resnets.0.conv1.weight"],
        ["vae.decoder.conv_in.weight"],
    ],
    "a UNet without text encoder and VAE": [
        ["input_blocks.0.0.weight", "out.2.weight"], ["conv_in.weight", "down_blocks.0.resnets.0.norm1.weight"],
    ],
    "a checkpoint": [
        ["model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "first_stage_model.decoder.conv_in.weight",
         "text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q.weight"],
    ],
    "empty (no tensors)": [[]],
    "of an unknown kind (2 tensors, such as 'foo')": [["foo", "bar"]],
}  # fmt: skip


class NoFamilies:
    """Hooks with the families given; choosing leaves it to confidence."""

    def __init__(self, *families: Any) -> None:
        self.families = families

    def registry(self, name: str) -> Any:
        assert name == "families"
        return self.families

    def choose(self, hook: str, /, **kwargs: Any) -> Any:
        return None


@pytest.mark.parametrize(("kind", "tensors"), [(k, t) for k, many in KINDS.items() for t in many])
def test_files_given_as_checkpoints_say_what_they_are(kind: str, tensors: list[str], names: Any) -> None:
    path: Path = names(*tensors)
    header = read_header(path)
    assert describe(header) == kind
    with pytest.raises(BadFileError) as caught:
        detect(header, NoFamilies(), str(path))
    unknown = " of a model family that no plugin here knows" if kind == "a checkpoint" else ""
    assert str(caught.value) == f"{path} is {kind}{unknown}, not a checkpoint gesso can load."


class Stub:
    """A family whose detection is a function."""

    def __init__(self, name: str, function: Any) -> None:
        self.name, self.detect = name, self
        self.function = function

    def load(self) -> Any:
        return self.function


def test_a_family_that_fails_hinders_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def fails(header: Header) -> list[Match]:
        raise IndexError("tuple index out of range")

    good = Stub("good", lambda header: [Match(family="good", variant="", confidence=0.4)])
    with caplog.at_level(logging.WARNING):
        match = detect(Header(container="safetensors", tensors={}), NoFamilies(Stub("bad", fails), good), "f")
    assert match.family == "good"
    assert "The family bad failed on the header of f" in caplog.text


def test_the_most_confident_wins() -> None:
    families = [
        Stub(str(c), lambda header, c=c: [Match(family=str(c), variant="", confidence=c)]) for c in (0.2, 0.9, 0.5)
    ]
    assert detect(Header(container="safetensors", tensors={}), NoFamilies(*families)).family == "0.9"


def test_markers_are_part_of_a_family() -> None:
    assert Family.__dataclass_fields__["markers"].default == ()
