"""T5's encoder in a file: configuration from shapes, every key's name in transformers' T5Stack. Torch-free.

Single files and folders have transformers' names, GGUF files often llama.cpp's
(https://github.com/ggml-org/llama.cpp, `gguf-py/gguf/tensor_mapping.py`).
"""

from __future__ import annotations

import re
from typing import Any

from gesso import BadFileError, Header, Match, Plan, Rename

PREFIXES = ("text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.", "text_encoder_2.", "")
MOST_LAYERS = 200
_ATTENTION = "layer.0.SelfAttention."
_LLAMA = {
    "attn_q": _ATTENTION + "q", "attn_k": _ATTENTION + "k", "attn_v": _ATTENTION + "v", "attn_o": _ATTENTION + "o",
    "attn_rel_b": _ATTENTION + "relative_attention_bias", "attn_norm": "layer.0.layer_norm",
    "ffn_gate": "layer.1.DenseReluDense.wi_0", "ffn_up": "layer.1.DenseReluDense.wi_1",
    "ffn_down": "layer.1.DenseReluDense.wo", "ffn_norm": "layer.1.layer_norm",
}  # fmt: skip
_LLAMA_TOPS = {"token_embd.weight": "embed_tokens.weight", "enc.output_norm.weight": "final_layer_norm.weight"}
_BLOCK = re.compile(r"^enc\.blk\.(\d+)\.(\w+)\.weight$")


def config(header: Header, match: Match) -> dict[str, Any]:
    """T5Config's fields off the shapes; empty for a file without T5's encoder."""
    shapes = {line.target: header.tensors[line.source].shape for line in _lines(header)}
    tokens, query = shapes.get("embed_tokens.weight"), shapes.get(f"block.0.{_ATTENTION}q.weight")
    bias = shapes.get(f"block.0.{_ATTENTION}relative_attention_bias.weight")
    inner = shapes.get("block.0.layer.1.DenseReluDense.wo.weight")
    if tokens is None or query is None or bias is None or inner is None:
        return {}
    layers = 1 + max(int(name.split(".")[1]) for name in shapes if name.startswith("block."))
    if layers > MOST_LAYERS or len(bias) != 2 or not bias[1] or {len(tokens), len(query), len(inner)} != {2}:
        raise BadFileError("The text encoder's layers have shapes that no T5 has.", hint="Download it again.")
    return {
        "vocab_size": tokens[0],
        "d_model": tokens[1],
        "d_kv": query[0] // bias[1],
        "d_ff": inner[1],
        "num_layers": layers,
        "num_heads": bias[1],
        "relative_attention_num_buckets": bias[0],
        "feed_forward_proj": "gated-gelu" if "block.0.layer.1.DenseReluDense.wi_0.weight" in shapes else "relu",
    }


def plan(header: Header, match: Match, config: dict[str, Any]) -> Plan:
    """The encoder's keys; the decoder's and what is no weight are left out."""
    return tuple(_lines(header)) if config else ()


def _lines(header: Header) -> list[Rename]:
    for prefix in PREFIXES:
        names = [name for name in header.tensors if name.startswith(prefix)]
        if f"{prefix}token_embd.weight" in header.tensors and any(n.startswith(f"{prefix}enc.blk.") for n in names):
            lines = [(name, _llama_target(name.removeprefix(prefix))) for name in names]
        elif any(n.startswith(f"{prefix}encoder.block.") for n in names):
            embedded = f"{prefix}encoder.embed_tokens.weight" in header.tensors
            lines = [(name, _target(name.removeprefix(prefix), embedded=embedded)) for name in names]
        else:
            continue
        return [Rename(target=target, source=name) for name, target in lines if target]
    return []


def _target(name: str, *, embedded: bool) -> str:
    """The token table stands under one name or two, which are the same."""
    if name == "shared.weight":
        return "" if embedded else "embed_tokens.weight"
    return name.removeprefix("encoder.") if name.startswith("encoder.") else ""


def _llama_target(name: str) -> str:
    block = _BLOCK.match(name)
    if block is None:
        return _LLAMA_TOPS.get(name, "")
    layer = _LLAMA.get(block[2])
    return f"block.{int(block[1][:6])}.{layer}.weight" if layer else ""
