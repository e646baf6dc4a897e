"""A tiny Flux.1 of random weights, as diffusers builds it, written in every layout people have."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from gesso import Model, Service
from gesso.paths import Paths
from gesso.testing import load_host
from gesso.types import JobEvent
from gesso_flux.transformer_keys import bfl_renames
from tools.shapes.ldm_keys import vae_to_ldm

PROMPT = "a red circle on a blue background"
WORDS = ["a red circle on a blue background", "two green stars left of a yellow ring", "ugly, blurry pictures"]
Tensors = dict[str, torch.Tensor]


@dataclass
class Tiny:
    """The parts of one model, with diffusers' names."""

    transformer: Any
    vae: Any
    clip: Any
    t5: Any
    tokenizer: Tokenizer

    def states(self) -> dict[str, Tensors]:
        return {name: dict(getattr(self, name).state_dict()) for name in ("transformer", "vae", "clip", "t5")}


def random(module: torch.nn.Module) -> Any:
    """Spread the freshly built weights, so that zeros and ones hide no mistake."""
    for parameter in module.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return module.eval()


def t5_tokenizer() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(WORDS, trainer)
    return made


def build(variant: str) -> Tiny:
    torch.manual_seed(5)
    transformer = FluxTransformer2DModel(
        in_channels=384 if variant == "fill" else 64, out_channels=64, num_layers=2, num_single_layers=2,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=64,
        guidance_embeds=variant != "schnell", axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2, latent_channels=16,
        use_quant_conv=False, use_post_quant_conv=False, scaling_factor=0.3611, shift_factor=0.1159,
    )  # fmt: skip
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=1,
            hidden_act="quick_gelu", projection_dim=64, bos_token_id=49406, eos_token_id=49407,
        )
    )  # fmt: skip
    t5 = T5EncoderModel(
        T5Config(
            vocab_size=128, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    )  # fmt: skip
    random(vae)
    # No spread in what the encoder says of a picture, so that a sample of it is its mean.
    with torch.no_grad():
        vae.encoder.conv_out.weight[16:] = 0
        vae.encoder.conv_out.bias[16:] = -30
    return Tiny(random(transformer), vae, random(clip), random(t5), t5_tokenizer())


# --- layouts ------------------------------------------------------------------------------------------------------


def to_bfl(tiny: Tiny, prefix: str = "") -> Tensors:
    """The transformer under Black Forest Labs' names: parts of fused matrices joined, the last modulation's halves
    exchanged."""
    state, config = dict(tiny.transformer.state_dict()), dict(tiny.transformer.config)
    made = {}
    for name, renames in bfl_renames(config).items():
        parts = [state.pop(line.target) for line in renames]
        joined = torch.cat(parts)
        made[prefix + name] = torch.cat(joined.chunk(2)[::-1]) if renames[0].transform == "swap_halves" else joined
    assert not state
    return made


def clip_names(tiny: Tiny, prefix: str = "") -> Tensors:
    state = {name.removeprefix("text_model."): tensor for name, tensor in tiny.clip.state_dict().items()}
    return {f"{prefix}text_model.{name}": t for name, t in state.items() if not name.endswith("position_ids")}


def t5_names(tiny: Tiny, prefix: str = "") -> Tensors:
    state = dict(tiny.t5.state_dict())
    state.pop("encoder.embed_tokens.weight", None)
    return {prefix + name: tensor for name, tensor in state.items()}


def llama_names(tiny: Tiny) -> Tensors:
    """T5 as llama.cpp calls it."""
    parts = {
        "SelfAttention.q": "attn_q", "SelfAttention.k": "attn_k", "SelfAttention.v": "attn_v",
        "SelfAttention.o": "attn_o", "SelfAttention.relative_attention_bias": "attn_rel_b",
        "layer.0.layer_norm": "attn_norm", "layer.1.layer_norm": "ffn_norm", "DenseReluDense.wi_0": "ffn_gate",
        "DenseReluDense.wi_1": "ffn_up", "DenseReluDense.wo": "ffn_down",
    }  # fmt: skip
    made = {}
    for name, tensor in t5_names(tiny).items():
        if name.startswith("encoder.block."):
            layer = next(new for old, new in parts.items() if old in name)
            made[f"enc.blk.{name.split('.')[2]}.{layer}.weight"] = tensor
        else:
            made["token_embd.weight" if name == "shared.weight" else "enc.output_norm.weight"] = tensor
    return made


def save(path: Path, tensors: Tensors, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    return path


def write_folder(tiny: Tiny, folder: Path) -> Path:
    """A model folder as diffusers writes it."""
    for name, part in (("transformer", tiny.transformer), ("vae", tiny.vae)):
        part.save_pretrained(folder / name)
    tiny.clip.save_pretrained(folder / "text_encoder")
    tiny.t5.save_pretrained(folder / "text_encoder_2")
    (folder / "tokenizer_2").mkdir()
    (folder / "tokenizer_2" / "tokenizer.json").write_text(tiny.tokenizer.to_str(), encoding="utf-8")
    FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True).save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "FluxPipeline", "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "T5EncoderModel"], "tokenizer_2": ["transformers", "T5TokenizerFast"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }  # fmt: skip
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def write_modules(tiny: Tiny, models: Path) -> None:
    """Text encoders and autoencoder in files of their own, T5's tokenizer in its metadata."""
    save(models / "vae" / "ae.safetensors", to_vae(tiny))
    save(models / "text_encoders" / "clip_l.safetensors", clip_names(tiny))
    save(models / "text_encoders" / "t5xxl.safetensors", t5_names(tiny), **{"tokenizer.json": tiny.tokenizer.to_str()})


def to_scaled_fp8(tensors: Tensors) -> Tensors:
    """Matrices in eight bits with a scale each, as ComfyUI writes "fp8 scaled"."""
    made: Tensors = {"scaled_fp8": torch.empty(0, dtype=torch.float8_e4m3fn)}
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            scale = tensor.abs().amax() / 448
            made[name.removesuffix("weight") + "scale_weight"] = scale.reshape(())
            tensor = (tensor / scale).to(torch.float8_e4m3fn)
        made[name] = tensor
    return made


def to_vae(tiny: Tiny, prefix: str = "") -> Tensors:
    names = vae_to_ldm(tiny.vae.state_dict())
    return {prefix + name.removeprefix("first_stage_model."): tensor for name, tensor in names.items()}


def complete(tiny: Tiny) -> Tensors:
    """Everything in one file, as ComfyUI writes it."""
    return {
        **to_bfl(tiny, "model.diffusion_model."), **to_vae(tiny, "vae."),
        **clip_names(tiny, "text_encoders.clip_l.transformer."), **t5_names(tiny, "text_encoders.t5xxl.transformer."),
    }  # fmt: skip


# --- a service with them --------------------------------------------------------------------------------------------


@dataclass
class Made:
    """What a job made."""

    files: list[bytes]
    infotext: str
    events: list[JobEvent] = field(repr=False)

    @property
    def pixels(self) -> np.ndarray[Any, Any]:
        """(H,W,3) int."""
        return np.asarray(Image.open(io.BytesIO(self.files[0])).convert("RGB")).astype(int)


class Studio:
    """Makes pictures of 64 × 64 in two steps, unless `fields` (those of a Request) say otherwise."""

    def __init__(self, service: Service, models: Path) -> None:
        self.service, self.models = service, models

    def __call__(self, model: str, **fields: Any) -> Made:
        events: list[JobEvent] = []
        asked = {"prompt": PROMPT, "model": model, "steps": 2, "seed": 7, "cfg_scale": 1, "sampler": "euler",
                 "scheduler": "simple", "width": 64, "height": 64, **fields}  # fmt: skip
        made = self.service.run(self.service.job(self.service.request(asked)), events.append).artifacts
        files = [self.service.executor.blobs.get(artifact.file) for artifact in made]
        return Made(files, made[0].meta["infotext"], events)

    def take(self, picture: Image.Image) -> dict[str, Any]:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return self.service.take_picture(buffer.getvalue()).model_dump()

    def load(self, name: str) -> Model:
        """The model in memory, as a job has it."""
        residency: Any = self.service.executor.residency
        ref = self.service.library.ref(name)
        model: Model = residency.acquire(ref)
        residency.release(ref)
        return model


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _no_hub() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], Tiny]:
    """(variant) → its parts, built once."""
    known: dict[str, Tiny] = {}

    def made(variant: str) -> Tiny:
        if variant not in known:
            known[variant] = build(variant)
        if variant != "dev":  # they share everything but the transformer
            known[variant] = replace(made("dev"), transformer=known[variant].transformer)
        return known[variant]

    return made


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Tiny]) -> Iterator[Studio]:
    paths = Paths.of(tmp_path_factory.mktemp("home"))
    models, dev = paths.home / "models", tiny("dev")
    checkpoints = models / "checkpoints"
    write_modules(dev, models)
    save(checkpoints / "complete.safetensors", complete(dev), **{"tokenizer.json": dev.tokenizer.to_str()})
    save(checkpoints / "prefixed.safetensors", to_bfl(dev, "model.diffusion_model."))
    save(checkpoints / "bare.safetensors", to_bfl(dev))
    save(checkpoints / "renamed.safetensors", dict(dev.transformer.state_dict()))
    write_folder(dev, checkpoints / "folder")
    save(checkpoints / "scaled.safetensors", to_scaled_fp8(to_bfl(dev)))
    save(checkpoints / "schnell.safetensors", to_bfl(tiny("schnell")))
    save(checkpoints / "fill.safetensors", to_bfl(tiny("fill")))
    with load_host(["builtin", "flux"]) as host:
        yield Studio(Service(host, paths), models)


@pytest.fixture(scope="session")
def layouts() -> Any:
    """What the fixtures write files with."""
    return SimpleNamespace(
        Studio=Studio, save=save, llama_names=llama_names, to_bfl=to_bfl, write_modules=write_modules
    )
