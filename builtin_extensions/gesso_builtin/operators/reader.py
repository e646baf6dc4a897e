"""Reads files with quantised layers by their weights' names, whatever tensors make them up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from gesso import Weight, open_reader

from .layouts import Layer, logical_header, quantised_layers


class QuantisedReader:
    """gesso's own reader, with the parts of a quantised layer put together as one weight."""

    def __init__(self, path: Path) -> None:
        self._raw = open_reader(path)
        self._layers = quantised_layers(path, self._raw.header)
        self.header = logical_header(self._raw.header, self._layers)

    def read(self, name: str) -> Weight:
        layer = self._layers.get(name)
        if layer is None:
            return self._raw.read(name)
        return put_together(layer, {key: self._raw.read(part).data for key, part in layer.parts.items()})

    def copy(self, name: str) -> Weight:
        layer = self._layers.get(name)
        if layer is None:
            return self._raw.copy(name)
        return put_together(layer, {key: self._raw.copy(part).data for key, part in layer.parts.items()})

    def restore(self, name: str) -> None:
        for part in self._parts(name):
            self._raw.restore(part)

    def release(self, names: Iterable[str]) -> None:
        self._raw.release(part for name in names for part in self._parts(name))

    def close(self) -> None:
        self._raw.close()

    def _parts(self, name: str) -> list[str]:
        return list(self._layers[name].parts.values()) if name in self._layers else [name]


def put_together(layer: Layer, parts: dict[str, torch.Tensor]) -> Weight:
    """A weight whose tensors go by rows where they can (`gesso.Weight`), so that fused layers can be cut apart."""
    if layer.format in ("nf4", "fp4"):
        return _bnb(layer, parts)
    data, scale = parts["data"], parts["scale"]
    rows = layer.shape[0] if layer.shape else 1
    if layer.format in ("nvfp4", "mxfp8"):
        scale = unblocked(scale, rows, layer.shape[1] // (16 if layer.format == "nvfp4" else 32))
    elif layer.format == "fp8_scaled" and scale.ndim == 2 and scale.numel() not in (1, rows):
        scale = scale.repeat_interleave(-(-rows // scale.shape[0]), 0)[:rows]
    elif scale.numel() in (1, rows) and scale.ndim < 2:
        scale = scale.reshape(()) if scale.numel() == 1 else scale.reshape(rows, *[1] * (len(layer.shape) - 1))
    tensors = {"data": data, "scale": scale.reshape(()) if scale.numel() == 1 else scale}
    if "scale_2" in parts:
        tensors["scale_2"] = parts["scale_2"].reshape(())
    return Weight(layer.format, layer.shape, tensors)


def _bnb(layer: Layer, parts: dict[str, torch.Tensor]) -> Weight:
    """bitsandbytes' blocks run over the whole weight; where they end with its rows, they go by rows."""
    absmax, block = parts["absmax"], int(layer.state["blocksize"])
    if "nested" in parts:  # the scales are quantised in turn, to eight bits
        size = int(layer.state.get("nested_blocksize", 256))
        outer = parts["nested"].float().repeat_interleave(size)[: absmax.numel()]
        absmax = parts["nested_code"].float()[absmax.flatten().long()] * outer + layer.state.get("nested_offset", 0.0)
    width = layer.shape[-1] if len(layer.shape) == 2 else 0
    rows = layer.shape[0] if width and width % block == 0 else 1
    data = parts["data"].reshape(rows, -1)
    return Weight(
        layer.format,
        layer.shape,
        {"data": data, "absmax": absmax.float().reshape(rows, -1), "code": parts["code"].float().reshape(1, 16)},
    )


def unblocked(scale: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Block scales (rows, columns) from the order cuBLAS wants them in: tiles of 128 × 4, within a tile by 32 × 4 × 4.

    https://docs.nvidia.com/cuda/cublas/index.html#d-block-scaling-factors-layout
    """
    down, across = -(-rows // 128), -(-columns // 4)
    tiles = scale.view(torch.uint8).reshape(down, across, 32, 4, 4).permute(0, 3, 2, 1, 4)
    return tiles.reshape(down * 128, across * 4)[:rows, :columns].contiguous().view(scale.dtype)
