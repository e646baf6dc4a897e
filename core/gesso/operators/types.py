"""The operator contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from gesso.models.readers import Weight
    from gesso.operators.held import HeldLinear


class OperatorFn(Protocol):
    """Give `module` its parameter `name` from `weight`.

    `module` is a layer on the meta device (Linear, Conv, Embedding, a norm), or what an earlier call made of it. Return
    the module to put in its place: the same one with a real parameter, or a replacement that multiplies the stored
    form. The result computes in `dtype` on `device`, keeps `in_features`-like attributes, and leaves nothing on meta
    for this parameter. `hold_weight` does all that for stored forms that are decoded when they are used.
    """

    def __call__(
        self, module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
    ) -> torch.nn.Module: ...


class DequantiseFn(Protocol):
    """The values of a stored weight, a tensor of `weight.shape` in `dtype`, on the device the stored tensors are on.

    Also called with some rows of a weight (`Weight.cut`).
    """

    def __call__(self, weight: Weight, *, dtype: torch.dtype) -> torch.Tensor: ...


class MultiplyFn(Protocol):
    """x (…, in) times a linear layer's stored weight, plus its bias, (…, out) in x's dtype; None: decode it instead."""

    def __call__(self, layer: HeldLinear, x: torch.Tensor) -> torch.Tensor | None: ...
