"""The transformer of a file: configuration from shapes, every key's name in FluxTransformer2DModel. Torch-free.

Black Forest Labs' names: https://github.com/black-forest-labs/flux (Apache-2.0).
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from gesso import BadFileError, Header, Match, Plan, Rename

from .recognise import BFL, Layout, layout

MOST_BLOCKS = 200
_TOPS = {
    "img_in": "x_embedder", "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out", "final_layer.adaLN_modulation.1": "norm_out.linear",
}  # fmt: skip
_DOUBLE = {
    "img_mod.lin": "norm1.linear", "txt_mod.lin": "norm1_context.linear",
    "img_attn.norm.query_norm": "attn.norm_q", "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q", "txt_attn.norm.key_norm": "attn.norm_added_k",
    "img_attn.proj": "attn.to_out.0", "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj", "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj", "txt_mlp.2": "ff_context.net.2",
}  # fmt: skip
_SINGLE = {
    "modulation.lin": "norm.linear", "linear2": "proj_out",
    "norm.query_norm": "attn.norm_q", "norm.key_norm": "attn.norm_k",
}  # fmt: skip
_IMAGE, _TEXT = ("to_q", "to_k", "to_v"), ("add_q_proj", "add_k_proj", "add_v_proj")
_BLOCK = re.compile(r"^(double|single)_blocks\.(\d+)\.(.+)$")
_OWN = (*dict.fromkeys(f"{top.partition('.')[0]}." for top in _TOPS), "double_blocks.", "single_blocks.")
_DIFFUSERS = ("x_embedder.", "context_embedder.", "time_text_embed.", "transformer_blocks.",
              "single_transformer_blocks.", "norm_out.", "proj_out.")  # fmt: skip


def config(header: Header, match: Match) -> dict[str, Any]:
    """What FluxTransformer2DModel is built from: a folder's own configuration, else read off the shapes."""
    found = layout(header)
    if found is None:
        return {}
    stated = header.metadata.get("config.transformer") if header.container == "folder" else None
    known = {key: value for key, value in json.loads(stated).items() if not key.startswith("_")} if stated else {}
    image, text, vector, out, norm = (
        found.shape(header, what) or () for what in ("image", "text", "vector", "out", "norm")
    )
    if (len(image), len(text), len(vector), len(out), len(norm)) != (2, 2, 2, 2, 1) or not norm[0]:
        raise BadFileError("The transformer's first layers have shapes that no Flux.1 has.", hint="Download it again.")
    made = {
        "in_channels": image[1],
        "out_channels": out[0],
        "num_layers": _count(header, found, "double"),
        "num_single_layers": _count(header, found, "single"),
        "attention_head_dim": norm[0],
        "num_attention_heads": image[0] // norm[0],
        "joint_attention_dim": text[1],
        "pooled_projection_dim": vector[1],
        "guidance_embeds": found.shape(header, "guidance") is not None,
        "axes_dims_rope": rope_axes(norm[0]),
    }
    return {**made, **{key: known[key] for key in ("axes_dims_rope",) if key in known}}


def rope_axes(width: int) -> list[int]:
    """How a head's channels are shared by the three positions: an eighth, and halves of the rest, all even."""
    first = next((n for n in range(2 * -(-width // 16), width, 2) if (width - n) % 4 == 0), 0)
    if not first:
        raise BadFileError(f"A transformer with heads of {width} channels is no Flux.1.", hint="Download it again.")
    return [first, (width - first) // 2, (width - first) // 2]


def _count(header: Header, found: Layout, which: str) -> int:
    start = f"{found.prefix}{found.names[which]}."
    numbers = (name[len(start) :].partition(".")[0] for name in header.tensors if name.startswith(start))
    highest = max((int(number[:6]) for number in numbers if number.isdecimal()), default=-1)
    if highest >= MOST_BLOCKS:
        raise BadFileError(f"The file numbers its blocks up to {highest}, which no model has.")
    return highest + 1


def plan(header: Header, match: Match, config: dict[str, Any]) -> Plan:
    """Every key of the transformer with its place; fused matrices are cut by rows."""
    found = layout(header)
    if found is None:
        return ()
    own = _OWN if found.names is BFL else _DIFFUSERS
    lines: list[Rename] = []
    for source in header.tensors:
        name = source.removeprefix(found.prefix)
        if source.startswith(found.prefix) and name.startswith(own):
            width = config["num_attention_heads"] * config["attention_head_dim"]
            lines += renames(name, source, width) if found.names is BFL else [Rename(target=name, source=source)]
    return tuple(lines)


def renames(name: str, source: str, width: int) -> list[Rename]:
    """The parameters one of BFL's tensors stands for, in a transformer so wide; itself for a name nobody knows."""
    layer, _, leaf = name.rpartition(".")
    block = _BLOCK.match(layer)
    if block is None:
        # Shift and scale of the last modulation are exchanged in diffusers.
        transform: Literal["same", "swap_halves"] = "swap_halves" if layer.startswith("final_layer.adaLN") else "same"
        return [Rename(target=f"{_TOPS.get(layer, layer)}.{leaf}", source=source, transform=transform)]
    kind, number, inner = block.groups()
    place = f"{'single_' if kind == 'single' else ''}transformer_blocks.{number}."
    if kind == "single" and inner == "linear1":
        parts = [f"attn.{part}" for part in _IMAGE]
        return [*_cut(place, parts, leaf, source, width), _mlp(place, leaf, source, width)]
    if kind == "double" and inner.endswith("_attn.qkv"):
        parts = [f"attn.{part}" for part in (_IMAGE if inner.startswith("img") else _TEXT)]
        return _cut(place, parts, leaf, source, width)
    target = (_SINGLE if kind == "single" else _DOUBLE).get(inner, inner)
    leaf = "weight" if leaf == "scale" else leaf
    return [Rename(target=f"{place}{target}.{leaf}", source=source)]


def _cut(place: str, parts: list[str], leaf: str, source: str, width: int) -> list[Rename]:
    return [
        Rename(target=f"{place}{part}.{leaf}", source=source, rows=(i * width, (i + 1) * width))
        for i, part in enumerate(parts)
    ]


def _mlp(place: str, leaf: str, source: str, width: int) -> Rename:
    """What follows query, key and value in a single block's first matrix: four widths."""
    return Rename(target=f"{place}proj_mlp.{leaf}", source=source, rows=(3 * width, 7 * width))


def bfl_renames(config: dict[str, Any]) -> dict[str, list[Rename]]:
    """BFL's name → the parameters it stands for, for every weight a transformer of this configuration has."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    layers: list[tuple[str, tuple[str, ...]]] = [
        (top, ("weight", "bias")) for top in _TOPS if config["guidance_embeds"] or "guidance" not in top
    ]
    qkv = ("img_attn.qkv", "txt_attn.qkv")
    for kind, count, inner in (
        ("double", config["num_layers"], (*_DOUBLE, *qkv)),
        ("single", config["num_single_layers"], (*_SINGLE, "linear1")),
    ):
        for number in range(count):
            layers += [
                (f"{kind}_blocks.{number}.{name}", ("scale",) if name.endswith("_norm") else ("weight", "bias"))
                for name in inner
            ]
    names = [f"{layer}.{leaf}" for layer, leaves in layers for leaf in leaves]
    return {name: renames(name, name, width) for name in names}
