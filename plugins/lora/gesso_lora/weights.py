"""What the layers of a file do to weights. Imported in the worker.

LoRA: Hu et al. 2021, arXiv:2106.09685. LoHa: Hyeon-Woo et al. 2021, arXiv:2108.06098. LoKr: Edalati et al. 2022,
arXiv:2212.10650. DoRA: Liu et al. 2024, arXiv:2402.09353. OFT: Qiu et al. 2023, arXiv:2306.07280. Names and the
convolutions of low rank: LyCORIS, arXiv:2309.14859.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gesso import AdapterKeys, AdapterPatch, AdapterTarget, BadFileError, LowRank, WeightReader

from .names import Layer, Scales, layers


def patches(reader: WeightReader, keys: AdapterKeys) -> Iterator[AdapterPatch]:
    """The change of every weight a file names, whichever kinds are in it."""
    scales = Scales(reader.header.metadata)
    for layer in layers(reader.header.tensors).values():
        if not layer.kind:
            keys.missed.append(layer.name)
            continue
        if layer.kind != "diff" or "diff" in layer.tensors:
            for target in keys.find(f"{layer.name}.weight"):
                yield Change(layer, reader, scales, target).patch()
        if "diff_b" in layer.tensors:
            for target in keys.find(f"{layer.name}.bias"):
                yield AdapterPatch(target, Added(reader, layer.tensors["diff_b"], target))


@dataclass(frozen=True)
class Added:
    """A bias's difference."""

    reader: WeightReader
    tensor: str
    target: AdapterTarget

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        change = self.target.fit(self.reader.read(self.tensor).data, tuple(weight.shape))
        return weight.add_(change.to(weight), alpha=strength)


@dataclass(frozen=True)
class Change:
    """One layer's change of one weight. Tensors are read when it is made, so that no more than one layer's are here."""

    layer: Layer
    reader: WeightReader
    scales: Scales
    target: AdapterTarget
    rank: int | None = None
    """Only so many of a LoRA's dimensions; None: all."""

    def patch(self) -> AdapterPatch:
        """As gesso takes it."""
        return AdapterPatch(self.target, self, self._product if self._is_low_rank else None)

    @property
    def _is_low_rank(self) -> bool:
        return self.layer.kind == "lora" and self.target.rename is None and "mid" not in self.layer.tensors

    def _product(self) -> LowRank:
        """The change at strength 1, in float32."""
        up, down = self._halves(torch.empty(0))
        return LowRank(up * self._scale(self._rows("down")), down)

    def __call__(self, weight: Tensor, strength: float) -> Tensor:
        kind = self.layer.kind
        if kind == "oft":
            return weight + strength * (self._rotated(weight) - weight)
        if self._is_low_rank:
            return self._low_rank_added(weight, strength)
        change = self.target.fit(self._difference(weight), tuple(weight.shape))
        if kind == "dora":
            return weight + strength * (self._decomposed(weight + change) - weight)
        return weight.add_(change, alpha=strength)

    # --- differences ------------------------------------------------------------------------------------------

    def _difference(self, weight: Tensor) -> Tensor:
        """What is added at strength 1, in the file's layout."""
        kind = self.layer.kind
        if kind == "loha":
            return self._hadamard(weight) * self._scale(self._rows("hada_w1_b"))
        if kind == "lokr":
            return self._kronecker(weight)
        if kind == "diff":
            return self._read("diff", weight)
        up, down = self._halves(weight)
        scale = self._scale(self._rows("down"))
        if "mid" in self.layer.tensors:
            return torch.einsum("nmkl,in,mj->ijkl", self._read("mid", weight), up, down) * scale
        shape = self.reader.header.tensors[self.layer.tensors["down"]].shape
        return (up @ down).reshape(len(up), *shape[1:]) * scale

    def _low_rank_added(self, weight: Tensor, strength: float) -> Tensor:
        """weight + strength · scale · up · down, without the product ever being a matrix of its own."""
        up, down = self._halves(weight)
        scale = self._scale(self._rows("down"))
        if len(up) * down.shape[1] != weight.numel() or len(up) != len(weight):
            change = self.target.fit(up @ down, tuple(weight.shape))  # says what is wrong, or brings it into shape
            return weight.add_(change, alpha=strength * scale)
        weight.view(len(weight), -1).addmm_(up, down, alpha=strength * scale)
        return weight

    def _halves(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(up (out,r), down (r,in…)) as matrices, cut to the rank asked for."""
        up, down = (self._read(part, weight).flatten(1) for part in ("up", "down"))
        return up[:, : self.rank], down[: self.rank]

    def _hadamard(self, weight: Tensor) -> Tensor:
        first, second = (self._half_of_loha(number, weight) for number in ("1", "2"))
        return first * second

    def _half_of_loha(self, number: str, weight: Tensor) -> Tensor:
        a, b = (self._read(f"hada_w{number}_{part}", weight) for part in "ab")
        if f"hada_t{number}" not in self.layer.tensors:
            return a @ b
        return _tucker(self._read(f"hada_t{number}", weight), a, b)

    def _kronecker(self, weight: Tensor) -> Tensor:
        first, second = self._factor("1", weight), self._factor("2", weight)
        first = first.reshape(*first.shape, *[1] * (second.ndim - first.ndim))
        small = [end for end in ("lokr_w1_b", "lokr_w2_b") if end in self.layer.tensors]
        return torch.kron(first, second) * (self._scale(self._rows(small[0])) if small else 1.0)

    def _factor(self, number: str, weight: Tensor) -> Tensor:
        if f"lokr_w{number}" in self.layer.tensors:
            return self._read(f"lokr_w{number}", weight)
        a, b = (self._read(f"lokr_w{number}_{part}", weight) for part in "ab")
        return (
            _tucker(self._read("lokr_t2", weight), a, b) if number == "2" and "lokr_t2" in self.layer.tensors else a @ b
        )

    # --- what is not added --------------------------------------------------------------------------------------

    def _decomposed(self, merged: Tensor) -> Tensor:
        """The merged weight with the lengths the file states: of its rows, or of its columns where it says so."""
        magnitude = self._read("dora", merged)
        by_columns = magnitude.ndim > 1 and magnitude.shape[0] == 1 and magnitude.shape[1] == merged.shape[1] != 1
        flat = merged.transpose(0, 1) if by_columns else merged
        lengths = flat.flatten(1).norm(dim=1)
        if magnitude.numel() != len(lengths):
            raise BadFileError(f"{self.layer.name} states {magnitude.numel()} magnitudes for {len(lengths)} rows.")
        factor = (magnitude.flatten() / lengths.clamp_min(1e-12)).reshape(-1, *[1] * (merged.ndim - 1))
        scaled: Tensor = flat * factor
        return scaled.transpose(0, 1) if by_columns else scaled

    def _rotated(self, weight: Tensor) -> Tensor:
        """Groups of rows turned by the file's rotations."""
        end = "oft_blocks" if "oft_blocks" in self.layer.tensors else "oft_diag"
        blocks = self._read(end, weight)
        if blocks.ndim != 3 or blocks.shape[1] != blocks.shape[2] or blocks.shape[0] * blocks.shape[1] != len(weight):
            raise BadFileError(
                f"{self.layer.name} has rotations of shape {list(blocks.shape)} for {len(weight)} rows.",
                hint="It was made for another model, or is a kind of OFT that gesso-lora does not know.",
            )
        if end == "oft_blocks":
            blocks = self._cayley(blocks)
        turned = torch.einsum("knm,kn...->km...", blocks, weight.reshape(*blocks.shape[:2], *weight.shape[1:]))
        turned = turned.reshape(weight.shape)
        return turned * self._read("rescale", weight) if "rescale" in self.layer.tensors else turned

    def _cayley(self, blocks: Tensor) -> Tensor:
        """Rotations of skew-symmetric matrices, whose length alpha · rows limits, as kohya's trainer does."""
        skew = blocks - blocks.transpose(1, 2)
        alpha = self._alpha()
        if alpha:
            length = skew.flatten().norm()
            limit = alpha * blocks.shape[0] * blocks.shape[1]
            skew = skew * ((length.clamp_max(limit) + 1e-8) / (length + 1e-8))
        unit = torch.eye(blocks.shape[1]).to(blocks)
        turned: Tensor = torch.linalg.solve(unit - skew, unit + skew, left=False)
        return turned

    # --- reading ------------------------------------------------------------------------------------------------

    def _read(self, end: str, like: Tensor) -> Tensor:
        """A tensor in the weight's precision."""
        if end not in self.layer.tensors:
            raise BadFileError(f"{self.layer.name} lacks its {end}.", hint="The file is incomplete.")
        return self.reader.read(self.layer.tensors[end]).data.to(like)

    def _rows(self, end: str) -> int:
        return self.reader.header.tensors[self.layer.tensors[end]].shape[0]

    def _alpha(self) -> float | None:
        name = self.layer.tensors.get("alpha")
        return None if name is None else float(self.reader.read(name).data)

    def _scale(self, rank: int) -> float:
        return self.scales.of(self.layer.name, rank, self._alpha())


def _tucker(core: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """core (r,r,k,l), a (r,out), b (r,in) → (out,in,k,l)."""
    return torch.einsum("ijkl,ip,jr->prkl", core, a, b)


def cut(patch: AdapterPatch, rank: int) -> AdapterPatch:
    """The patch with only so many dimensions, where it has some."""
    if not isinstance(patch.apply, Change):
        return patch
    return replace(patch.apply, rank=rank).patch()
