"""Operators: plain weights, fp8, and the quantised layers of safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gesso import (
    DequantiseFn,
    Header,
    Operator,
    OperatorFn,
    Registrar,
    TensorInfo,
    hookimpl,
    lazy,
)

if TYPE_CHECKING:
    from gesso import WeightReader

api = "1"
PLAIN = ("F64", "F32", "F16", "BF16")
FLOAT8 = ("F8_E4M3", "F8_E5M2")
QUANTISED = (
    "fp8_scaled", "nf4", "fp4", "nvfp4", "nvfp4_modelopt", "mxfp8", "int8_scaled", "int8_convrot16", "int8_convrot64",
    "int8_convrot256", "int8_convrot1024",
)  # fmt: skip


@hookimpl
def gesso_register_operators(registry: Registrar[Operator]) -> None:
    registry.add(
        Operator(
            name="plain",
            label="Plain",
            formats=(*PLAIN, *FLOAT8, "I64", "I32", "U8", "BOOL"),
            build=lazy(".plain:build", OperatorFn),
        )
    )
    registry.add(
        Operator(
            name="fp8",
            label="fp8",
            formats=FLOAT8,
            build=lazy(".decode:build_fp8", OperatorFn),
            dequantise=lazy(".decode:dequantise", DequantiseFn),
        )
    )
    registry.add(
        Operator(
            name="quantised",
            label="As stored",
            formats=QUANTISED,
            build=lazy(".decode:build", OperatorFn),
            dequantise=lazy(".decode:dequantise", DequantiseFn),
        )
    )


@hookimpl
def gesso_choose_operator(name: str, info: TensorInfo, wanted: str) -> str | None:
    """fp8 weights stay fp8 unless another operator is asked for; ordinary ones become fp8 on request."""
    if info.format in FLOAT8 and not wanted:
        return "fp8"
    readable = {"fp8": (*FLOAT8, *PLAIN), "plain": (*PLAIN, *FLOAT8)}.get(wanted, ())
    return wanted if info.format in readable else None


@hookimpl
def gesso_choose_header(path: Path, header: Header | None) -> Header | None:
    """Quantised layers as one entry each."""
    from .layouts import logical_header, quantised_layers

    layers = {} if header is None else quantised_layers(path, header)
    return None if header is None or not layers else logical_header(header, layers)


@hookimpl
def gesso_choose_weight_reader(path: Path, header: Header) -> WeightReader | None:
    if not any(info.format in QUANTISED for info in header.tensors.values()):
        return None
    from .reader import QuantisedReader

    return QuantisedReader(path)
