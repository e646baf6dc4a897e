"""Adapters: files that change a model's weights for a job. The contracts; `gesso.models.adapters` does the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from gesso.types import Frozen, Header

if TYPE_CHECKING:
    import torch

    from gesso.models.adapters import AdapterKeys, AdapterPatch, AdapterTarget
    from gesso.models.model import Model
    from gesso.models.readers import WeightReader


class AdapterMatch(Frozen):
    """What a kind of adapter makes of a header. `family` is the model family it was made for, "" if none is told."""

    confidence: float = 1.0
    family: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class AdapterUse:
    """One adapter of a job: the file's name, its strength in the denoiser, and in the text encoders (None: alike)."""

    name: str
    strength: float = 1.0
    text_strength: float | None = None


class RecogniseAdapterFn(Protocol):
    """Header → what it is, None when it is another kind's. Light: runs in the host, and must not fail on any file."""

    def __call__(self, header: Header) -> AdapterMatch | None: ...


class AdapterPatchesFn(Protocol):
    """The file's changes, one for each weight it touches. `keys` tells which weight of the model a name stands for."""

    def __call__(self, reader: WeightReader, keys: AdapterKeys) -> Iterable[AdapterPatch]: ...


class AdapterExampleFn(Protocol):
    """The tensors of a small file of this kind for these weights (name → shape). It has to change every one of them."""

    def __call__(self, shapes: Mapping[str, tuple[int, ...]]) -> Mapping[str, torch.Tensor]: ...


class AdapterKeysFn(Protocol):
    """A family's names of its weights as adapter files spell them ("lora_unet_mid_block….weight") → the weights.

    One name may stand for several weights (query, key and value in one), of which each takes its rows.
    """

    def __call__(self, model: Model) -> Mapping[str, Sequence[AdapterTarget]]: ...
