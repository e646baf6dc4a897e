"""The operator contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

    from gesso.models.readers import Weight


class OperatorFn(Protocol):
    """Give `module` its parameter `name` from `weight`.

    `module` is a layer on the meta device (Linear, Conv, Embedding, a norm). Return the module to put in its place: the
    same one with a real parameter, or a replacement that multiplies the stored form. The result computes in `dtype` on
    `device`, keeps `in_features`-like attributes, and leaves nothing on meta for this parameter.
    """

    def __call__(
        self, module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
    ) -> torch.nn.Module: ...
