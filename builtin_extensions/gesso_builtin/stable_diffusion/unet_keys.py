"""The UNet of a file: configuration from shapes, and every key's name in diffusers' UNet2DConditionModel. Torch-free.

Single files have the key layout of CompVis' latent-diffusion (`openaimodel.py`): module indices are the names.
"""

from __future__ import annotations

import re
from typing import Any

from gesso import Header, Match, Plan, Rename

from .recognise import UNET, UNET_FOLDER
from .shapes import checked, count, folder_config, groups

TIME_IDS = {"refiner": 5}
"""Numbers of size conditioning: the refiner has an aesthetic score in place of the target size's two."""


def config(header: Header, match: Match) -> dict[str, Any]:
    """UNet2DConditionModel's configuration: a folder's own, or read off the shapes; empty without a UNet."""
    if header.shape(f"{UNET_FOLDER}conv_in.weight") is not None:
        return checked(folder_config(header, "unet"))
    first, last = header.shape(f"{UNET}input_blocks.0.0.weight"), header.shape(f"{UNET}out.2.weight")
    widths, layers, depths = _levels(header)
    if first is None or last is None or not widths:
        return {}
    projection = header.shape(_attention(header) + "proj_in.weight")
    context = header.shape(_attention(header) + "transformer_blocks.0.attn2.to_k.weight")
    linear = projection is not None and len(projection) == 2
    levels = [depth[0] > 0 for depth in depths]
    found = {
        "in_channels": first[1],
        "out_channels": last[0],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in levels],
        "mid_block_type": _middle(header),
        "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(levels)],
        "cross_attention_dim": context[1] if context else 768,
        # SD1 has eight heads at every width; SD2 and SDXL (linear projections) have heads of 64.
        "attention_head_dim": [max(1, w // 64) for w in widths] if linear else 8,
        "use_linear_projection": linear,
        "norm_num_groups": groups(widths[0]),
        **_transformers(header, depths, layers),
        **_label_embedding(header, match),
    }
    return checked(found)


def _levels(header: Header) -> tuple[list[int], int, list[list[int]]]:
    """(width of each level, resnets to a level, transformer depth of each of a level's layers)."""
    widths: list[int] = []
    depths: list[list[int]] = []
    open_level = False
    for n in range(1, count(header, re.escape(UNET) + r"input_blocks\.(\d+)\.")):
        block = f"{UNET}input_blocks.{n}."
        resnet = header.shape(block + "0.out_layers.3.weight")
        if resnet is None:
            open_level = False
            continue
        if not open_level:
            widths.append(resnet[0])
            depths.append([])
            open_level = True
        depths[-1].append(_depth(header, block + "1."))
    return widths, len(depths[0]) if depths else 0, depths


def _depth(header: Header, prefix: str) -> int:
    return count(header, re.escape(prefix) + r"transformer_blocks\.(\d+)\.")


def _attention(header: Header) -> str:
    """Prefix of some attention: the middle's, or the first there is."""
    middle = f"{UNET}middle_block.1."
    if header.has_prefix(middle + "proj_in"):
        return middle
    return next((n.removesuffix("proj_in.weight") for n in header.tensors if n.endswith(".1.proj_in.weight")), middle)


def _middle(header: Header) -> str | None:
    """The distilled SDXL models have a middle without attention, or none."""
    if _depth(header, f"{UNET}middle_block.1."):
        return "UNetMidBlock2DCrossAttn"
    return "UNetMidBlock2D" if header.has_prefix(f"{UNET}middle_block.0.") else None


def _transformers(header: Header, depths: list[list[int]], layers: int) -> dict[str, Any]:
    """Depths of the transformers on the way down and up, which differ in distilled models.

    diffusers takes the last level's depth for the middle, so a level without attention carries the middle's.
    """
    middle = _depth(header, f"{UNET}middle_block.1.") or 1
    up = []
    for level in range(len(depths)):
        first = level * (layers + 1)
        up.append([_depth(header, f"{UNET}output_blocks.{first + j}.1.") or middle for j in range(layers + 1)])
    down = [[d or middle for d in depth] for depth in depths]
    if all(len({*d, *u}) == 1 for d, u in zip(down, reversed(up), strict=True)):
        return {"transformer_layers_per_block": [d[0] for d in down]}
    return {"transformer_layers_per_block": down, "reverse_transformer_layers_per_block": up}


def _label_embedding(header: Header, match: Match) -> dict[str, Any]:
    """SDXL's conditioning on pooled text and sizes. What the pooled text leaves of the width is shared by the sizes."""
    shape = header.shape(f"{UNET}label_emb.0.0.weight")
    if shape is None:
        return {}
    pooled = next((i.shape[-1] for n, i in header.tensors.items() if n.endswith(".text_projection")), 1280)
    each = (shape[1] - pooled) // TIME_IDS.get(match.variant, 6)
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": each,
        "projection_class_embeddings_input_dim": shape[1],
    }


_RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}  # fmt: skip
_ENDS = {
    "input_blocks.0.0": "conv_in", "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2",
    "middle_block.0": "mid_block.resnets.0", "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1", "out.0": "conv_norm_out", "out.2": "conv_out",
}  # fmt: skip


def blocks(config: dict[str, Any]) -> dict[str, str]:
    """LDM block → diffusers block, for this configuration."""
    names = dict(_ENDS)
    layers, levels = config["layers_per_block"], len(config["block_out_channels"])
    for level in range(levels):
        down = 1 + level * (layers + 1)
        for j in range(layers):
            names[f"input_blocks.{down + j}.0"] = f"down_blocks.{level}.resnets.{j}"
            names[f"input_blocks.{down + j}.1"] = f"down_blocks.{level}.attentions.{j}"
        names[f"input_blocks.{down + layers}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
        up = level * (layers + 1)
        attention = config["up_block_types"][level].startswith("CrossAttn")
        for j in range(layers + 1):
            names[f"output_blocks.{up + j}.0"] = f"up_blocks.{level}.resnets.{j}"
            if attention:
                names[f"output_blocks.{up + j}.1"] = f"up_blocks.{level}.attentions.{j}"
        names[f"output_blocks.{up + layers}.{2 if attention else 1}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
    return names


def plan(header: Header, match: Match, config: dict[str, Any]) -> Plan:
    """Every UNet key renamed; nothing is reshaped. A folder's keys have diffusers' names already."""
    if not config:
        return ()
    if header.shape(f"{UNET_FOLDER}conv_in.weight") is not None:
        names = [name for name in header.tensors if name.startswith(UNET_FOLDER)]
        return tuple(Rename(target=name.removeprefix(UNET_FOLDER), source=name) for name in names)
    known = blocks(config)
    names = [name for name in header.tensors if name.startswith(UNET)]
    return tuple(Rename(target=_target(name.removeprefix(UNET), known), source=name) for name in names)


def _target(name: str, known: dict[str, str]) -> str:
    parts = name.split(".")
    for length in range(min(4, len(parts)), 0, -1):
        block = known.get(".".join(parts[:length]))
        if block is not None:
            rest = ".".join(parts[length:])
            if ".resnets." in block:
                layer, _, leaf = rest.rpartition(".")
                rest = f"{_RESNET.get(layer, layer)}.{leaf}"
            return f"{block}.{rest}"
    return name
