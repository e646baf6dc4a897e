"""Adapters at work: patches computed from a file, written into the weights for a job, undone by re-reading them.

Restoring never subtracts: each changed weight comes back from the model's own file through its recorded transform, so
that it is what it was to the bit, whatever the adapter did. One weight is changed at a time, in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch

from gesso.adapters import AdapterMatch, AdapterUse
from gesso.contributions import Adapter
from gesso.engine.job_context import JobContext
from gesso.errors import BadFileError, InvalidInputError
from gesso.families import Rename
from gesso.models.model import Model, Weights, transformed
from gesso.models.readers import Weight
from gesso.operators.held import Held
from gesso.registry import Registry
from gesso.types import Header

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class AdapterTarget:
    """One parameter of a model. `rename` is how it is cut from a tensor of the checkpoint's layout, None: uncut."""

    component: str
    parameter: str
    rename: Rename | None = None

    def fit(self, value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """A tensor in the adapter's layout as this parameter's: its rows, transposed as the checkpoint's are.

        InvalidInputError: it is made for a weight of another shape.
        """
        if self.rename is not None and (self.rename.rows is None or value.shape[0] >= self.rename.rows[1]):
            value = transformed(Weight("", tuple(value.shape), {"data": value}), self.rename).data
        if value.numel() != torch.Size(shape).numel():
            raise InvalidInputError(
                f"An adapter has the shape {list(value.shape)} for {self.parameter}, which is {list(shape)}.",
                hint="It was made for another model.",
            )
        return value.reshape(shape)


@dataclass(frozen=True)
class LowRank:
    """A change of a matrix (out,in) as the product of two small ones, at strength 1."""

    up: torch.Tensor
    """(out,r)"""
    down: torch.Tensor
    """(r,in)"""


@dataclass(frozen=True)
class AdapterPatch:
    """A change of one weight."""

    target: AdapterTarget
    apply: Callable[[torch.Tensor, float], torch.Tensor]
    """(the weight in float32, strength) → the changed weight, of the same shape. The weight given is a copy."""
    low_rank: Callable[[], LowRank] | None = None
    """The same change of a linear layer's matrix as a product, where it is one: it can then be computed beside it."""


class AdapterKeys:
    """What the names in adapter files stand for in one model. Names nobody knows are remembered in `missed`."""

    def __init__(self, model: Model) -> None:
        self._targets: dict[str, tuple[AdapterTarget, ...]] = {}
        self.missed: list[str] = []
        for part, component in model.components().items():
            for name, source in component.weights.sources.items():
                self._targets[f"{part}.{name}"] = (AdapterTarget(part, name),)
                own = AdapterTarget(part, name, source.rename)
                self._targets[source.rename.source] = (*self._targets.get(source.rename.source, ()), own)
        if model.family.adapter_keys is not None:
            spelled = model.family.adapter_keys.load()(model)
            self._targets |= {name: tuple(targets) for name, targets in spelled.items()}

    def find(self, name: str) -> tuple[AdapterTarget, ...]:
        """The weights a name stands for: the family's spellings, the checkpoint's own, and `component.parameter`."""
        found = self._targets.get(name, ())
        if not found:
            self.missed.append(name)
        return found

    def names(self) -> list[str]:
        """Every name there is."""
        return list(self._targets)


def find_adapter(header: Header, registry: Registry[Adapter], path: str = "") -> tuple[Adapter, AdapterMatch]:
    """The kind that claims a file with the most confidence. BadFileError when none does."""
    claims = [(adapter, adapter.recognise.load()(header)) for adapter in registry]
    known = [(adapter, match) for adapter, match in claims if match is not None]
    if not known:
        kinds = ", ".join(adapter.label for adapter in registry) or "none"
        raise BadFileError(
            f"{path or 'The file'} is no adapter of a kind that is installed ({kinds}).",
            hint="Other kinds come with plugins.",
        )
    return max(known, key=lambda claim: claim[1].confidence)


@contextmanager
def adapted(ctx: JobContext, model: Model, uses: Sequence[AdapterUse]) -> Iterator[None]:
    """The model with these adapters, in this order; afterwards its weights are what they were, to the bit.

    Files are found in the folders of the role "lora". UnknownNameError: no such file. BadFileError: of no known kind.
    InvalidInputError: made for another model.
    """
    pairs: list[tuple[AdapterPatch, float]] = []
    text = set(model.text)
    for use in uses:
        second = use.strength if use.text_strength is None else use.text_strength
        found = adapter_patches(ctx, model, use.name)
        pairs += [(patch, second if patch.target.component in text else use.strength) for patch in found]
    with patched(model, pairs, lambda done, total: ctx.progress("adapters", done, total)):
        yield


def adapter_patches(ctx: JobContext, model: Model, name: str) -> list[AdapterPatch]:
    """The changes that a file of the folders of the role "lora" makes in this model. Errors are those of `adapted`."""
    entry = ctx.library.find(name, "lora")
    reader = ctx.open_weights(entry.path)
    adapter, _ = find_adapter(reader.header, ctx.host.registry("adapters"), str(entry.path))
    keys = AdapterKeys(model)
    patches = list(adapter.patches.load()(reader, keys))
    if not patches:
        raise InvalidInputError(
            f"The adapter {entry.name} fits nothing in {model.ref.name} ({model.family.label}).",
            hint=f"It was made for another model; its weights have names such as {keys.missed[:1]}.",
        )
    if keys.missed:
        missed = f"{len(keys.missed)} of its weights, such as {keys.missed[0]!r}"
        ctx.emit("warning", message=f"{entry.name}: {model.ref.name} has no place for {missed}; they are left out.")
    return patches


@contextmanager
def patched(
    model: Model,
    pairs: Sequence[tuple[AdapterPatch, float]],
    tell: Tell = lambda done, total: None,
    *,
    beside: bool = False,
) -> Iterator[None]:
    """The model with these patches at these strengths; strength 0 changes nothing. `tell` gets (done, total).

    Changes are written into the weights, which costs time now and none in a step. With `beside`, and for quantised
    weights always, those that are `low_rank` are computed beside linear layers instead: on and off at once, in little
    memory, at two small products more in each call. Several may be at work on one weight; one that ends leaves the
    others.
    """
    plan: dict[tuple[str, str], list[tuple[AdapterPatch, float]]] = {}
    for patch, strength in pairs:
        if strength:
            plan.setdefault((patch.target.component, patch.target.parameter), []).append((patch, strength))
    components: dict[str, Any] = model.components()
    touched: list[tuple[_Work, _Changes]] = []
    try:
        for number, ((component, parameter), pairs_here) in enumerate(plan.items()):
            tell(number, len(plan))
            weights: Weights = components[component].weights
            known = _AT_WORK.setdefault(weights, {})
            work = known.setdefault(parameter, _Work(weights, parameter))
            touched.append((work, changes := _Changes(pairs_here, beside)))
            work.add(changes)
        yield
    finally:
        for work, changes in reversed(touched):
            work.remove(changes)


class _Changes:
    """What one `patched` does to one weight."""

    def __init__(self, pairs: Sequence[tuple[AdapterPatch, float]], beside: bool) -> None:
        self._pairs, self.beside = pairs, beside
        self.is_low_rank = all(patch.low_rank is not None for patch, _ in pairs)

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        return _applied(value, self._pairs)

    def products(self) -> Iterator[tuple[LowRank, float]]:
        """Each of its patches as a product, with its strength."""
        for patch, strength in self._pairs:
            assert patch.low_rank is not None
            yield patch.low_rank(), strength


class _Work:
    """All changes one weight has now, in order: all of them written into it, or all of them beside it."""

    def __init__(self, weights: Weights, parameter: str) -> None:
        # A weak reference: what is at work is found by the weights, and must not keep them.
        self._weights, self._parameter = ref(weights), parameter
        self._changes: list[_Changes] = []
        self._written = False
        self._hooks: list[Any] = []

    def add(self, changes: _Changes) -> None:
        weights = self._alive()
        self._changes.append(changes)
        if self._written:
            weights.change(self._parameter, changes)
        elif self._all_beside(weights):
            self._put_beside(weights, changes)
        else:
            self._again(weights)

    def remove(self, changes: _Changes) -> None:
        self._changes.remove(changes)
        self._again(self._alive())

    def _again(self, weights: Weights) -> None:
        """From the weight as the file has it."""
        while self._hooks:
            self._hooks.pop().remove()
        if self._written:
            self._written = False
            weights.reload(self._parameter)
        if self._all_beside(weights):
            for changes in self._changes:
                self._put_beside(weights, changes)
            return
        for changes in self._changes:
            self._written = True
            weights.change(self._parameter, changes)

    def _alive(self) -> Weights:
        weights = self._weights()
        assert weights is not None  # a component's, and `patched` holds the model
        return weights

    def _all_beside(self, weights: Weights) -> bool:
        layer, leaf = self._layer(weights)
        if leaf != "weight" or not isinstance(layer, torch.nn.Linear):
            return False
        return all(c.is_low_rank and (c.beside or isinstance(layer, Held)) for c in self._changes)

    def _put_beside(self, weights: Weights, changes: _Changes) -> None:
        layer, _ = self._layer(weights)
        for product, strength in changes.products():
            rows, columns = len(product.up), product.down.shape[-1]
            if (rows, columns) != (layer.out_features, layer.in_features):
                raise InvalidInputError(
                    f"An adapter has the shape {[rows, columns]} for {self._parameter}, which is "
                    f"{[layer.out_features, layer.in_features]}.",
                    hint="It was made for another model.",
                )
            place: dict[str, Any] = {"device": weights.device, "dtype": weights.dtype}
            self._hooks.append(
                layer.register_forward_hook(_Beside((product.up * strength).to(**place), product.down.to(**place)))
            )

    def _layer(self, weights: Weights) -> tuple[Any, str]:
        holder, _, leaf = self._parameter.rpartition(".")
        return weights.module.get_submodule(holder), leaf


class _Beside:
    """A forward hook that adds up(down(x)) to what a linear layer made of x."""

    def __init__(self, up: torch.Tensor, down: torch.Tensor) -> None:
        self._up, self._down = up, down

    def __call__(self, layer: torch.nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
        x = given[0]
        inner = torch.nn.functional.linear(x, self._down.to(x.dtype))
        return out + torch.nn.functional.linear(inner, self._up.to(x.dtype))


_AT_WORK: WeakKeyDictionary[Weights, dict[str, _Work]] = WeakKeyDictionary()


def _applied(value: torch.Tensor, changes: Sequence[tuple[AdapterPatch, float]]) -> torch.Tensor:
    for patch, strength in changes:
        value = patch.apply(value, strength)
    return value
