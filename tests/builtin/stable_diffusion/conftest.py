"""Tiny random Stable Diffusion models, as diffusers builds them, written in every layout people have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from gesso import Model, ModelRef
from gesso.models.detect import detect
from gesso.models.library import Library
from gesso.models.loading import LoadOptions, load_model
from gesso.models.readers import open_reader
from gesso.plugins.host import Host
from gesso_builtin.stable_diffusion.tokenizer import vocabulary
from tools.shapes.ldm_keys import text_to_ldm, unet_to_ldm, vae_to_ldm
from tools.shapes.sdxl import single_file, text_to_open_clip

VOCABULARY = 49408


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def host(_own_home: None) -> Host:
    return Host.load("both", probe=False)


def tokenizer(pad: str = "<|endoftext|>") -> CLIPTokenizer:
    tokens, merges = vocabulary()
    return CLIPTokenizer(vocab=tokens, merges=merges, pad_token=pad, model_max_length=77)


def vae(scale: float) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 16, 32, 32),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=scale,
    )


def text_config(width: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=3,
        num_attention_heads=max(1, width // 64),
        hidden_act=activation,
        projection_dim=width,
        bos_token_id=49406,
        eos_token_id=49407,
    )


def sd1_unet(channels: int = 4, *, linear: bool = False) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        in_channels=channels,
        block_out_channels=(32, 64, 64),
        layers_per_block=2,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=64 if linear else 32,
        attention_head_dim=(1, 1, 1) if linear else 8,
        use_linear_projection=linear,
    )


def sdxl_unet(channels: int = 4, *, refiner: bool = False) -> UNet2DConditionModel:
    """Depth differs by level as in SDXL; the refiner ends in a level without attention, as Stability's does."""
    shape: dict[str, Any] = {
        "block_out_channels": (32, 64, 128),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (1, 1, 2),
        "transformer_layers_per_block": (1, 1, 2),
    }
    if refiner:
        shape = {
            "block_out_channels": (32, 64, 64),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": (1, 1, 1),
            "transformer_layers_per_block": 2,
        }
    return UNet2DConditionModel(
        in_channels=channels,
        layers_per_block=1 if refiner else 2,
        norm_num_groups=8,
        cross_attention_dim=64 if refiner else 96,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64 + (5 if refiner else 6) * 8,
        **shape,
    )


def scheduler(**options: Any) -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="linspace",
        steps_offset=1,
        **options,
    )


@dataclass
class Tiny:
    """A diffusers pipeline and the tensors of its single file."""

    pipe: Any
    tensors: dict[str, torch.Tensor]

    def write(self, path: Path, extra: dict[str, torch.Tensor] | None = None, **metadata: str) -> Path:
        tensors = {name: tensor.contiguous() for name, tensor in {**self.tensors, **(extra or {})}.items()}
        save_file(tensors, path, metadata)
        return path


def _random(module: torch.nn.Module) -> Any:
    """Spread the freshly built weights, so that zeros and ones hide no mistake."""
    for parameter in module.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return module.eval()


def build_sd1(channels: int = 4) -> Tiny:
    torch.manual_seed(1)
    parts = {
        "unet": _random(sd1_unet(channels)),
        "vae": _random(vae(0.18215)),
        "text_encoder": _random(CLIPTextModel(text_config(32, "quick_gelu"))),
    }
    pipe = StableDiffusionPipeline(
        **parts, tokenizer=tokenizer(), scheduler=scheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    states = {name: part.state_dict() for name, part in parts.items()}
    tensors = unet_to_ldm(states["unet"]) | vae_to_ldm(states["vae"]) | text_to_ldm(states["text_encoder"])
    return Tiny(pipe, tensors)


def make_sd2() -> Tiny:
    torch.manual_seed(2)
    parts = {
        "unet": _random(sd1_unet(linear=True)),
        "vae": _random(vae(0.18215)),
        "text_encoder": _random(CLIPTextModel(text_config(64, "gelu"))),
    }
    states = {name: part.state_dict() for name, part in parts.items()}
    tensors = unet_to_ldm(states["unet"]) | vae_to_ldm(states["vae"])
    return Tiny(parts, tensors | text_to_open_clip(states["text_encoder"], "cond_stage_model.model."))


def make_sdxl(channels: int = 4) -> Tiny:
    torch.manual_seed(3)
    unet, auto = _random(sdxl_unet(channels)), _random(vae(0.13025))
    small = _random(CLIPTextModel(text_config(32, "quick_gelu")))
    big = _random(CLIPTextModelWithProjection(text_config(64, "gelu")))
    pipe = StableDiffusionXLPipeline(
        vae=auto, text_encoder=small, text_encoder_2=big, tokenizer=tokenizer(), tokenizer_2=tokenizer("!"), unet=unet,
        scheduler=scheduler(), add_watermarker=False,
    )  # fmt: skip
    return Tiny(pipe, single_file(unet, auto, small, big))


def make_refiner() -> Tiny:
    torch.manual_seed(4)
    unet, auto = _random(sdxl_unet(refiner=True)), _random(vae(0.13025))
    big = _random(CLIPTextModelWithProjection(text_config(64, "gelu")))
    pipe = StableDiffusionXLImg2ImgPipeline(
        vae=auto, text_encoder=None, text_encoder_2=big, tokenizer=None, tokenizer_2=tokenizer("!"), unet=unet,
        scheduler=scheduler(), requires_aesthetics_score=True, force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )  # fmt: skip
    return Tiny(pipe, single_file(unet, auto, None, big))


@pytest.fixture(scope="session")
def sd1() -> Tiny:
    return build_sd1()


@pytest.fixture(scope="session")
def sd2() -> Tiny:
    return make_sd2()


@pytest.fixture(scope="session")
def sdxl() -> Tiny:
    return make_sdxl()


@pytest.fixture(scope="session")
def refiner() -> Tiny:
    return make_refiner()


@pytest.fixture(scope="session")
def make_sd1() -> Callable[..., Tiny]:
    """(channels in) → an SD1 with that many."""
    return build_sd1


Loader = Callable[..., Model]


@pytest.fixture(scope="session")
def load(host: Host) -> Loader:
    """(path, dtype) → the model gesso makes of a file or folder."""

    def loaded(path: Path, dtype: torch.dtype = torch.float32, vae_dtype: torch.dtype = torch.float32) -> Model:
        header = Library(host, path.parent / "no-cache.json").header(path)
        match = detect(header, host, str(path))
        options = LoadOptions(torch.device("cpu"), dtype, vae_dtype)
        return load_model(ModelRef(role="checkpoint", name=path.stem), open_reader(path, header), match, host, options)

    return loaded
