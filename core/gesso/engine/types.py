"""What worker-side plugins meet: latents, conditioning, predictions and the shapes of samplers and schedules.

Importing this costs no torch, so that `plugin.py` may name the contracts its lazy references keep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from gesso.engine.context import RunContext
    from gesso.engine.job_context import JobContext
    from gesso.engine.sampling import ModelSampling
    from gesso.engine.tasks import TaskContext
    from gesso.models.model import Component
    from gesso.service import Service

Role = Literal["positive", "negative"]


@dataclass(slots=True)
class Latents:
    """What is denoised: one tensor per stream ("image", "video", "audio"), each (B,C,H,W) or (B,C,T,H,W).

    Values are in the model's own normalised space (after the VAE's scaling factor).
    """

    streams: dict[str, Tensor]

    @property
    def main(self) -> Tensor:
        """The first stream, which is the only one for images."""
        return next(iter(self.streams.values()))

    @property
    def layout(self) -> Literal["BCHW", "BCTHW"]:
        return "BCHW" if self.main.ndim == 4 else "BCTHW"

    def __len__(self) -> int:
        return int(self.main.shape[0])

    def pack(self) -> Tensor:
        """One tensor a sampler can step: the stream itself, or all streams flattened to (B, N)."""
        if len(self.streams) == 1:
            return self.main
        import torch

        return torch.cat([t.flatten(1) for t in self.streams.values()], dim=1)

    def unpack(self, x: Tensor) -> Latents:
        """Latents shaped like these from a packed tensor (any batch size)."""
        if len(self.streams) == 1:
            return Latents({next(iter(self.streams)): x})
        sizes = [t[0].numel() for t in self.streams.values()]
        parts = x.split(sizes, dim=1)
        return Latents({k: p.reshape(-1, *t.shape[1:]) for (k, t), p in zip(self.streams.items(), parts, strict=True)})


@dataclass(slots=True)
class CondEntry:
    """One encoded (sub-)prompt.

    `tensors` are the family's own ("context" (B,S,D), "pooled" (B,D), …); `steps` is the fraction of the run in which
    the entry holds, [start, end); `weight` is its share in composable prompts; `mask` (B,1,H,W) limits it to a region.
    """

    tensors: dict[str, Tensor]
    role: Role = "positive"
    weight: float = 1.0
    steps: tuple[float, float] = (0.0, 1.0)
    mask: Tensor | None = None
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Cond:
    """A prompt as the model sees it: entries for parts of the run, sub-prompts and regions."""

    entries: list[CondEntry]

    def at(self, progress: float) -> list[CondEntry]:
        """The entries that hold at `progress` (0 = first step, 1 = end)."""
        return [e for e in self.entries if e.steps[0] <= progress < e.steps[1]]


@dataclass(slots=True)
class ModelInput:
    """What goes into one call of a denoising network; `wrap_denoise` plugins may add to it.

    `x` is unscaled (B,…), `sigma` the noise level, `cond` one entry; `concat` is appended to the channels,
    `residuals` are added by name (ControlNet), `attention` carries processors' inputs.
    """

    x: Tensor
    sigma: float
    cond: CondEntry
    concat: Tensor | None = None
    residuals: dict[str, Any] = field(default_factory=dict)
    attention: dict[str, Any] = field(default_factory=dict)


class Prediction(NamedTuple):
    """A denoised estimate after guidance, with the parts it was made of (None when the guider made one call)."""

    x0: Tensor
    cond_x0: Tensor | None = None
    uncond_x0: Tensor | None = None


class DenoiseFn(Protocol):
    """`denoise(x, sigma)`: x (B,…) at noise level sigma → Prediction. sigma is one float for the whole batch."""

    def __call__(self, x: Tensor, sigma: float) -> Prediction: ...


class NoiseStream(Protocol):
    """The random numbers of one seed: each call draws the next standard normal ones, float32."""

    def __call__(self, shape: Sequence[int], /) -> Tensor: ...


class NoiseSource(Protocol):
    """Where random numbers come from: `source(seed)` begins the stream of a seed."""

    def __call__(self, seed: int, /) -> NoiseStream: ...


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one run, before it starts; `gesso_filter_noise` plugins return a changed copy (`replace`)."""

    seeds: tuple[int, ...]
    """One a picture."""
    indices: tuple[int, ...]
    """Which pictures of the job these are, from 0."""
    start: Tensor
    """(B,…) of unit variance: what pictures start from, multiplied by `sigma`."""
    streams: tuple[NoiseStream, ...]
    """What samplers draw fresh noise from while they run, one a picture (Brownian paths come from the seeds)."""
    source: NoiseSource
    sigma: float
    """The noise level the run starts at."""
    has_init: bool
    """Whether the run starts from a picture's latents, to which the noise is added."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """What a guider is about to be asked at one model call; `gesso_filter_guidance` plugins return a changed copy."""

    sigma: float
    call: int
    """Which call of the run this is, from 0; second-order samplers make two a step."""
    calls: int
    """How many calls the run is expected to make."""
    positive: Sequence[CondEntry]
    negative: Sequence[CondEntry]
    """An entry that stands in both lists is computed once."""
    scale: float


class NoiseFn(Protocol):
    """`noise(sigma, sigma_next)`: unit-variance noise shaped like x for the way from sigma to sigma_next.

    Drawn per image from that image's seed: fresh at each call, or increments of one Brownian path per image, as the
    sampler's record asks (`noise="independent" | "brownian"`).
    """

    def __call__(self, sigma: float, sigma_next: float) -> Tensor: ...


@dataclass(slots=True)
class Step:
    """What `on_step` is told after each step. `index` counts from 0; `x0` is the latest estimate (B,…)."""

    index: int
    total: int
    sigma: float
    sigma_next: float
    x: Tensor
    x0: Tensor


StepFn = Callable[[Step], None]


class SamplerFn(Protocol):
    """A sampler: integrates from `x` at sigmas[0] to sigmas[-1] and returns the result.

    x (B,…) float; sigmas (n+1,) float64 on the CPU, decreasing, usually ending in 0. `model` gives the parametrisation
    (alpha, log-SNR, ancestral steps), so that one function serves eps, v and flow models. `options` is the record the
    sampler declared, or None. Call `on_step` once per step; it raises to stop the run.
    """

    def __call__(
        self,
        denoise: DenoiseFn,
        x: Tensor,
        sigmas: Tensor,
        *,
        model: ModelSampling,
        noise: NoiseFn,
        on_step: StepFn,
        options: Any,
    ) -> Tensor: ...


class ScheduleFn(Protocol):
    """A schedule: sigmas (n+1,) float64 for `n` steps, decreasing, ending in 0. size is (width, height) in pixels."""

    def __call__(self, n: int, *, model: ModelSampling, size: tuple[int, int], options: Any) -> Tensor: ...


class PredictFn(Protocol):
    """`predict(x, sigma, entries)`: one x0 estimate (B,…) per entry; batched or one by one as memory allows."""

    def __call__(self, x: Tensor, sigma: float, entries: Sequence[CondEntry]) -> list[Tensor]: ...


class GuiderFn(Protocol):
    """Turns predictions into one. `scale` is in the standard form uncond + scale·(cond − uncond)."""

    def __call__(
        self,
        predict: PredictFn,
        x: Tensor,
        sigma: float,
        *,
        positive: Sequence[CondEntry],
        negative: Sequence[CondEntry],
        scale: float,
        options: Any,
    ) -> Prediction: ...


class StageFn(Protocol):
    """A stage's body: reads and changes what the context carries."""

    def __call__(self, ctx: RunContext) -> None: ...


class UpscaleFn(Protocol):
    """Brings a picture to a larger size: RGB in, RGB of `size` (width, height) out. `ctx` opens weights and tells."""

    def __call__(self, image: Image, size: tuple[int, int], ctx: JobContext) -> Image: ...


class UpscaleLatentsFn(Protocol):
    """Stretches latents (B,C,h,w) to `size` (height, width) in their own cells."""

    def __call__(self, latents: Tensor, size: tuple[int, int]) -> Tensor: ...


class TaskFn(Protocol):
    """A task's body. `params` is its validated record. What it returns, plain JSON data, is the task's result.

    Two keys of the result are understood: `ok` (False: the command ends with an error) and `message` (for people).
    """

    def __call__(self, ctx: TaskContext, params: Any) -> Mapping[str, Any] | None: ...


class ResolveTaskFn(Protocol):
    """Settles, in the host and before the job is queued, what only the host knows: which files "all models" are.

    Takes and returns the task's record. InvalidInputError says what is wrong with what a person gave.
    """

    def __call__(self, params: Any, service: Service) -> Any: ...


class PreviewFn(Protocol):
    """Cheap picture of latents: x0 (C,H,W) or (C,T,H,W) → RGB uint8 (H',W',3) tensor."""

    def __call__(self, x0: Tensor) -> Tensor: ...


class FitPreviewFn(Protocol):
    """Makes the preview of a loaded model, from its autoencoder. Called once a model."""

    def __call__(self, vae: Component) -> PreviewFn: ...


__all__ = [
    "Cond",
    "CondEntry",
    "DenoiseFn",
    "FitPreviewFn",
    "Guidance",
    "GuiderFn",
    "Latents",
    "ModelInput",
    "Noise",
    "NoiseFn",
    "NoiseSource",
    "NoiseStream",
    "PredictFn",
    "Prediction",
    "PreviewFn",
    "ResolveTaskFn",
    "Role",
    "SamplerFn",
    "ScheduleFn",
    "StageFn",
    "Step",
    "StepFn",
    "TaskFn",
    "UpscaleFn",
    "UpscaleLatentsFn",
]
