"""Quantised files made here, by code that shares nothing with what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

NF4 = (-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0, 0.0795803, 0.1609302,
       0.2461123, 0.33791524, 0.44070983, 0.5626170, 0.72295684, 1.0)  # fmt: skip
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
Tensors = dict[str, torch.Tensor]


def text(value: dict[str, object]) -> torch.Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def fp8(name: str, w: torch.Tensor, *, rows: bool = False, key: str = "scale_weight") -> Tensors:
    amax = w.abs().amax(1) if rows else w.abs().amax()
    scale = amax / 448
    data = (w / (scale[:, None] if rows else scale)).to(torch.float8_e4m3fn)
    return {f"{name}.weight": data, f"{name}.{key}": scale}


def nf4(name: str, w: torch.Tensor, *, nested: bool = False) -> Tensors:
    blocks = torch.nn.functional.pad(w.flatten(), (0, -w.numel() % 64)).reshape(-1, 64)
    absmax = blocks.abs().amax(1)
    codes = (blocks / absmax[:, None] - torch.tensor(NF4)[:, None, None]).abs().argmin(0).flatten()[: w.numel()]
    state: dict[str, object] = {"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": list(w.shape)}
    weight = f"{name}.weight"
    made = {weight: (codes[::2] << 4 | codes[1::2]).to(torch.uint8)[:, None], f"{weight}.quant_map": torch.tensor(NF4)}
    if nested:
        offset = float(absmax.mean())
        outer = torch.stack([part.abs().max() for part in (absmax - offset).split(256)])
        code = torch.linspace(-1, 1, 256)
        inner = (absmax - offset) / outer.repeat_interleave(256)[: absmax.numel()]
        made[f"{weight}.absmax"] = (inner[:, None] - code).abs().argmin(1).to(torch.uint8)
        made |= {f"{weight}.nested_absmax": outer, f"{weight}.nested_quant_map": code}
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": offset}
    else:
        made[f"{weight}.absmax"] = absmax
    return made | {f"{weight}.quant_state.bitsandbytes__nf4": text(state)}


def _blocked(scale: torch.Tensor) -> torch.Tensor:
    """Scales where cuBLAS looks for them, one at a time as its manual says it."""
    rows, columns = -(-scale.shape[0] // 128) * 128, -(-scale.shape[1] // 4) * 4
    flat = torch.zeros(rows * columns, dtype=torch.uint8)
    raw = scale.view(torch.uint8)
    for r in range(scale.shape[0]):
        for c in range(scale.shape[1]):
            tile = (r // 128) * (columns // 4) + c // 4
            flat[tile * 512 + (r % 32) * 16 + (r % 128 // 32) * 4 + c % 4] = raw[r, c]
    return flat.reshape(rows, columns)


def nvfp4(name: str, w: torch.Tensor, *, comfy: bool) -> Tensors:
    whole = w.abs().max() / (448 * 6)
    blocks = w.reshape(w.shape[0], -1, 16)
    scale = (blocks.abs().amax(2) / 6 / whole).to(torch.float8_e4m3fn)
    sized = blocks / (scale.float() * whole)[..., None]
    codes = (sized.abs()[..., None] - torch.tensor(E2M1)).abs().argmin(-1) + 8 * (sized < 0)
    codes = codes.reshape(w.shape).to(torch.uint8)
    even, odd = codes[:, ::2], codes[:, 1::2]
    made = {
        f"{name}.weight": even << 4 | odd if comfy else even | odd << 4,
        f"{name}.weight_scale": _blocked(scale).view(torch.float8_e4m3fn) if comfy else scale,
        f"{name}.weight_scale_2": whole,
        f"{name}.input_scale": torch.tensor(1.0),
    }
    return made | ({f"{name}.comfy_quant": text({"format": "nvfp4"})} if comfy else {})


def mxfp8(name: str, w: torch.Tensor) -> Tensors:
    blocks = w.reshape(w.shape[0], -1, 32)
    exponent = torch.ceil(torch.log2(blocks.abs().amax(2) / 448))
    data = (blocks / torch.exp2(exponent)[..., None]).reshape(w.shape).to(torch.float8_e4m3fn)
    scale = _blocked((exponent + 127).to(torch.uint8))
    return {f"{name}.weight": data, f"{name}.weight_scale": scale, f"{name}.comfy_quant": text({"format": "mxfp8"})}


def int8(name: str, w: torch.Tensor, *, group: int = 0) -> Tensors:
    if group:  # x·Wᵀ = (x·H)(W·H)ᵀ with an orthogonal H on each group of columns
        quarter = torch.tensor([[1.0, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]]) / 2
        turn = torch.kron(quarter, quarter) if group == 16 else torch.kron(torch.kron(quarter, quarter), quarter)
        w = torch.cat([part @ turn for part in w.split(group, 1)], 1)
    scale = w.abs().amax(1, keepdim=True) / 127
    state: dict[str, object] = {"format": "int8_tensorwise"}
    state |= {"convrot": True, "convrot_groupsize": group} if group else {}
    data = (w / scale).round().to(torch.int8)
    return {f"{name}.weight": data, f"{name}.weight_scale": scale, f"{name}.comfy_quant": text(state)}


LAYOUTS: dict[str, tuple[Callable[[str, torch.Tensor], Tensors], float]] = {
    "scaled fp8": (fp8, 0.04),
    "scaled fp8, a scale a row": (lambda n, w: fp8(n, w, rows=True, key="weight_scale"), 0.04),
    "nf4": (nf4, 0.2),
    "nf4 with quantised scales": (lambda n, w: nf4(n, w, nested=True), 0.2),
    "ModelOpt nvfp4": (lambda n, w: nvfp4(n, w, comfy=False), 0.25),
    "ComfyUI nvfp4": (lambda n, w: nvfp4(n, w, comfy=True), 0.25),
    "ComfyUI mxfp8": (mxfp8, 0.07),
    "ComfyUI int8": (int8, 0.01),
    "ComfyUI int8, rotated": (lambda n, w: int8(n, w, group=64), 0.02),
}
"""What people hold → (how it is made, the most a value may be off, by the weight's largest)."""


@pytest.fixture(params=LAYOUTS, scope="session")
def layout(request: pytest.FixtureRequest) -> tuple[Callable[[str, torch.Tensor], Tensors], float]:
    return LAYOUTS[request.param]


@pytest.fixture(scope="session", name="nf4")
def _nf4() -> Callable[..., Tensors]:
    return nf4


@pytest.fixture(scope="session", name="fp8")
def _fp8() -> Callable[..., Tensors]:
    return fp8
