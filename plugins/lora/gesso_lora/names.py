"""The names in files of LoRA and its kin: which layer a tensor belongs to, and what it is there. Torch-free.

Layouts: kohya's sd-scripts, LyCORIS (LoCon, LoHa, LoKr, diag-OFT, full differences), diffusers in three ages, PEFT.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gesso import AdapterMatch, Header

ENDS = {
    ".lora_down.weight": "down", ".lora_up.weight": "up", ".lora_mid.weight": "mid",
    ".lora_A.weight": "down", ".lora_B.weight": "up",
    ".lora_A.default.weight": "down", ".lora_B.default.weight": "up",
    ".lora.down.weight": "down", ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down", ".lora_linear_layer.up.weight": "up",
    "_lora.down.weight": "down", "_lora.up.weight": "up",
    ".alpha": "alpha", ".dora_scale": "dora", ".lora_magnitude_vector": "dora", ".lora_magnitude_vector.weight": "dora",
    ".hada_w1_a": "hada_w1_a", ".hada_w1_b": "hada_w1_b", ".hada_w2_a": "hada_w2_a", ".hada_w2_b": "hada_w2_b",
    ".hada_t1": "hada_t1", ".hada_t2": "hada_t2",
    ".lokr_w1": "lokr_w1", ".lokr_w1_a": "lokr_w1_a", ".lokr_w1_b": "lokr_w1_b",
    ".lokr_w2": "lokr_w2", ".lokr_w2_a": "lokr_w2_a", ".lokr_w2_b": "lokr_w2_b", ".lokr_t2": "lokr_t2",
    ".oft_blocks": "oft_blocks", ".oft_diag": "oft_diag", ".rescale": "rescale",
    ".diff": "diff", ".diff_b": "diff_b", ".w_norm": "diff", ".b_norm": "diff_b",
}  # fmt: skip
"""How names end → what the tensor is."""
KINDS = {
    "down": "lora",
    "hada_w1_a": "loha",
    "lokr_w1": "lokr",
    "lokr_w1_a": "lokr",
    "oft_blocks": "oft",
    "oft_diag": "oft",
}
PROJECTIONS = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
"""Text encoders' layers as diffusers called them in 2023."""
NO_WEIGHT = ("oft_blocks", "oft_diag")


@dataclass
class Layer:
    """The tensors of one layer: what they are → their names in the file."""

    name: str
    """As the file spells it, in today's spelling where it is an old one."""
    tensors: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """ "lora", "dora", "loha", "lokr", "oft", "diff"; "" where it is none of these."""
        found = next((KINDS[end] for end in self.tensors if end in KINDS), "")
        if found == "lora" and "up" not in self.tensors:
            return ""
        if found == "lora" and "dora" in self.tensors:
            return "dora"
        return found or ("diff" if {"diff", "diff_b"} & self.tensors.keys() else "")


def layers(names: Iterable[str]) -> dict[str, Layer]:
    """The layers of a file by name; tensors of no known kind are a layer of their own, without a kind."""
    found: dict[str, Layer] = {}
    for name in names:
        end = next((end for end in _candidates(name) if end in ENDS), "")
        layer = spelled(name.removesuffix(end), end) if end else name
        found.setdefault(layer, Layer(layer)).tensors[ENDS.get(end, "")] = name
    return found


def _candidates(name: str) -> list[str]:
    """The last parts of a name, longest first."""
    places = [n for n, letter in enumerate(name) if letter == "."][-3:]
    found = [name[n:] for n in places]
    if "_lora." in name:
        found.insert(0, name[name.rindex("_lora.") :])
    return found


def spelled(layer: str, end: str) -> str:
    """A layer as diffusers calls it today."""
    if layer.startswith("base_model.model."):
        rest = layer.removeprefix("base_model.model.")
        layer = f"text_encoder.{rest}" if rest.startswith("text_model.") else f"unet.{rest}"
    if not end.startswith("_lora."):
        return layer
    parent, _, leaf = layer.replace(".processor", "").rpartition(".")
    if parent.endswith("self_attn"):
        return f"{parent}.{PROJECTIONS.get(leaf, leaf)}"
    return f"{parent}.to_out.0" if leaf == "to_out" else f"{parent}.{leaf}"


def kind_of(header: Header) -> tuple[str, float]:
    """(the kind most layers of a file are of, their share); ("", 0) when there is none."""
    kinds: dict[str, int] = {}
    for layer in layers(header.tensors).values():
        if layer.kind and layer.kind != "diff":
            kinds[layer.kind] = kinds.get(layer.kind, 0) + 1
    total = sum(kinds.values())
    if not total:
        return "", 0.0
    kind = max(kinds, key=lambda name: kinds[name])
    return kind, kinds[kind] / total


def match_of(header: Header, kind: str) -> AdapterMatch | None:
    """A match when the file is of this kind."""
    found, share = kind_of(header)
    if found != kind:
        return None
    base = header.metadata.get("modelspec.architecture") or header.metadata.get("ss_base_model_version", "")
    return AdapterMatch(confidence=0.5 + share / 2, details={"base": base, "layers": len(layers(header.tensors))})


def lora(header: Header) -> AdapterMatch | None:
    """Low-rank differences, convolutions included (LoCon)."""
    return match_of(header, "lora")


def dora(header: Header) -> AdapterMatch | None:
    """The same with a magnitude for each row."""
    return match_of(header, "dora")


def loha(header: Header) -> AdapterMatch | None:
    """Products of two low-rank differences, number by number."""
    return match_of(header, "loha")


def lokr(header: Header) -> AdapterMatch | None:
    """Kronecker products."""
    return match_of(header, "lokr")


def oft(header: Header) -> AdapterMatch | None:
    """Rotations of groups of rows."""
    return match_of(header, "oft")


class Scales:
    """What a file's metadata says of alpha, where its layers do not: diffusers keeps PEFT's configuration there."""

    def __init__(self, metadata: Mapping[str, str]) -> None:
        try:
            stated = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        except (ValueError, RecursionError):
            stated = {}
        self._stated: dict[str, Any] = stated if isinstance(stated, dict) else {}

    def of(self, layer: str, rank: int, alpha: float | None) -> float:
        """What the product is multiplied by: alpha / rank, 1 where nobody says anything."""
        part, _, inner = layer.partition(".")
        if alpha is None:
            pattern = self._stated.get(f"{part}.alpha_pattern")
            own = pattern.get(inner) if isinstance(pattern, dict) else None
            alpha = _number(own if own is not None else self._stated.get(f"{part}.lora_alpha"))
        if alpha is None or not rank:
            return 1.0
        return alpha / (math.sqrt(rank) if self._stated.get(f"{part}.use_rslora") is True else rank)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
