"""GGUF files: read as they are, multiplied in their blocks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gesso import (
    DequantiseFn,
    Header,
    Operator,
    OperatorFn,
    Registrar,
    hookimpl,
    lazy,
)

from .header import FORMATS, is_gguf, read_header

if TYPE_CHECKING:
    from gesso import WeightReader

api = "1"


@hookimpl
def gesso_register_operators(registry: Registrar[Operator]) -> None:
    registry.add(
        Operator(
            name="gguf",
            label="GGUF",
            formats=FORMATS,
            build=lazy(".layers:build", OperatorFn),
            dequantise=lazy(".layers:dequantise", DequantiseFn),
        )
    )


@hookimpl
def gesso_choose_header(path: Path, header: Header | None) -> Header | None:
    """The table of contents of a GGUF file, whatever it is called."""
    return read_header(path) if header is None and path.is_file() and is_gguf(path) else None


@hookimpl
def gesso_choose_weight_reader(path: Path, header: Header) -> WeightReader | None:
    if header.container != "gguf":
        return None
    from .reader import GgufReader

    return GgufReader(path, header)
