"""Family records: how a model is recognised, built, prompted and called. Pure data; the code is lazy.

The denoiser families, text encoders and VAEs are three registries, since encoders and VAEs are shared and exchanged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gesso.contributions import Contribution
from gesso.prompts import Prompt, Span
from gesso.references import Lazy
from gesso.types import Header, Match

if TYPE_CHECKING:
    import torch

    from gesso.adapters import AdapterKeysFn
    from gesso.engine.sampling import ModelSampling
    from gesso.engine.types import Cond, CondEntry
    from gesso.models.model import Component, Model


@dataclass(frozen=True, kw_only=True)
class Rename:
    """One line of a conversion plan: `target` = `transform`(rows of `source`).

    `rows` is (start, stop) along the first axis. Transforms are named so that a plan is plain data: "same",
    "squeeze" (drop trailing 1×1), "transpose", "swap_halves" (exchange the two halves of the first axis).
    """

    target: str
    source: str
    rows: tuple[int, int] | None = None
    transform: Literal["same", "squeeze", "transpose", "swap_halves"] = "same"


Plan = tuple[Rename, ...]


class DetectFn(Protocol):
    """Header → candidates, best first; empty when it is another family's. Light: runs in the host."""

    def __call__(self, header: Header) -> Sequence[Match]: ...


class ConfigFn(Protocol):
    """Header and match → the module's configuration. Light: shapes in, plain data out."""

    def __call__(self, header: Header, match: Match) -> dict[str, Any]: ...


class PlanFn(Protocol):
    """Header, match and configuration → the conversion plan of one part."""

    def __call__(self, header: Header, match: Match, config: dict[str, Any]) -> Plan: ...


class BuildFn(Protocol):
    """Configuration → the module, called under torch's meta device."""

    def __call__(self, config: dict[str, Any]) -> torch.nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class Part:
    """A module to build from a file. `prefixes` are where its keys are found in all-in-one files."""

    config: Lazy[ConfigFn]
    plan: Lazy[PlanFn]
    build: Lazy[BuildFn]
    span: tuple[float, float] = (0.0, 1.0)
    """The σ range an expert serves."""
    role: Literal["any", "cond", "uncond"] = "any"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Something that is denoised: channels and how much smaller than the output it is ((8, 8), (4, 8, 8))."""

    name: str = "image"
    channels: int = 4
    down: tuple[int, ...] = (8, 8)


class EncodeTextFn(Protocol):
    """(prompt, span) per image → tensors of the entry ("context" (B,S,D), "pooled" (B,D))."""

    def __call__(
        self, component: Component, prompts: Sequence[tuple[Prompt, Span]], options: Mapping[str, Any]
    ) -> dict[str, torch.Tensor]: ...


class CountTokensFn(Protocol):
    """Tokens of a plain text. Light: the host counts while a person types."""

    def __call__(self, text: str) -> int: ...


@dataclass(frozen=True, kw_only=True)
class TextEncoder(Contribution):
    """A text encoder any family may use. `tokenizer` is light (no torch), so the host can count tokens."""

    part: Part
    count_tokens: Lazy[CountTokensFn]
    encode: Lazy[EncodeTextFn]
    chunk: int = 75


class DecodeFn(Protocol):
    """Latents (B,C,H,W) or (B,C,T,H,W) → uint8 pixels on the CPU, (B,H',W',3) or (B,T',H',W',3)."""

    def __call__(self, component: Component, latents: torch.Tensor) -> torch.Tensor: ...


class EncodePixelsFn(Protocol):
    """uint8 pixels (B,H,W,3) or (B,T,H,W,3) → latents; `noise` shaped like them samples, None takes the mean."""

    def __call__(self, component: Component, pixels: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Vae(Contribution):
    """An autoencoder any family may use. Latents leave and enter in the model's normalised space."""

    part: Part
    decode: Lazy[DecodeFn]
    encode: Lazy[EncodePixelsFn]


@dataclass(frozen=True, kw_only=True)
class TextUse:
    """How a family uses a text encoder."""

    encoder: str
    required: bool = True
    unless: tuple[str, ...] = ()
    """Variants of the family that do without it."""


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a variant starts from when nobody said otherwise."""

    width: int = 512
    height: int = 512
    multiple_of: int = 8
    steps: int = 20
    cfg_scale: float = 7.0
    sampler: str = "dpmpp_2m"
    scheduler: str = "automatic"


STATED: dict[str, tuple[Any, ...]] = {
    "steps": (int, 1, 150), "cfg_scale": ((int, float), 1, 30), "sampler": (str,), "scheduler": (str,)
}  # fmt: skip
"""What a file may say in `gesso.defaults`: type and, for numbers, bounds."""


def stated_defaults(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a file's metadata says of `Defaults`: `modelspec.resolution` ("512x512") and the JSON of `gesso.defaults`.

    For example `{"cfg_scale": 4, "steps": 20}`. Whatever cannot be used is left out: metadata is a hint from whoever
    wrote the file, and no reason to refuse it.
    """
    stated: dict[str, Any] = {}
    width, _, height = metadata.get("modelspec.resolution", "").partition("x")
    if all(side.isdecimal() and 8 <= int(side[:6]) <= 16384 for side in (width, height)):
        stated |= {"width": int(width), "height": int(height)}
    try:
        given = json.loads(metadata.get("gesso.defaults", "{}"))
    except (ValueError, RecursionError):
        return stated
    for name, (kind, *bounds) in STATED.items():
        value = given.get(name) if isinstance(given, dict) else None
        if isinstance(value, kind) and not isinstance(value, bool) and (not bounds or bounds[0] <= value <= bounds[1]):
            stated[name] = value
    return stated


class SamplingFn(Protocol):
    """Match → the model's parametrisation."""

    def __call__(self, match: Match) -> ModelSampling: ...


class EncodePromptFn(Protocol):
    """Prompts of one batch, alike in structure → conditioning with batch len(prompts) (or 1, which is expanded)."""

    def __call__(
        self, model: Model, prompts: Sequence[Prompt], *, size: tuple[int, int], role: str, options: Mapping[str, Any]
    ) -> Cond: ...


class ModelCallFn(Protocol):
    """One network call: x (B,…) at σ with one entry whose tensors have batch B → x0 (B,…)."""

    def __call__(self, model: Model, x: torch.Tensor, sigma: float, cond: CondEntry) -> torch.Tensor: ...


class ConditionFn(Protocol):
    """Conditioning with what a model made for inpainting takes beside the latents; itself for models that take nothing.

    `pixels` (1,H,W,3) uint8 is the picture, `mask` (1,1,H,W) float, 1 where it is painted anew, `weight` how much of it
    is hidden there.
    """

    def __call__(
        self, model: Model, cond: Cond, *, pixels: torch.Tensor, mask: torch.Tensor, weight: float
    ) -> Cond: ...


class FitsFn(Protocol):
    """Whether a text encoder or the VAE ("vae") of this configuration, from a file of its own, goes with a checkpoint.

    `header` is the checkpoint's. Light: runs in the host.
    """

    def __call__(self, header: Header, part: str, config: dict[str, Any]) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Family(Contribution):
    """A denoiser family. It holds no state: built parts live in a Model."""

    streams: tuple[Stream, ...] = (Stream(),)
    parts: Mapping[str, Part]
    text: tuple[TextUse, ...]
    vae: str
    detect: Lazy[DetectFn]
    sampling: Lazy[SamplingFn]
    encode_prompt: Lazy[EncodePromptFn]
    predict: Lazy[ModelCallFn]
    condition: Lazy[ConditionFn] | None = None
    """How a picture and its mask reach models made for inpainting; None: no variant takes them."""
    preview: str = ""
    defaults: Mapping[str, Defaults] = field(default_factory=lambda: {"": Defaults()})
    accepts: frozenset[str] = frozenset()
    """Inputs it understands: "init", "mask", "reference", "first", "last", "control"."""
    markers: tuple[str, ...] = ()
    """Small tensors of a file that say something of the model. Their values are read before anything is built and stand
    in `match.details` under the tensor's name, as a tuple of floats (at most 4,096)."""
    licence: str = ""
    fits: Lazy[FitsFn] | None = None
    """Lets text encoders and VAE come from files of their own; None: every checkpoint must be complete."""
    adapter_keys: Lazy[AdapterKeysFn] | None = None
    """How adapter files spell the names of its weights, beyond the checkpoint's own."""

    def starts(self, variant: str) -> Defaults:
        """What a variant starts from: its own defaults, or those of the family."""
        return self.defaults.get(variant) or self.defaults.get("") or Defaults()
