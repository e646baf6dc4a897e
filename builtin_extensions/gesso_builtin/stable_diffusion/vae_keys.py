"""The autoencoder of a file: configuration from shapes, every key's name in diffusers' AutoencoderKL. Torch-free."""

from __future__ import annotations

import re
from typing import Any

from gesso import Header, Match, Plan, Rename

from .shapes import checked, count, folder_config, groups

PREFIXES = ("first_stage_model.", "vae.", "")
"""In a checkpoint, in ComfyUI's all-in-one files, in a file that is a VAE alone."""
FOLDER = "vae."
SD_SCALE, SDXL_SCALE = 0.18215, 0.13025
"""Latents are multiplied by these on the way from the VAE (arXiv:2112.10752, arXiv:2307.01952)."""
FLUX1_SCALE, FLUX1_SHIFT = 0.3611, 0.1159
"""Flux.1's latents are (z − shift) · scale (https://github.com/black-forest-labs/flux, `ae_params`)."""
EDM_SCALE = 0.5
"""The same of models trained in EDM's form, whose latents are shifted and divided per channel as well."""


def sd_config(header: Header, match: Match) -> dict[str, Any]:
    """Stable Diffusion 1 and 2's autoencoder."""
    return _config(header, SD_SCALE)


def sdxl_config(header: Header, match: Match) -> dict[str, Any]:
    """SDXL's autoencoder: another scale, and Playground's latent statistics where the file has them."""
    found = _config(header, SDXL_SCALE)
    mean, std = (list(match.details.get(name, ())) for name in ("edm_mean", "edm_std"))
    if found and mean and std:
        found |= {"scaling_factor": EDM_SCALE, "latents_mean": mean, "latents_std": std}
    return found


def flux1_config(header: Header, match: Match) -> dict[str, Any]:
    """Flux.1's autoencoder: 16 latent channels, shifted and scaled."""
    found = _config(header, FLUX1_SCALE)
    return {"shift_factor": FLUX1_SHIFT, **found} if found else {}


def _config(header: Header, scale: float) -> dict[str, Any]:
    if is_folder(header):
        return checked({"scaling_factor": scale, **folder_config(header, "vae")})
    prefix = _prefix(header)
    if prefix is None:
        return {}
    # A VAE alone may have diffusers' names too, without the configuration a folder has.
    diffusers = header.has_prefix(f"{prefix}decoder.mid_block.")
    down, block = ("down_blocks", "resnets") if diffusers else ("down", "block")
    levels = count(header, re.escape(prefix) + rf"encoder\.{down}\.(\d+)\.")
    widths = [header.shape(f"{prefix}encoder.{down}.{i}.{block}.0.conv2.weight") for i in range(levels)]
    out = header.shape(f"{prefix}decoder.conv_out.weight")
    latent = header.shape(f"{prefix}decoder.conv_in.weight")
    if not levels or out is None or latent is None or None in widths:
        return {}
    block_widths = [w[0] for w in widths if w is not None]
    found = {
        "in_channels": out[0],
        "out_channels": out[0],
        "latent_channels": latent[1],
        "block_out_channels": block_widths,
        "layers_per_block": count(header, re.escape(prefix) + rf"encoder\.{down}\.0\.{block}\.(\d+)\."),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "norm_num_groups": groups(block_widths[0]),
        "use_quant_conv": header.shape(f"{prefix}quant_conv.weight") is not None,
        "use_post_quant_conv": header.shape(f"{prefix}post_quant_conv.weight") is not None,
        "scaling_factor": scale,
    }
    return checked(found)


def is_folder(header: Header) -> bool:
    """Whether the VAE has diffusers' names."""
    return header.has_prefix(f"{FOLDER}decoder.mid_block.")


def _prefix(header: Header) -> str | None:
    return next((p for p in PREFIXES if header.shape(f"{p}decoder.conv_in.weight") is not None), None)


_LAYERS = (
    (re.compile(r"^(encoder|decoder)\.mid\.block_([12])\."), lambda m: f"{m[1]}.mid_block.resnets.{int(m[2]) - 1}."),
    (re.compile(r"^(encoder|decoder)\.mid\.attn_1\."), lambda m: f"{m[1]}.mid_block.attentions.0."),
    (re.compile(r"^(encoder|decoder)\.norm_out\."), lambda m: f"{m[1]}.conv_norm_out."),
    (re.compile(r"^encoder\.down\.(\d+)\.block\.(\d+)\."), lambda m: f"encoder.down_blocks.{m[1]}.resnets.{m[2]}."),
    (re.compile(r"^encoder\.down\.(\d+)\.downsample\."), lambda m: f"encoder.down_blocks.{m[1]}.downsamplers.0."),
)
_ATTENTION = {
    "norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0",
    # What diffusers called them before 0.13; the folders of SD1's time still do.
    "query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0",
}  # fmt: skip


def plan(header: Header, match: Match, config: dict[str, Any]) -> Plan:
    """Every VAE key renamed; the attention's 1×1 convolutions become linear layers."""
    prefix = FOLDER if is_folder(header) else _prefix(header)
    if prefix is None or not config:
        return ()
    levels = len(config["block_out_channels"])
    lines = []
    for name in header.tensors:
        if name.startswith(
            tuple(prefix + part for part in ("encoder.", "decoder.", "quant_conv.", "post_quant_conv."))
        ):
            target = vae_target(name.removeprefix(prefix), levels)
            squeeze = ".attentions." in target and len(header.tensors[name].shape) == 4
            lines.append(Rename(target=target, source=name, transform="squeeze" if squeeze else "same"))
    return tuple(lines)


def vae_target(name: str, levels: int) -> str:
    """diffusers' name of a VAE key (without prefix). LDM numbers the decoder's levels the other way round."""
    if up := re.match(r"^decoder\.up\.(\d+)\.(block\.(\d+)|upsample)\.", name):
        level = levels - 1 - int(up[1])
        head = f"decoder.up_blocks.{level}." + (f"resnets.{up[3]}." if up[3] else "upsamplers.0.")
        name = head + name[up.end() :]
    for pattern, replace in _LAYERS:
        if m := pattern.match(name):
            name = replace(m) + name[m.end() :]
            break
    if ".attentions." in name:
        head, _, rest = name.partition(".attentions.0.")
        layer, _, leaf = rest.rpartition(".")
        return f"{head}.attentions.0.{_ATTENTION.get(layer, layer)}.{leaf}"
    return name.replace("nin_shortcut", "conv_shortcut")
