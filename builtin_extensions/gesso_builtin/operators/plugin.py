"""The plain operator: weights as tensors of the compute dtype."""

from __future__ import annotations

from gesso import Operator, OperatorFn, Registrar, hookimpl, lazy

api = "1"


@hookimpl
def gesso_register_operators(registry: Registrar[Operator]) -> None:
    registry.add(
        Operator(
            name="plain",
            label="Plain",
            formats=("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", "U8", "BOOL"),
            build=lazy(".plain:build", OperatorFn),
        )
    )
