"""The plain operator: a weight is a tensor of the compute dtype."""

from __future__ import annotations

import torch

from gesso import Weight, assign_weight


def build(
    module: torch.nn.Module, name: str, weight: Weight, *, dtype: torch.dtype, device: torch.device
) -> torch.nn.Module:
    """Assign the weight as a parameter or buffer of the module; floats are cast, integers and booleans kept."""
    data = weight.data
    target = dtype if data.is_floating_point() else data.dtype
    return assign_weight(module, name, data.to(device=device, dtype=target))
