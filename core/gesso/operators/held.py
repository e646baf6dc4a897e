"""Layers that keep a weight as its file holds it and decode it when it is used.

A held layer is still a Linear, Conv or Embedding to whoever asks, with `weight` giving the decoded values; so families
and adapters need not know that it is quantised.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.nn import functional

from gesso.models.readers import Weight
from gesso.operators.types import DequantiseFn, MultiplyFn

CHUNK = 1 << 20
"""Values decoded at once on a CPU: more would leave its caches before they are multiplied."""


class Held:
    """What the kinds of held layers share: the stored tensors as buffers, and the way to their values."""

    _stored: tuple[str, ...]
    _format: str
    _shape: tuple[int, ...]
    _dtype: torch.dtype
    _dequantise: DequantiseFn
    _multiply: MultiplyFn | None

    @property
    def weight(self) -> torch.Tensor:
        """The decoded weight in the compute dtype. Made anew each time: it is not kept."""
        return self.values()

    def store(self, weight: Weight, device: torch.device) -> None:
        """Hold this weight from now on."""
        assert isinstance(self, torch.nn.Module)
        self._stored, self._format, self._shape = tuple(weight.tensors), weight.format, weight.shape
        for key, tensor in weight.tensors.items():
            self.register_buffer(f"stored_{key}", tensor.to(device), persistent=False)

    def stored(self) -> Weight:
        """The weight as the file holds it."""
        tensors = {key: getattr(self, f"stored_{key}") for key in self._stored}
        return Weight(self._format, self._shape, tensors)

    def values(self, rows: slice | torch.Tensor | None = None) -> torch.Tensor:
        """The decoded weight, or some of its rows, in the compute dtype."""
        weight = self.stored()
        return self._dequantise(weight if rows is None else weight.cut(rows), dtype=self._dtype)

    def plain(self, value: torch.Tensor) -> torch.nn.Module:
        """A layer like this one that has `value` as an ordinary weight. Bias and configuration are shared."""
        assert isinstance(self, torch.nn.Module)
        layer: torch.nn.Module = _like(self, next(kind for kind, held in KINDS.items() if isinstance(self, held)))
        layer._buffers = {k: v for k, v in self._buffers.items() if not k.startswith("stored_")}
        layer._parameters["weight"] = torch.nn.Parameter(value, requires_grad=False)
        return layer


class HeldLinear(Held, torch.nn.Linear):  # type: ignore[override] # `weight` is made, not kept
    """y = x·Wᵀ + b with a stored W: by its operator's kernel, else decoded in pieces that stay in the CPU's cache."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self._multiply is not None and (product := self._multiply(self, input)) is not None:
            return product
        rows = max(16, CHUNK // self.in_features)
        if input.device.type != "cpu" or rows >= self.out_features or not self.stored().by_rows:
            return functional.linear(input, self.values().to(input.dtype), self.bias)
        bias: torch.Tensor | None = self.bias
        flat = input.reshape(-1, self.in_features)
        product = flat.new_empty(flat.shape[0], self.out_features)
        for start in range(0, self.out_features, rows):
            part = slice(start, start + rows)
            product[:, part] = functional.linear(
                flat, self.values(part).to(flat.dtype), None if bias is None else bias[part]
            )
        return product.reshape(*input.shape[:-1], self.out_features)


class HeldEmbedding(Held, torch.nn.Embedding):  # type: ignore[override]
    """Looks up stored rows and decodes only those."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.stored().by_rows:
            return self.values()[input]
        return self.values(input.flatten()).reshape(*input.shape, self.embedding_dim)


class HeldConv1d(Held, torch.nn.Conv1d):  # type: ignore[override]
    """A convolution of one dimension with a stored weight."""


class HeldConv2d(Held, torch.nn.Conv2d):  # type: ignore[override]
    """A convolution of two dimensions with a stored weight."""


class HeldConv3d(Held, torch.nn.Conv3d):  # type: ignore[override]
    """A convolution of three dimensions with a stored weight."""


KINDS: dict[type[torch.nn.Module], type[Any]] = {
    torch.nn.Linear: HeldLinear,
    torch.nn.Embedding: HeldEmbedding,
    torch.nn.Conv1d: HeldConv1d,
    torch.nn.Conv2d: HeldConv2d,
    torch.nn.Conv3d: HeldConv3d,
}
"""Layers whose weight can be held. The weights of all others are decoded when they are loaded."""


def hold_weight(
    module: torch.nn.Module,
    name: str,
    weight: Weight,
    dequantise: DequantiseFn,
    *,
    dtype: torch.dtype,
    device: torch.device,
    multiply: MultiplyFn | None = None,
) -> torch.nn.Module:
    """The body of most operators: `module` with its parameter `name`.

    The weight of a Linear, Conv or Embedding stays as it is stored (`Held`); anything else is decoded now. `multiply`
    is the operator's own kernel for linear layers, if it has one.
    """
    if name == "weight" and isinstance(module, Held):
        module.store(weight, device)
        return module
    kind = KINDS.get(type(module)) if name == "weight" else None
    if kind is None:
        return assign_weight(module, name, dequantise(weight, dtype=dtype).to(device))
    layer = _like(module, kind)
    del layer._parameters["weight"]
    layer._dtype, layer._dequantise, layer._multiply = dtype, dequantise, multiply
    layer.store(weight, device)
    held: torch.nn.Module = layer
    return held


def assign_weight(module: torch.nn.Module, name: str, value: torch.Tensor) -> torch.nn.Module:
    """`module` with `value` as its parameter or buffer `name`."""
    if name in module._parameters:
        module._parameters[name] = torch.nn.Parameter(value, requires_grad=False)
    else:
        module._buffers[name] = value
    return module


def _like(module: torch.nn.Module, kind: type[torch.nn.Module]) -> Any:
    """A copy of a layer as another class: same configuration and hooks, its own tables of parameters and buffers."""
    layer = copy.copy(module)
    layer.__class__ = kind
    layer._parameters, layer._buffers = dict(module._parameters), dict(module._buffers)
    return layer
