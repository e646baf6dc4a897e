"""Full differences: a tensor as large as the weight, which is added to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from gesso import AdapterKeys, AdapterPatch, AdapterTarget, WeightReader

from .recognise import LEAVES


def patches(reader: WeightReader, keys: AdapterKeys) -> Iterator[AdapterPatch]:
    """weight + strength · difference, for each tensor."""
    for name in reader.header.tensors:
        layer, _, end = name.rpartition(".")
        for target in keys.find(f"{layer}.{LEAVES[end]}"):
            yield AdapterPatch(target, _Added(reader, name, target))


class _Added:
    """Reads the difference when it is added, so that no more than one is in memory."""

    def __init__(self, reader: WeightReader, name: str, target: AdapterTarget) -> None:
        self._reader, self._name, self._target = reader, name, target

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        change = self._target.fit(self._reader.read(self._name).data, tuple(weight.shape))
        return weight + strength * change.to(weight)


def example(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A small difference for each weight."""
    import torch

    ends = {leaf: end for end, leaf in LEAVES.items()}
    made = {}
    for name, shape in shapes.items():
        layer, _, leaf = name.rpartition(".")
        made[f"{layer}.{ends[leaf]}"] = torch.full(shape, 0.05)
    return made
