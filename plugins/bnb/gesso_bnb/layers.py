"""Linear layers on bitsandbytes' kernels (arXiv:2305.14314 for NF4, arXiv:2208.07339 for LLM.int8). Worker only."""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch

from gesso import BadFileError, HeldLinear, InvalidInputError, Weight, assign_weight, hold_weight

from .available import why_not

BLOCK = 64
OUTLIER = 6.0
"""Columns of the input with larger values are multiplied in half precision, as in the paper."""


def build_nf4(
    module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """Linear weights as NF4: the file's, or made of ordinary ones."""
    return _build("nf4", module, name, weight, dtype, device)


def build_fp4(
    module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """Linear weights as FP4: the file's, or made of ordinary ones."""
    return _build("fp4", module, name, weight, dtype, device)


def build_llm_int8(
    module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """Linear weights as int8 with a scale for each row."""
    return _build("llm_int8", module, name, weight, dtype, device)


def _build(
    kind: str, module: torch.nn.Module, name: str, weight: Weight, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    if reason := why_not():
        raise InvalidInputError(
            f"Weights cannot be held as {kind}: bitsandbytes does not work here ({reason}).",
            hint="Set core.operator to another operator or to nothing; `gesso doctor` looks at the installation.",
        )
    if weight.format in ("nf4", "fp4") and not _standard(weight):
        raise BadFileError(f"{name!r} is {kind} with a code book of its own, which bitsandbytes does not multiply.")
    if weight.is_plain:
        if name != "weight" or not isinstance(module, (torch.nn.Linear, HeldLinear)):
            return assign_weight(module, name, weight.data.to(device, dtype))
        weight = quantised(kind, weight.data.to(device, torch.float32))
    multiply = multiply_int8 if kind == "llm_int8" else multiply_4bit
    return hold_weight(module, name, weight, dequantise, dtype=dtype, device=device, multiply=multiply)


def quantised(kind: str, data: torch.Tensor) -> Weight:
    """float32 (rows, columns) as a weight of this kind."""
    from bitsandbytes import functional

    if kind == "llm_int8":
        scale = data.abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
        return Weight(kind, tuple(data.shape), {"data": (data / scale).round().to(torch.int8), "scale": scale})
    packed, state = functional.quantize_4bit(data.contiguous(), quant_type=kind, blocksize=BLOCK)
    rows = data.shape[0] if data.shape[1] % BLOCK == 0 else 1
    tensors = {"data": packed.reshape(rows, -1), "absmax": state.absmax.reshape(rows, -1)}
    return Weight(kind, tuple(data.shape), {**tensors, "code": state.code.reshape(1, 16)})


def dequantise(weight: Weight, *, dtype: torch.dtype) -> torch.Tensor:
    """The values of a weight of four or eight bits."""
    if weight.format == "llm_int8":
        return (weight.data.float() * weight.tensors["scale"]).to(dtype)
    from bitsandbytes import functional

    values: torch.Tensor = functional.dequantize_4bit(weight.data.reshape(-1, 1), _state(weight, dtype))
    return values


def multiply_4bit(layer: HeldLinear, x: torch.Tensor) -> torch.Tensor | None:
    """bitsandbytes' fused kernel where it has one: on a GPU, and for half precision on a CPU."""
    if x.device.type == "cpu" and x.dtype == torch.float32:
        return None
    weight = layer.stored()
    state = _state(weight, x.dtype)
    product: torch.Tensor = _library().matmul_4bit(x, weight.data.reshape(-1, 1), quant_state=state, bias=layer.bias)
    return product


def multiply_int8(layer: HeldLinear, x: torch.Tensor) -> torch.Tensor:
    """LLM.int8: the input's rows in eight bits, but for columns with outliers."""
    weight, state = layer.stored(), _library().MatmulLtState()
    state.CB, state.SCB = weight.data, weight.tensors["scale"].flatten() * 127
    state.has_fp16_weights, state.is_training, state.threshold = False, False, OUTLIER
    # Half precision is what its kernels take; given anything else they warn about it at every call.
    bias: torch.Tensor | None = layer.bias
    half = None if bias is None else bias.half()
    product: torch.Tensor = _library().matmul(x.half(), weight.data, state=state, threshold=OUTLIER, bias=half)
    return product.to(x.dtype)


def _library() -> Any:
    """bitsandbytes, which has no types; imported on use, since it takes a while."""
    return importlib.import_module("bitsandbytes")


def _state(weight: Weight, dtype: torch.dtype):  # type: ignore[no-untyped-def]
    from bitsandbytes.functional import QuantState

    absmax = weight.tensors["absmax"].flatten()
    return QuantState(
        absmax=absmax,
        shape=torch.Size(weight.shape),
        code=weight.tensors["code"][0],
        # A power of two; the last block may be shorter.
        blocksize=1 << (-(-math.prod(weight.shape) // absmax.numel()) - 1).bit_length(),
        quant_type=weight.format,
        dtype=dtype,
    )


def _standard(weight: Weight) -> bool:
    """Whether the file's code book is the one in the kernels."""
    from bitsandbytes import functional

    code = weight.tensors["code"][0].float()
    return torch.allclose(code, functional.get_4bit_type(weight.format, device=code.device), atol=1e-5)
