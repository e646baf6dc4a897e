"""Quantised layers of safetensors files: which tensors make one weight, by names, shapes and small JSON. Torch-free.

Layouts: fp8 with a scale (`X.scale_weight`, or `X.weight_scale` as ModelOpt writes it), ModelOpt's nvfp4
(`X.weight_scale_2` beside it), ComfyUI's (`X.comfy_quant`, JSON, or `_quantization_metadata` in the header) and
bitsandbytes' as Forge and diffusers save it (`X.weight.quant_state.bitsandbytes__nf4`, JSON).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gesso import BadFileError, Header, TensorInfo

BNB = ".quant_state.bitsandbytes__"
BNB_PARTS = {"absmax": ".absmax", "code": ".quant_map", "nested": ".nested_absmax", "nested_code": ".nested_quant_map"}
LEFT_OUT = (".scale_input", ".input_scale", ".scale_weight", ".comfy_quant", "scaled_fp8")
"""What stands beside quantised layers and is not needed to read them: scales of activations, marks."""
MAX_STATE = 4096
_FLOAT8 = ("F8_E4M3", "F8_E5M2")
_COMFY = {"float8_e4m3fn": "fp8_scaled", "float8_e5m2": "fp8_scaled", "nvfp4": "nvfp4", "mxfp8": "mxfp8",
          "int8_tensorwise": "int8_scaled"}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One quantised weight: its format, its own shape, and the names of the tensors that make it up."""

    format: str
    shape: tuple[int, ...]
    parts: dict[str, str]
    state: dict[str, Any] = field(default_factory=dict)
    """What the file says of it beyond its tensors."""


def quantised_layers(path: Path, header: Header) -> dict[str, Layer]:
    """Weight name → its layer, empty for a file without any. BadFileError: parts are missing or do not fit."""
    if header.container == "gguf":
        return {}
    layers: dict[str, Layer] = {}
    for name, state in _states(path, header).items():
        layer, _, mark = name.rpartition(".")
        if BNB in name:
            weight, _, kind = name.partition(BNB)
            layers[weight] = _bnb_layer(header, weight, kind, name, state)
        elif mark == "comfy_quant":
            layers[f"{layer}.weight"] = _comfy_layer(header, f"{layer}.weight", state)
    for name in header.tensors:
        layer, _, mark = name.rpartition(".")
        weight = f"{layer}.weight"
        if mark in ("scale_weight", "weight_scale") and weight not in layers and weight in header.tensors:
            found = _scaled_layer(header, weight, name)
            if found is not None:
                layers[weight] = found
    return layers


def logical_header(header: Header, layers: dict[str, Layer]) -> Header:
    """The header as the model's family wants it: one entry a weight, nothing else of the quantisation."""
    hidden = {name for layer in layers.values() for key, name in layer.parts.items() if key != "data"}
    tensors = {}
    for name, info in header.tensors.items():
        if name in layers:
            layer = layers[name]
            tensors[name] = TensorInfo(format=layer.format, shape=layer.shape, start=info.start, end=info.end)
        elif name not in hidden and not name.endswith(LEFT_OUT):
            tensors[name] = info
    return header.model_copy(update={"tensors": tensors})


def _states(path: Path, header: Header) -> dict[str, dict[str, Any]]:
    """The JSON of each layer that has some: from its own small tensor, or the header's metadata."""
    found = _header_states(header)
    names = [name for name in header.tensors if name.endswith(".comfy_quant") or BNB in name]
    if not names or header.container != "safetensors":
        return found
    with path.open("rb") as file:
        for name in names:
            info = header.tensors[name]
            if info.end - info.start > MAX_STATE:
                raise _bad(name, "its description is too long")
            file.seek(info.start)
            found[name] = _object(name, file.read(info.end - info.start))
    return found


def _header_states(header: Header) -> dict[str, dict[str, Any]]:
    text = header.metadata.get("_quantization_metadata")
    stated = _object("_quantization_metadata", text.encode()).get("layers", {}) if text else {}
    if not isinstance(stated, dict):
        raise _bad("_quantization_metadata", "it lists no layers")
    return {f"{layer}.comfy_quant": state for layer, state in stated.items() if isinstance(state, dict)}


def _object(name: str, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _bad(name, "its description is not a JSON object")
    return value


def _bnb_layer(header: Header, weight: str, kind: str, name: str, state: dict[str, Any]) -> Layer:
    shape, block = state.get("shape", []), state.get("blocksize", 0)
    data = header.tensors.get(weight)
    power = type(block) is int and 0 < block == 1 << (block.bit_length() - 1)
    if kind not in ("nf4", "fp4") or not _sides(shape) or not power or data is None:
        raise _bad(weight, "its description names no shape, block size or known kind")
    parts = {key: weight + ending for key, ending in BNB_PARTS.items() if weight + ending in header.tensors}
    count = math.prod(shape)
    if data.format != "U8" or data.end - data.start != -(-count // 2) or not {"absmax", "code"} <= parts.keys():
        raise _bad(weight, "its tensors do not fit the shape it claims")
    if math.prod(header.tensors[parts["absmax"]].shape) != -(-count // block):
        raise _bad(weight, "its scales do not fit its blocks")
    return Layer(kind, tuple(shape), {"data": weight, **parts, "state": name}, state)


def _comfy_layer(header: Header, weight: str, state: dict[str, Any]) -> Layer:
    stored, data = state.get("format"), header.tensors.get(weight)
    kind = _COMFY.get(str(stored))
    scale = header.tensors.get(f"{weight}_scale")
    if kind is None or data is None or len(data.shape) != 2:
        raise BadFileError(
            f"{weight!r} is quantised as {str(stored)[:40]!r}, which gesso does not read.",
            hint=f"It reads {', '.join(_COMFY)}. A plugin may read more.",
        )
    parts = {"data": weight, "scale": f"{weight}_scale"}
    if scale is None:
        raise _bad(weight, "its scale is missing")
    if kind == "nvfp4":
        return _nvfp4_layer(header, weight, "nvfp4")
    if state.get("convrot"):
        group = state.get("convrot_groupsize", 256)
        if type(group) is not int or group not in (16, 64, 256, 1024) or data.shape[1] % group:
            raise _bad(weight, f"it is rotated in groups of {str(group)[:20]}, which do not fit")
        kind = f"int8_convrot{group}"
    wanted = {"mxfp8": ("F8_E4M3",), "fp8_scaled": _FLOAT8}.get(kind, ("I8",))
    if data.format not in wanted or (kind == "mxfp8" and not _blocked_fits(scale, data.shape, 32)):
        raise _bad(weight, "its tensors do not fit")
    return _checked_scale(header, Layer(kind, data.shape, parts))


def _scaled_layer(header: Header, weight: str, scale: str) -> Layer | None:
    """fp8 with a scale, or ModelOpt's nvfp4; None for an ordinary weight beside which a scale was left."""
    data = header.tensors[weight]
    if data.format in _FLOAT8:
        return _checked_scale(header, Layer("fp8_scaled", data.shape, {"data": weight, "scale": scale}))
    if data.format == "U8" and f"{weight}_scale_2" in header.tensors:
        return _nvfp4_layer(header, weight, "nvfp4_modelopt")
    return None


def _nvfp4_layer(header: Header, weight: str, kind: str) -> Layer:
    data, scale = header.tensors[weight], header.tensors.get(f"{weight}_scale")
    if data.format != "U8" or len(data.shape) != 2 or scale is None or f"{weight}_scale_2" not in header.tensors:
        raise _bad(weight, "its tensors do not fit")
    shape = (data.shape[0], data.shape[1] * 2)
    fits = _blocked_fits(scale, shape, 16) if kind == "nvfp4" else scale.shape == (shape[0], shape[1] // 16)
    if not fits or shape[1] % 16 or scale.format != "F8_E4M3":
        raise _bad(weight, "its scales do not fit its blocks")
    parts = {"data": weight, "scale": f"{weight}_scale", "scale_2": f"{weight}_scale_2"}
    return Layer(kind, shape, parts)


def _blocked_fits(scale: TensorInfo, shape: tuple[int, ...], block: int) -> bool:
    """Whether there is a scale for each block, rows padded to 128 and columns to 4."""
    padded = -(-shape[0] // 128) * 128 * (-(-(shape[1] // block) // 4) * 4)
    return shape[1] % block == 0 and math.prod(scale.shape) == padded


def _checked_scale(header: Header, layer: Layer) -> Layer:
    """One scale for all, one a row, or (fp8) one a rectangle of the weight."""
    shape = header.tensors[layer.parts["scale"]].shape
    count, rows = math.prod(shape), layer.shape[0] if layer.shape else 1
    whole = count in (1, rows)
    tiles = len(shape) == 2 == len(layer.shape) and all(
        0 < s <= side for s, side in zip(shape, layer.shape, strict=True)
    )
    if layer.format == "mxfp8" or whole or (layer.format == "fp8_scaled" and tiles):
        return layer
    raise _bad(layer.parts["data"], f"its scale has the shape {list(shape)} for a weight of {list(layer.shape)}")


def _sides(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 8 and all(type(v) is int and 0 < v < 2**40 for v in value)


def _bad(name: str, what: str) -> BadFileError:
    return BadFileError(f"The quantised layer {name[:80]!r} cannot be read: {what}.", hint="Download the file again.")
