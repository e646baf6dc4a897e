"""The text encoders of a file: configuration from shapes, and every key's name in transformers' classes. Torch-free.

CLIP-L has transformers' own names. OpenCLIP's G (SDXL) and H (SD2) have OpenCLIP's in single files: query, key and
value in one matrix, and the projection transposed (https://github.com/mlfoundations/open_clip).
"""

from __future__ import annotations

import re
from typing import Any

from gesso import Header, Match, Plan, Rename

from .shapes import checked, count, folder_config

L_PREFIXES = (
    "conditioner.embedders.0.transformer.",
    "cond_stage_model.transformer.",
    "text_encoders.clip_l.transformer.",
    "",  # a file that is the text encoder alone
)
G_PREFIXES = ("conditioner.embedders.1.model.", "conditioner.embedders.0.model.", "text_encoders.clip_g.transformer.")
H_PREFIXES = ("cond_stage_model.model.", "text_encoders.clip_h.transformer.")
L_FOLDER, G_FOLDER = "text_encoder.", "text_encoder_2."
TOKENS = "embeddings.token_embedding.weight"
# Names in CLIPTextConfig that a folder's config.json may set.
_CONFIG = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "max_position_embeddings", "hidden_act", "projection_dim", "layer_norm_eps",
)  # fmt: skip


def l_config(header: Header, match: Match) -> dict[str, Any]:
    """CLIP-L: no projection, quick GELU."""
    return _config(header, L_PREFIXES, L_FOLDER, "quick_gelu")


def l_plan(header: Header, match: Match, config: dict[str, Any]) -> Plan:
    """Names as they are, without `text_model.`."""
    return _plan(header, L_PREFIXES, L_FOLDER, config)


def g_config(header: Header, match: Match) -> dict[str, Any]:
    """OpenCLIP-G: a projection of the pooled state, GELU."""
    return {**found, "projected": True} if (found := _config(header, G_PREFIXES, G_FOLDER, "gelu")) else {}


def g_plan(header: Header, match: Match, config: dict[str, Any]) -> Plan:
    """OpenCLIP's names, or transformers' in a folder; the projection stands beside the text model."""
    return _plan(header, G_PREFIXES, G_FOLDER, config)


def h_config(header: Header, match: Match) -> dict[str, Any]:
    """OpenCLIP-H. Folders hold it without the layer SD2 does not use, so there the last one is taken."""
    found = _config(header, H_PREFIXES, L_FOLDER, "gelu")
    return {**found, "layer": 1 if header.container == "folder" else 2} if found else {}


def h_plan(header: Header, match: Match, config: dict[str, Any]) -> Plan:
    """As G, without the projection."""
    return _plan(header, H_PREFIXES, L_FOLDER, config)


def _config(header: Header, prefixes: tuple[str, ...], folder: str, activation: str) -> dict[str, Any]:
    if header.container == "folder":
        if not header.has_prefix(folder):
            return {}
        found = folder_config(header, folder.rstrip("."))
        return checked({key: found[key] for key in _CONFIG if key in found})
    prefix = _prefix(header, prefixes)
    if prefix is None:
        return {}
    if header.shape(f"{prefix}token_embedding.weight") is not None:
        return _open_clip_config(header, prefix, activation)
    tokens, positions = header.shape(prefix + TOKENS), header.shape(f"{prefix}embeddings.position_embedding.weight")
    inner = header.shape(f"{prefix}encoder.layers.0.mlp.fc1.weight")
    layers = count(header, re.escape(prefix) + r"encoder\.layers\.(\d+)\.")
    projection = header.shape(f"{prefix.removesuffix('text_model.')}text_projection.weight")
    return _shaped(tokens, positions, inner, layers, projection[0] if projection else 0, activation)


def _open_clip_config(header: Header, prefix: str, activation: str) -> dict[str, Any]:
    tokens, positions = header.shape(f"{prefix}token_embedding.weight"), header.shape(f"{prefix}positional_embedding")
    inner = header.shape(f"{prefix}transformer.resblocks.0.mlp.c_fc.weight")
    layers = count(header, re.escape(prefix) + r"transformer\.resblocks\.(\d+)\.")
    projection = header.shape(f"{prefix}text_projection")
    return _shaped(tokens, positions, inner, layers, projection[1] if projection else 0, activation)


def _shaped(
    tokens: tuple[int, ...] | None,
    positions: tuple[int, ...] | None,
    inner: tuple[int, ...] | None,
    layers: int,
    projection: int,
    activation: str,
) -> dict[str, Any]:
    if tokens is None or positions is None or inner is None or not layers:
        return {}
    width = tokens[1]
    found = {
        "vocab_size": tokens[0],
        "hidden_size": width,
        "intermediate_size": inner[0],
        "num_hidden_layers": layers,
        # Heads of 64 as in every CLIP text encoder published; of 32 in encoders too small for that.
        "num_attention_heads": max(1, width // 64) if width % 64 == 0 else max(1, width // 32),
        "max_position_embeddings": positions[0],
        "hidden_act": activation,
        "projection_dim": projection or width,
    }
    return checked(found)


def _prefix(header: Header, prefixes: tuple[str, ...]) -> str | None:
    """Where the text model's keys begin; transformers' names stand with and without `text_model.`."""
    for prefix in prefixes:
        if header.shape(f"{prefix}token_embedding.weight") is not None:
            return prefix
        for inner in ("text_model.", ""):
            if header.shape(prefix + inner + TOKENS) is not None:
                return prefix + inner
    return None


def _plan(header: Header, prefixes: tuple[str, ...], folder: str, config: dict[str, Any]) -> Plan:
    if not config:
        return ()
    projected = bool(config.get("projected"))
    prefix = _prefix(header, (folder,)) if header.container == "folder" else _prefix(header, prefixes)
    if prefix is None:
        return ()
    if header.shape(f"{prefix}token_embedding.weight") is not None:
        return _open_clip_plan(header, prefix, config["hidden_size"], projected=projected)
    root = "text_model." if projected else ""
    # `position_ids` is a constant (some files hold it as float, rounded wrongly): left out.
    lines = [
        Rename(target=root + name.removeprefix(prefix), source=name)
        for name in header.tensors
        if name.startswith((f"{prefix}embeddings.", f"{prefix}encoder.", f"{prefix}final_layer_norm."))
        and not name.endswith("position_ids")
    ]
    projection = f"{prefix.removesuffix('text_model.')}text_projection.weight"
    if projected and projection in header.tensors:
        lines.append(Rename(target="text_projection.weight", source=projection))
    return tuple(lines)


_OPEN_CLIP = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_OPEN_CLIP_LAYERS = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}  # fmt: skip


def _open_clip_plan(header: Header, prefix: str, width: int, *, projected: bool) -> Plan:
    """OpenCLIP's text tower. Its temperature, attention mask and vision tower have no use here."""
    root = "text_model." if projected else ""
    lines = []
    for source in (name for name in header.tensors if name.startswith(prefix)):
        name = source.removeprefix(prefix)
        if name in _OPEN_CLIP:
            lines.append(Rename(target=root + _OPEN_CLIP[name], source=source))
        elif name == "text_projection" and projected:
            lines.append(Rename(target="text_projection.weight", source=source, transform="transpose"))
        elif match := re.match(r"^transformer\.resblocks\.(\d+)\.(.+)$", name):
            lines += _open_clip_layer(f"{root}encoder.layers.{match[1]}.", match[2], source, width)
    return tuple(lines)


def _open_clip_layer(target: str, name: str, source: str, width: int) -> list[Rename]:
    if fused := re.match(r"^attn\.in_proj_(weight|bias)$", name):
        return [
            Rename(target=f"{target}self_attn.{part}_proj.{fused[1]}", source=source, rows=(i * width, (i + 1) * width))
            for i, part in enumerate("qkv")
        ]
    layer, _, leaf = name.rpartition(".")
    return [Rename(target=f"{target}{_OPEN_CLIP_LAYERS.get(layer, layer)}.{leaf}", source=source)]
