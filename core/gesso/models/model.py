"""Built models in the worker: components with weights that can be re-read from their file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gesso.errors import BadFileError, InvalidInputError
from gesso.families import Defaults, Family, Rename, TextEncoder, Vae
from gesso.models.readers import Weight, WeightReader
from gesso.operators.held import Held
from gesso.types import Match, ModelRef

if TYPE_CHECKING:
    from gesso.engine.sampling import ModelSampling
    from gesso.engine.types import PreviewFn
    from gesso.operators.types import DequantiseFn, OperatorFn


@dataclass(slots=True)
class Source:
    """Where a parameter came from: the plan's line, the reader and the operator that put it there.

    `dequantise` decodes what the operator reads; `plain` places what had to be decoded for a transform.
    """

    rename: Rename
    reader: WeightReader
    operator: OperatorFn
    dequantise: DequantiseFn | None = None
    plain: OperatorFn | None = None


class Weights:
    """A component's parameters by name, with the way back to the file."""

    def __init__(self, module: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        self.module, self.dtype, self.device = module, dtype, device
        self.sources: dict[str, Source] = {}
        self._held: dict[str, torch.nn.Module] = {}
        """Quantised layers that an ordinary one stands in for, by their weight's name."""

    def place(self, source: Source) -> None:
        """Read a weight and give it to its layer; remembers the source for `reload`."""
        name = source.rename.target
        stored = source.reader.read(source.rename.source)
        weight = transformed(stored, source.rename, source.dequantise)
        decoded = weight.is_plain and not stored.is_plain
        operator = source.plain if decoded and source.plain is not None else source.operator
        place, _, leaf = name.rpartition(".")
        parent = self.module.get_submodule(place)
        built = operator(parent, leaf, weight, dtype=self.dtype, device=self.device)
        if built is not parent:
            self._put(place, built)
        self.sources[name] = source

    def _put(self, place: str, layer: torch.nn.Module) -> None:
        """Let `layer` stand at `place` in the module."""
        holder, _, attribute = place.rpartition(".")
        setattr(self.module.get_submodule(holder), attribute, layer)

    def reload(self, name: str) -> None:
        """Put the file's own bytes back into parameter `name`, through the recorded transform: bit-identical.

        Undoes writes into the parameter's tensor as well as its replacement; other parameters stay as they are.
        """
        place, _, leaf = name.rpartition(".")
        layer = self.module.get_submodule(place)
        held = self._held.pop(name, None)
        if held is not None:
            held._parameters |= {key: value for key, value in layer._parameters.items() if key != leaf}
            self._put(place, held)
            return
        if isinstance(layer, Held) and leaf == "weight":
            return  # what is stored is never written to
        source = self.sources[name]
        if not changes(source.rename):
            source.reader.restore(source.rename.source)
        self.place(source)

    def change(self, name: str, changed: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Write `changed(a float32 copy of the parameter)` into parameter `name`; `reload` undoes it.

        A quantised layer is replaced by one with an ordinary weight until then, which takes that much more memory.
        InvalidInputError: the layer holds a weight that nobody can decode, or the result has another shape.
        """
        place, _, leaf = name.rpartition(".")
        layer = self.module.get_submodule(place)
        tensor = layer._parameters.get(leaf)
        if isinstance(layer, Held) and leaf == "weight":
            value = _same_shape(name, changed(layer.values().float()), layer.stored().shape)
            self._held[name] = layer
            self._put(place, layer.plain(value.to(self.dtype)))
            return
        if tensor is None or not tensor.is_floating_point():
            raise InvalidInputError(f"{name} is quantised: adapters cannot be written into it.")
        value = changed(tensor.detach().to(torch.float32, copy=True))
        tensor.data.copy_(_same_shape(name, value, tuple(tensor.shape)))

    def original(self, name: str) -> torch.Tensor:
        """A copy of parameter `name` as it comes from the file, decoded and cast to the compute dtype."""
        source = self.sources[name]
        weight = transformed(source.reader.copy(source.rename.source), source.rename, source.dequantise)
        data = weight.data if weight.is_plain else _decoded(weight, source.dequantise).data
        return data.to(device=self.device, dtype=self.dtype if data.is_floating_point() else data.dtype)


def _same_shape(name: str, value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    if tuple(value.shape) != shape:
        raise InvalidInputError(
            f"An adapter has the shape {list(value.shape)} for {name}, which is {list(shape)}.",
            hint="It was made for another model.",
        )
    return value


def changes(rename: Rename) -> bool:
    """Whether a plan's line makes another tensor than the file's."""
    return rename.rows is not None or rename.transform != "same"


def transformed(weight: Weight, rename: Rename, dequantise: DequantiseFn | None = None) -> Weight:
    """Apply a plan's line. A quantised weight keeps its form where rows can be taken of every tensor, else is decoded.

    What it changes is a copy: two parameters made of one tensor must not share memory when one of them is patched.
    """
    if not changes(rename):
        return weight
    plain = len(weight.tensors) == 1 and weight.data.shape == weight.shape
    if not plain and rename.transform != "transpose" and (weight.by_rows or rename.transform == "squeeze"):
        return _rows(weight, rename)
    value = weight.data if plain else _decoded(weight, dequantise).data
    if rename.rows is not None:
        value = value[slice(*rename.rows)]
    if rename.transform == "squeeze":
        value = value.reshape(value.shape[:2])
    elif rename.transform == "transpose":
        value = value.t()
    elif rename.transform == "swap_halves":
        value = torch.cat(value.chunk(2)[::-1])
    value = value.clone(memory_format=torch.contiguous_format)
    return Weight(weight.format if plain else "F32", tuple(value.shape), {"data": value})


def _rows(weight: Weight, rename: Rename) -> Weight:
    """A plan's line on the stored form."""
    cut = weight if rename.rows is None else weight.cut(slice(*rename.rows))
    if rename.transform == "swap_halves":
        count = cut.shape[0]
        cut = cut.cut(torch.arange(count).roll(count // 2))
    shape = cut.shape[:2] if rename.transform == "squeeze" else cut.shape
    return Weight(cut.format, shape, {key: tensor.clone() for key, tensor in cut.tensors.items()})


def _decoded(weight: Weight, dequantise: DequantiseFn | None) -> Weight:
    if dequantise is None:
        raise BadFileError(f"A weight stored as {weight.format} cannot be decoded: its operator does not say how.")
    return Weight("F32", weight.shape, {"data": dequantise(weight, dtype=torch.float32)})


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
    modules: dict[str, Path] = field(default_factory=dict)
    """Parts that came from files of their own."""
    fitted_previews: dict[str, PreviewFn] = field(default_factory=dict)

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
