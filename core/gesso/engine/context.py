"""What a stage sees of a running job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from gesso.engine.denoise import Denoiser, model_calls, sample, start_noise
from gesso.engine.job_context import JobContext
from gesso.engine.types import Cond, DenoiseFn, Latents, Role, Step
from gesso.errors import InvalidInputError
from gesso.prompts import Prompt
from gesso.types import Artifact, ArtifactKind, FileRef, Job, ModelRef

if TYPE_CHECKING:
    from gesso.engine.canvas import Canvas
    from gesso.models.model import Component, Model


@dataclass(slots=True)
class Output:
    """Something about to be saved. `data` is a PIL image, or uint8 frames (T,H,W,3) for video."""

    kind: ArtifactKind
    data: Any
    index: int
    """Which picture of the job, from 0."""
    seed: int
    meta: dict[str, Any] = field(default_factory=dict)
    pairs: dict[str, Any] = field(default_factory=dict)
    """Infotext pairs in the order they are written."""
    file: FileRef | None = None


class RunContext(JobContext):
    """One batch of a job on its way through the stages.

    Stages read `request`, `seeds`, `size` and write `model`, `positive`, `negative`, `latents`, `outputs`.
    """

    def __init__(self, job: Job, **parts: Any) -> None:
        """`parts` are those of `JobContext`."""
        super().__init__(job, **parts)
        self.seeds: list[int] = []
        self.first_index = 0
        self.model: Model | None = None
        self.positive: Cond | None = None
        self.negative: Cond | None = None
        self.latents: Latents | None = None
        self.text_options: dict[str, Any] = {}
        """What text encoders are told ("clip_skip"); set before the anchor "encode"."""
        self.canvas: Canvas | None = None
        """The picture the job starts from; set at the anchor "prepare"."""
        self.prompt = self.request.prompt
        """The prompt of the pass that runs; see `another_pass`."""
        self.calls_before = 0
        """How many model calls the passes before this one made: prompt editing goes on counting from there."""
        self._size: tuple[int, int] | None = None
        self._around = ExitStack()
        self.overrides: dict[str, Any] = {}
        """What the stage "sample" gives `denoise` ("strength", "sigmas" …); set before it."""
        self.outputs: list[Output] = []
        self.artifacts: list[Artifact] = []
        """At the anchor "publish": everything the job made, in order."""

    def begin_batch(self, seeds: list[int], first_index: int) -> None:
        """Start the next batch: new seeds, nothing made yet. Conditioning stays, since the prompt does."""
        self.first_index = first_index
        self.seeds = self.host.filter("gesso_filter_seeds", seeds, ctx=self)
        self.latents, self.outputs = None, []

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of what is sampled: the request's, or those of `another_pass`."""
        return self._size or (self.request.width, self.request.height)

    def loaded(self) -> Model:
        """The model the "load" stage put here."""
        if self.model is None:
            raise InvalidInputError("A stage wants the model before the anchor 'load'.")
        return self.model

    def acquire_vae(self, ref: ModelRef) -> Component:
        """The autoencoder of a file of its own, fit to be put into the loaded model's place; see `Job.components`."""
        return self._residency.vae(ref, self.loaded())

    # --- passes -----------------------------------------------------------------------------------------------

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The loaded model inside every plugin's `gesso_wrap_model`. The engine's own, around all batches."""
        try:
            self._wrap_model(self._around)
            yield
        finally:
            self._around.close()

    def _wrap_model(self, stack: ExitStack) -> None:
        stack.enter_context(self.host.wrap("gesso_wrap_model", ctx=self, model=self.loaded()))

    @contextmanager
    def another_pass(
        self,
        *,
        size: tuple[int, int] | None = None,
        model: ModelRef | None = None,
        prompt: str | None = None,
        calls_before: int = 0,
    ) -> Iterator[None]:
        """A pass of its own: `size`, checkpoint, `prompt` and conditioning are its own within, as before afterwards.

        `gesso_wrap_model` is entered for another checkpoint beside the first, and anew where the prompt is another,
        since it may name other adapters. `calls_before` is what the attribute says.
        """
        kept = self._size, self.model, self.prompt, self.calls_before, self.positive, self.negative
        with ExitStack() as stack:
            if model is not None and model != self.loaded().ref:
                mine = self._residency.acquire(model, self.progress)
                stack.callback(self._residency.release, model)
                stack.callback(self._resume, kept)
                self.model, self.prompt = mine, self.prompt if prompt is None else prompt
                self._wrap_model(stack)
            elif prompt is not None and prompt != self.prompt:
                stack.callback(self._wrap_model, self._around)
                stack.callback(self._resume, kept)
                self._around.close()
                self.prompt = prompt
                stack.callback(self._around.close)
                self._wrap_model(self._around)
            else:
                stack.callback(self._resume, kept)
            self._size, self.calls_before = size or self._size, calls_before
            yield

    def _resume(self, kept: tuple[Any, ...]) -> None:
        self._size, self.model, self.prompt, self.calls_before, self.positive, self.negative = kept

    # --- the engine's verbs -----------------------------------------------------------------------------------

    def encode_prompt(self, text: str, *, role: Role, calls: int | None = None) -> Cond:
        """Conditioning for a text (batch 1, expanded on use), parsed for so many model calls (those of the request)."""
        calls = calls or model_calls(self.host.registry("samplers").get(self.request.sampler), self.request.steps)
        parse = self.host.choose("gesso_choose_prompt_parser", ctx=self, role=role, steps=calls)
        prompt = Prompt.plain(text) if parse is None else parse(text)
        model = self.loaded()
        encode = model.family.encode_prompt.load()
        return encode(model, [prompt], size=self.size, role=role, options=self.text_options)

    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Latents:
        """uint8 pixels (B,H,W,3) → latents."""
        vae, stream = self.loaded().vae, self.loaded().family.streams[0]
        return Latents({stream.name: cast(Any, vae.record).encode.load()(vae, pixels, noise)})

    def decode(self, latents: Latents) -> Tensor:
        """Latents → uint8 pixels (B,H,W,3) or (B,T,H,W,3) on the CPU."""
        vae = self.loaded().vae
        return cast(Tensor, cast(Any, vae.record).decode.load()(vae, latents.main))

    def denoise(self, latents: Latents | None = None, **overrides: Any) -> Latents:
        """Run the sampler from noise (or from `latents`), under every `gesso_wrap_denoise`.

        Overrides: steps (0 leaves `latents` as they are), sampler, scheduler, cfg_scale, guider, sigmas, positive,
        negative, seeds, size, strength (0 to 1: only that share of the schedule's end), full_steps (all steps within
        that share).
        """
        return sample(self, latents, overrides)

    def condition(self, pixels: Tensor, mask: Tensor, *, weight: float = 1.0) -> bool:
        """Tell a model made for inpainting what it paints on (`gesso.ConditionFn`). False: this one takes nothing."""
        model = self.loaded()
        if model.family.condition is None or self.positive is None or self.negative is None:
            return False
        tell = model.family.condition.load()
        before = self.positive
        self.positive, self.negative = (
            tell(model, cond, pixels=pixels, mask=mask, weight=weight) for cond in (self.positive, self.negative)
        )
        return self.positive is not before

    def noise(self, latents: Latents) -> Latents:
        """Unit noise shaped like `latents`, from each of `seeds`: as the source draws it, not filtered."""
        return start_noise(self, latents)

    @contextmanager
    def wrapped(self, denoise: Denoiser) -> Iterator[DenoiseFn]:
        """The denoiser with every plugin's wrapper around it."""
        with self.host.wrap("gesso_wrap_denoise", value_name="denoise", ctx=self, denoise=denoise) as inner:
            yield cast(DenoiseFn, inner)

    def on_step(self, step: Step) -> None:
        """After each sampling step: tell, then stop if asked to."""
        self._emit("progress", {"stage": "sample", "done": step.index + 1, "total": step.total})
        self.host.emit("gesso_on_step", ctx=self, step=step)
        self.control.check_batch()
