"""Built models in the worker: components with weights that can be re-read from their file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from gesso.errors import InvalidInputError
from gesso.families import Defaults, Family, Rename, TextEncoder, Vae
from gesso.models.readers import Weight, WeightReader
from gesso.types import Match, ModelRef

if TYPE_CHECKING:
    from gesso.engine.sampling import ModelSampling
    from gesso.operators.types import OperatorFn


@dataclass(slots=True)
class Source:
    """Where a parameter came from: the plan's line, the reader and the operator that put it there."""

    rename: Rename
    reader: WeightReader
    operator: OperatorFn


class Weights:
    """A component's parameters by name, with the way back to the file."""

    def __init__(self, module: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        self.module, self.dtype, self.device = module, dtype, device
        self.sources: dict[str, Source] = {}

    def place(self, source: Source) -> None:
        """Read a weight and give it to its layer; remembers the source for `reload`."""
        name = source.rename.target
        weight = transformed(source.reader.read(source.rename.source), source.rename)
        parent_name, _, leaf = name.rpartition(".")
        parent = self.module.get_submodule(parent_name)
        built = source.operator(parent, leaf, weight, dtype=self.dtype, device=self.device)
        if built is not parent:
            holder_name, _, attribute = parent_name.rpartition(".")
            holder = self.module.get_submodule(holder_name)
            if isinstance(holder, (torch.nn.ModuleList, torch.nn.Sequential)):
                holder[int(attribute)] = built
            else:
                setattr(holder, attribute, built)
        self.sources[name] = source

    def reload(self, name: str) -> None:
        """Put the file's own bytes back into parameter `name`, through the recorded transform: bit-identical.

        Undoes writes into the parameter's tensor as well as its replacement; other parameters stay as they are.
        """
        source = self.sources[name]
        if not changes(source.rename):
            source.reader.restore(source.rename.source)
        self.place(source)

    def change(self, name: str, changed: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Write `changed(a float32 copy of the parameter)` into parameter `name`; `reload` undoes it.

        InvalidInputError: the layer holds no plain weight (it is quantised), or the result has another shape.
        """
        holder, _, leaf = name.rpartition(".")
        tensor = self.module.get_submodule(holder)._parameters.get(leaf)
        if tensor is None or not tensor.is_floating_point():
            raise InvalidInputError(f"{name} is quantised: adapters cannot be written into it.")
        value = changed(tensor.detach().to(torch.float32, copy=True))
        if value.shape != tensor.shape:
            raise InvalidInputError(
                f"An adapter has the shape {list(value.shape)} for {name}, which is {list(tensor.shape)}.",
                hint="It was made for another model.",
            )
        tensor.data.copy_(value)

    def original(self, name: str) -> torch.Tensor:
        """A copy of parameter `name` as it comes from the file, cast to the compute dtype."""
        source = self.sources[name]
        data = transformed(source.reader.copy(source.rename.source), source.rename).data
        return data.to(device=self.device, dtype=self.dtype if data.is_floating_point() else data.dtype)


def changes(rename: Rename) -> bool:
    """Whether a plan's line makes another tensor than the file's."""
    return rename.rows is not None or rename.transform != "same"


def transformed(weight: Weight, rename: Rename) -> Weight:
    """Apply a plan's line. A plain weight is sliced and reshaped; quantised ones take the same rows of every tensor.

    What it changes is a copy: two parameters made of one tensor must not share memory when one of them is patched.
    """
    if not changes(rename):
        return weight
    tensors = {}
    for key, tensor in weight.tensors.items():
        value = tensor
        if rename.rows is not None and tensor.ndim and tensor.shape[0] == weight.shape[0]:
            value = value[slice(*rename.rows)]
        if rename.transform == "squeeze":
            value = value.reshape(value.shape[:2])
        elif rename.transform == "transpose":
            value = value.t()
        elif rename.transform == "swap_halves":
            value = torch.cat(value.chunk(2)[::-1])
        tensors[key] = value.clone(memory_format=torch.contiguous_format)
    shape = tuple(tensors["data"].shape) if "data" in tensors else weight.shape
    return Weight(weight.format, shape, tensors)


@dataclass(slots=True)
class Component:
    """A built module with its configuration and weights."""

    name: str
    module: torch.nn.Module
    config: dict[str, Any]
    weights: Weights
    record: TextEncoder | Vae | None = None

    @property
    def dtype(self) -> torch.dtype:
        return self.weights.dtype

    @property
    def device(self) -> torch.device:
        return self.weights.device

    def bytes(self) -> int:
        """Bytes of all parameters and buffers."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return sum(t.numel() * t.element_size() for t in tensors)


@dataclass(slots=True)
class Model:
    """A loaded model: denoiser parts, text encoders and VAE, with what the file said about itself."""

    ref: ModelRef
    family: Family
    match: Match
    parts: dict[str, Component]
    text: dict[str, Component]
    vae: Component
    sampling: ModelSampling
    defaults: Defaults
    preview: str = ""
    """The name of its live preview; "": none."""
    readers: list[WeightReader] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        return next(iter(self.parts.values())).device

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self.parts.values())).dtype

    def components(self) -> dict[str, Component]:
        return {**self.parts, **self.text, "vae": self.vae}

    def bytes(self) -> int:
        return sum(c.bytes() for c in self.components().values())

    def close(self) -> None:
        """Forget the weights and let go of the files."""
        for reader in self.readers:
            reader.close()
        self.parts.clear()
        self.text.clear()
