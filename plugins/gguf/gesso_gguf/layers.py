"""Layers whose weights stay in GGUF's blocks. Imported in the worker, when a model is loaded."""

from __future__ import annotations

import torch

from gesso import HeldLinear, Weight, hold_weight

from .blocks import DECODERS
from .header import SIZES

LINEAR_KERNELS = ("Q4_0",)
"""Formats that linear layers need not decode."""
PIECE = 1 << 20
"""Values decoded at once on a CPU."""
FEW = 64
"""Rows of input up to which torch's int4 kernel is faster than decoding (measured: benchmarks/gguf_speed.py)."""


def dequantise(weight: Weight, *, dtype: torch.dtype) -> torch.Tensor:
    """The values of a weight in GGUF's blocks. On a CPU in pieces, which stay in its caches and take little memory."""
    values, size = SIZES[weight.format]
    decode, blocks = DECODERS[weight.format], weight.data.reshape(-1, size)
    step = PIECE // values
    if blocks.device.type != "cpu" or blocks.shape[0] <= step:
        return decode(blocks).to(dtype).reshape(weight.shape)
    decoded = torch.empty(blocks.shape[0], values, dtype=dtype)
    for start in range(0, blocks.shape[0], step):
        decoded[start : start + step] = decode(blocks[start : start + step])
    return decoded.reshape(weight.shape)


def build(
    module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """Keep the blocks and decode them when they are used."""
    return hold_weight(module, name, weight, dequantise, dtype=dtype, device=device, multiply=multiply)


def multiply(layer: HeldLinear, x: torch.Tensor) -> torch.Tensor | None:
    """Few rows of bf16 on a CPU times Q4_0: torch's own int4 kernel, which decodes in registers."""
    weight = layer.stored()
    rows = x.numel() // max(1, x.shape[-1])
    if weight.format not in LINEAR_KERNELS or x.dtype != torch.bfloat16 or x.device.type != "cpu" or rows > FEW:
        return None
    if layer.out_features % 32 or "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return None  # where its vectors do not fit it is slower than decoding
    if "int4" not in layer._buffers:
        _pack(layer, weight)
    flat = x.reshape(rows, layer.in_features).contiguous()
    product: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(flat, layer.int4, 32, layer.int4_scale)
    bias: torch.Tensor | None = layer.bias
    product = product if bias is None else product + bias
    return product.reshape(*x.shape[:-1], layer.out_features)


def _pack(layer: HeldLinear, weight: Weight) -> None:
    """The same numbers in the kernel's order, made when the layer first meets few rows. It takes its place in memory
    again; the blocks are pages of the file, which the system may drop."""
    blocks = weight.data.reshape(weight.shape[0], -1, 18)
    scale, codes = blocks[..., :2].contiguous().view(torch.float16), blocks[..., 2:]
    whole = torch.cat([codes & 15, codes >> 4], 2).reshape(weight.shape).int()
    pairs = torch.stack([scale[..., 0].t(), torch.zeros_like(scale[..., 0].t())], 2)
    layer.register_buffer("int4", torch.ops.aten._convert_weight_to_int4pack_for_cpu(whole, 2), persistent=False)
    layer.register_buffer("int4_scale", pairs.to(torch.bfloat16).contiguous(), persistent=False)
