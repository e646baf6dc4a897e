"""Names of SD 1.x single-file ("LDM") checkpoints for the parameters of diffusers and transformers modules.

Source of the layout: CompVis/stable-diffusion's `openaimodel.py` and `model.py` (module indices are the key names).
"""

import re
from collections.abc import Mapping

from torch import Tensor

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."

_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def _unet_blocks(levels: int, layers: int, attention: tuple[bool, ...]) -> dict[str, str]:
    """Prefixes diffusers -> LDM for a UNet with `layers` resnets to a level; `attention` is per level, top first."""
    names: dict[str, str] = {}
    index = 1
    for level in range(levels):
        for layer in range(layers):
            names[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{index}.0"
            names[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{index}.1"
            index += 1
        names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{index}.0.op"
        index += 1
    names |= {
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    for level in range(levels):
        for layer in range(layers + 1):
            index = level * (layers + 1) + layer
            names[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{index}.0"
            names[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{index}.1"
        # The upsampler is the module after the last layer: behind the attention where the level has one.
        last = 2 if attention[levels - 1 - level] else 1
        names[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{index}.{last}.conv"
    return names


def unet_to_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an SD 1.x-shaped UNet2DConditionModel."""
    levels = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("down_blocks."))
    layers = 1 + max(int(k.split(".")[3]) for k in state if re.match(r"down_blocks\.\d+\.resnets", k))
    attention = tuple(any(k.startswith(f"down_blocks.{i}.attentions") for k in state) for i in range(levels))
    blocks = _unet_blocks(levels, layers, attention)
    renamed = {}
    for key, tensor in state.items():
        outer = next((o for o in _UNET_OUTER if key.startswith(o + ".")), None)
        if outer:
            name = _UNET_OUTER[outer] + key[len(outer) :]
        else:
            block = next(b for b in blocks if key.startswith(b + "."))
            rest = key[len(block) + 1 :]
            if ".resnets." in block:
                part, kind = rest.rsplit(".", 1)
                rest = f"{_UNET_RESNET[part]}.{kind}"
            name = f"{blocks[block]}.{rest}"
        renamed[UNET + name] = tensor
    return renamed


def _vae_name(key: str, levels: int) -> str:
    key = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    key = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", key)
    key = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", key)
    # LDM counts decoder levels from the full-size end, diffusers from the latent end.
    key = re.sub(r"up_blocks\.(\d+)", lambda m: f"up.{levels - 1 - int(m[1])}", key)
    key = re.sub(r"up\.(\d+)\.resnets\.", r"up.\1.block.", key)
    key = re.sub(r"up\.(\d+)\.upsamplers\.0\.", r"up.\1.upsample.", key)
    key = re.sub(r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    match = re.match(r"(\w+)\.mid_block\.attentions\.0\.(.+)\.(weight|bias)$", key)
    return f"{match[1]}.mid.attn_1.{_VAE_ATTENTION[match[2]]}.{match[3]}" if match else key


def vae_to_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of an AutoencoderKL; attention matrices become 1x1 kernels, as LDM stores them."""
    levels = 1 + max(int(k.split(".")[2]) for k in state if k.startswith("encoder.down_blocks."))
    renamed = {}
    for key, tensor in state.items():
        name = _vae_name(key, levels)
        kernel = ".attn_1." in name and tensor.ndim == 2
        renamed[VAE + name] = tensor[:, :, None, None] if kernel else tensor
    return renamed


def text_to_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the state dict of a CLIPTextModel (transformers 4 puts `text_model.` before every name, 5 does not)."""
    return {TEXT + k.removeprefix("text_model."): v for k, v in state.items() if not k.endswith("position_ids")}
