"""The export stage: one fp16 safetensors file in the SD 1.x single-file layout."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import CLIPTextModel

from tools.shapes import text
from tools.shapes.autoencoder import load_vae
from tools.shapes.denoiser import load_average
from tools.shapes.layouts import LATENT_SCALE, SD1, VOCABULARY
from tools.shapes.ldm_keys import text_to_ldm, unet_to_ldm, vae_to_ldm
from tools.shapes.progress import write_tensors

LIMIT_BYTES = 20_000_000
METADATA = {
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.architecture": "stable-diffusion-v1",
    "modelspec.implementation": "https://github.com/CompVis/stable-diffusion",
    "modelspec.title": "Shapes",
    "modelspec.resolution": "128x128",
    "modelspec.prediction_type": "epsilon",
    "gesso.defaults": '{"cfg_scale": 4}',
    "gesso.preview": "shapes",
    "modelspec.license": "Apache-2.0",
    "modelspec.description": "Flat coloured shapes on flat backgrounds; a small demonstration and test model.",
}
# log variance of the stored posterior: so narrow that sampling the posterior or taking its mean makes no difference.
_LOG_VARIANCE = -12.0


@torch.no_grad()
def normalise_latents(vae: AutoencoderKL, mean: Tensor, std: Tensor) -> None:
    """Fold per-channel statistics into quant_conv and post_quant_conv, in place.

    Afterwards `encode(x).mean * LATENT_SCALE` has zero mean and unit variance in every channel, and `decode` takes such
    latents divided by LATENT_SCALE, so the file works with SD 1.x's constant and needs no statistics of its own.
    """
    scale = std * LATENT_SCALE
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:4] /= scale[:, None, None, None]
    quant.bias[:4] = (quant.bias[:4] - mean) / scale
    quant.weight[4:], quant.bias[4:] = 0, _LOG_VARIANCE
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= scale[None, :, None, None]


@torch.no_grad()
def full_vocabulary(small: CLIPTextModel, layout: SD1) -> CLIPTextModel:
    """The same encoder over CLIP's 49,408 tokens; tokens the captions never use have zero embeddings."""
    full = layout.text_encoder()
    state = dict(small.state_dict())
    name = next(k for k in state if k.endswith("token_embedding.weight"))
    table = torch.zeros(VOCABULARY, layout.text_width)
    for index, clip in enumerate(text.KNOWN_IDS):
        if clip >= 0:
            table[clip] = state[name][index]
    state[name] = table
    full.load_state_dict(state)
    return full.eval()


def export(layout: SD1, folder: Path, target: Path) -> None:
    """Write `folder`'s averaged weights to `target`; ValueError when the file would be too large for the wheel."""
    stats = load_file(folder / "latents.safetensors")
    vae = load_vae(layout, folder)
    normalise_latents(vae, stats["mean"], stats["std"])
    pair, step = load_average(layout, folder)
    encoder = full_vocabulary(pair.text, layout)
    tensors = unet_to_ldm(pair.unet.state_dict()) | vae_to_ldm(vae.state_dict()) | text_to_ldm(encoder.state_dict())
    half = {k: v.half().contiguous() for k, v in tensors.items()}
    size = len(save(half, METADATA))
    if size > LIMIT_BYTES:
        raise ValueError(f"the file would have {size} bytes; make the model smaller, for at most {LIMIT_BYTES}")
    write_tensors(target, half, METADATA)
    target.chmod(0o644)
    print(f"wrote {target}: {target.stat().st_size} bytes, denoiser step {step}")
