"""The values of weights stored as fp8, int8 or 4 bits with scales, in torch alone: on any device."""

from __future__ import annotations

import functools
import math

import torch

from gesso import HeldLinear, Weight, assign_weight, hold_weight

E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
"""Four-bit floats by their code (OCP Microscaling Formats 1.0)."""
FP8_MOST = 448.0


def dequantise(weight: Weight, *, dtype: torch.dtype) -> torch.Tensor:
    """The values of a weight of any format of these operators, of its shape, in `dtype`."""
    stored, data = weight.format, weight.data
    if stored in ("nf4", "fp4"):
        absmax = weight.tensors["absmax"]
        values = _pairs(data, weight.tensors["code"][0], high_first=True).reshape(-1)[: math.prod(weight.shape)]
        block = 1 << (-(-values.numel() // absmax.numel()) - 1).bit_length()  # the last one may be shorter
        if values.numel() % block:
            scale = absmax.flatten().repeat_interleave(block)[: values.numel()]
            return (values * scale).reshape(weight.shape).to(dtype)
        return (values.reshape(-1, block) * absmax.reshape(-1, 1)).reshape(weight.shape).to(dtype)
    if stored.startswith("nvfp4"):
        code = torch.tensor(E2M1, device=data.device)
        scale = weight.tensors["scale"].float() * weight.tensors["scale_2"].float()
        return _scaled(_pairs(data, code, high_first=stored == "nvfp4"), scale).to(dtype)
    if stored == "mxfp8":
        exponents = weight.tensors["scale"].view(torch.uint8).to(torch.int32)
        return _scaled(data.float(), (exponents << 23).view(torch.float32)).to(dtype)
    if stored.startswith("int8_convrot"):
        return rotated(data.float() * weight.tensors["scale"].float(), int(stored[12:])).to(dtype)
    if "scale" not in weight.tensors:
        return data.to(dtype)
    return _scaled(data.float(), weight.tensors["scale"].float()).to(dtype)


def _scaled(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Values times their scales: one for all, one a row, or (rows, n) for n blocks in each row."""
    if scale.ndim < 2 or scale.shape[1] == 1 or scale.shape == values.shape:
        return values * scale
    block = -(-values.shape[1] // scale.shape[1])
    if values.shape[1] % block:
        return values * scale.repeat_interleave(block, 1)[:, : values.shape[1]]
    blocks = values.reshape(values.shape[0], -1, block)
    return (blocks * scale[:, : blocks.shape[1], None]).reshape(values.shape)


def _pairs(data: torch.Tensor, code: torch.Tensor, *, high_first: bool) -> torch.Tensor:
    """(rows, n) bytes of two codes each → (rows, 2n) values.

    A table of pairs needs one look-up a byte, and a pair seen as one number is looked up as fast as any.
    """
    high, low = code.repeat_interleave(16), code.repeat(16)
    table = torch.stack([high, low] if high_first else [low, high], 1)
    pairs = table.float().contiguous().view(torch.int64).flatten().index_select(0, data.flatten().int())
    return pairs.view(torch.float32).reshape(data.shape[0], -1)


@functools.lru_cache(maxsize=8)
def _hadamard(size: int, device: torch.device) -> torch.Tensor:
    """The regular Hadamard matrix of a power of four, normalised; it is its own inverse."""
    core = torch.ones(4, 4) - 2 * torch.eye(4).flip(1)
    matrix = torch.ones(1, 1)
    while matrix.shape[0] < size:
        matrix = torch.kron(matrix, core / 2)
    return matrix.to(device)


def rotated(values: torch.Tensor, group: int) -> torch.Tensor:
    """Rows (n, k) with each group of columns rotated by a Hadamard matrix; doing it twice undoes it."""
    return (values.reshape(-1, group) @ _hadamard(group, values.device)).reshape(values.shape)


def build(
    module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """Keep a stored weight as it is and decode it when it is used."""
    return hold_weight(module, name, weight, dequantise, dtype=dtype, device=device)


def build_fp8(
    module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """As `build`; the ordinary weights of linear layers become fp8 with a scale for each row."""
    if weight.format.startswith("F8_"):
        return build(module, name, weight, dtype=dtype, device=device)
    if name == "weight" and isinstance(module, (torch.nn.Linear, HeldLinear)):
        return build(module, name, to_fp8(weight, device), dtype=dtype, device=device)
    data = weight.data
    return assign_weight(module, name, data.to(device, dtype if data.is_floating_point() else data.dtype))


def to_fp8(weight: Weight, device: torch.device) -> Weight:
    """A plain weight as e4m3 with one float32 scale a row."""
    data = weight.data.to(device).float()
    scale = data.abs().amax(1, keepdim=True).clamp_min(1e-12) / FP8_MOST
    return Weight("fp8_scaled", weight.shape, {"data": (data / scale).to(torch.float8_e4m3fn), "scale": scale})
