"""Weights of four and eight bits through bitsandbytes."""

from __future__ import annotations

from gesso import DequantiseFn, Operator, OperatorFn, Registrar, TensorInfo, hookimpl, lazy

from .available import why_not

api = "1"
PLAIN = ("F32", "F16", "BF16")
STORED = ("nf4", "fp4")
MADE = {"nf4": "NF4", "fp4": "FP4", "llm_int8": "LLM.int8"}
"""Operators by name, with the name people know."""


@hookimpl
def gesso_register_operators(registry: Registrar[Operator]) -> None:
    for name, label in MADE.items():
        registry.add(
            Operator(
                name=name,
                label=label,
                formats=(name,),
                build=lazy(f".layers:build_{name}", OperatorFn),
                dequantise=lazy(".layers:dequantise", DequantiseFn),
            )
        )


@hookimpl
def gesso_choose_operator(name: str, info: TensorInfo, wanted: str) -> str | None:
    """Four-bit files as long as bitsandbytes works here; ordinary weights on request."""
    if info.format in STORED:
        return info.format if wanted in ("", info.format) and not why_not() else None
    return wanted if wanted in MADE and info.format in PLAIN else None
