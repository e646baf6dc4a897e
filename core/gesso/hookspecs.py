"""Every hook, in the order of a job's life. The verb tells how a hook is called (design: five kinds).

`register_` fills a registry · `choose_` first answer wins · `filter_` changes a value · `wrap_` is a context manager
around something · `on_` is an event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import pluggy

from gesso.contributions import (
    Adapter,
    Asset,
    Check,
    Command,
    FilenameToken,
    Guider,
    ImageFormat,
    Locale,
    MetadataReader,
    ModelFolder,
    Operator,
    Panel,
    Preview,
    Record,
    Route,
    Sampler,
    Scheduler,
    SettingsSection,
    Stage,
    Tab,
    Task,
    Upscaler,
)
from gesso.deprecated import on_hook
from gesso.families import Family, TextEncoder, Vae
from gesso.prompts import Prompt, PromptParser
from gesso.registry import Registrar
from gesso.types import Header, Job, JobEvent, Match, Request, TensorInfo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from gesso.engine.context import Output, RunContext
    from gesso.engine.types import Guidance, Latents, Noise, NoiseSource, Step
    from gesso.models.model import Model
    from gesso.models.readers import WeightReader
    from gesso.service import Service

F = TypeVar("F", bound=Callable[..., Any])
Process = Literal["host", "worker", "both"]
Verb = Literal["register", "choose", "filter", "wrap", "on"]

_impl_marker = pluggy.HookimplMarker("gesso")
_spec_marker = pluggy.HookspecMarker("gesso")


@dataclass(frozen=True)
class SpecInfo:
    """What a hookspec declares beyond its signature."""

    verb: Verb
    process: Process
    registry: str = ""
    phases: tuple[str, ...] = ()


@overload
def hookimpl(function: F) -> F: ...
@overload
def hookimpl(*, wrapper: bool = False, optionalhook: bool = False, phase: str = "") -> Callable[[F], F]: ...
def hookimpl(
    function: F | None = None, *, wrapper: bool = False, optionalhook: bool = False, phase: str = ""
) -> F | Callable[[F], F]:
    """Mark a function as an implementation of the hook of its name.

    `phase` orders `filter_` hooks that declare phases; `wrapper=True` is for `choose_` hooks only; `optionalhook=True`
    lets a plugin name a hook that an older gesso does not have.
    """

    def mark(f: F) -> F:
        f.__gesso_phase__ = phase  # type: ignore[attr-defined]
        return _impl_marker(f, wrapper=wrapper, optionalhook=optionalhook)

    return mark if function is None else mark(function)


def _spec(process: Process, *, registry: str = "", phases: tuple[str, ...] = ()) -> Callable[[F], F]:
    def mark(f: F) -> F:
        verb = f.__name__.removeprefix("gesso_").split("_")[0]
        f.__gesso_spec__ = SpecInfo(verb, process, registry, phases)  # type: ignore[attr-defined, arg-type]
        return _spec_marker(f, firstresult=verb == "choose", **on_hook(f.__name__))

    return mark


# --- life ---------------------------------------------------------------------------------------------------------


@_spec("both", registry="settings")
def gesso_register_settings(registry: Registrar[SettingsSection]) -> None:
    """Start-up: add a section to the settings file."""


@_spec("host", registry="checks")
def gesso_register_checks(registry: Registrar[Check]) -> None:
    """Start-up: add a line to `gesso doctor`."""


@_spec("both")
def gesso_on_startup(process: str) -> None:
    """All plugins are registered. `process` is "host" or "worker"."""


@_spec("both")
def gesso_on_shutdown(process: str) -> None:
    """The process ends in good order."""


# --- parameters and requests --------------------------------------------------------------------------------------


@_spec("both", registry="params")
def gesso_register_params(registry: Registrar[Record]) -> None:
    """Start-up: add a parameter record; page, REST, CLI and infotext are made from it."""


@_spec("host", phases=("template", "wildcard", "style", "tag"))
def gesso_filter_prompt(prompt: str, request: Request) -> str | None:
    """The prompt of a request before it is queued. Return the new text, or None to leave it."""


@_spec("host", phases=("preset", "style"))
def gesso_filter_request(request: Request, service: Service) -> Request | None:
    """A validated request before it becomes a job. Return the new request, or None to leave it."""


@_spec("host")
def gesso_filter_reuse(fields: dict[str, Any], pairs: dict[str, str], service: Service) -> dict[str, Any] | None:
    """The request fields read from a picture's infotext, with all its pairs. Return a new dict, or None."""


@_spec("host")
def gesso_choose_prompt_reading(prompt: str, role: str, steps: int) -> Prompt | None:
    """How a prompt will be read, for who counts its tokens while it is typed. None: not mine, take it plain."""


# --- models -------------------------------------------------------------------------------------------------------


@_spec("both", registry="model_folders")
def gesso_register_model_folders(registry: Registrar[ModelFolder]) -> None:
    """Start-up: add folders (or single files) in which models are found."""


@_spec("both", registry="families")
def gesso_register_families(registry: Registrar[Family]) -> None:
    """Start-up: add denoiser families."""


@_spec("both", registry="text_encoders")
def gesso_register_text_encoders(registry: Registrar[TextEncoder]) -> None:
    """Start-up: add text encoders families may use."""


@_spec("both", registry="vaes")
def gesso_register_vaes(registry: Registrar[Vae]) -> None:
    """Start-up: add autoencoders families may use."""


@_spec("both", registry="operators")
def gesso_register_operators(registry: Registrar[Operator]) -> None:
    """Start-up: add operators: ways a layer holds and multiplies its weights."""


@_spec("both", registry="adapters")
def gesso_register_adapters(registry: Registrar[Adapter]) -> None:
    """Start-up: add kinds of files that change a model's weights for a job (LoRA and its kin)."""


@_spec("both")
def gesso_choose_header(path: Path, header: Header | None) -> Header | None:
    """What is in this weight file? `header` is gesso's own reading, None for a format it does not read. None: leave it.

    Quantised weights are told from the family's names here: one entry a weight, with its format and its own shape, and
    none for scales and the like. `gesso_choose_weight_reader` then reads by these names.
    """


@_spec("both")
def gesso_choose_weight_reader(path: Path, header: Header) -> WeightReader | None:
    """Who reads the tensors of this file? None: not mine."""


@_spec("both")
def gesso_choose_family(header: Header, candidates: list[Match]) -> Match | None:
    """Which of the candidates is it? None leaves the choice to the highest confidence."""


@_spec("worker")
def gesso_choose_operator(name: str, info: TensorInfo, wanted: str) -> str | None:
    """The operator's name for a layer's weight, once, at load. `wanted` is the person's choice ("": as the file)."""


# --- sampling -----------------------------------------------------------------------------------------------------


@_spec("worker")
def gesso_choose_prompt_parser(ctx: RunContext, role: str, steps: int) -> PromptParser | None:
    """Who reads a prompt of `role` ("positive", "negative") for so many model calls? None: not mine, take it plain."""


@_spec("both", registry="samplers")
def gesso_register_samplers(registry: Registrar[Sampler]) -> None:
    """Start-up: add samplers."""


@_spec("both", registry="schedulers")
def gesso_register_schedulers(registry: Registrar[Scheduler]) -> None:
    """Start-up: add sigma schedules."""


@_spec("both", registry="guiders")
def gesso_register_guiders(registry: Registrar[Guider]) -> None:
    """Start-up: add guiders."""


@_spec("worker")
def gesso_filter_seeds(seeds: list[int], ctx: RunContext) -> list[int] | None:
    """The seeds of a batch, one a picture, counted up from the request's. Return others, or None to leave them."""


@_spec("worker")
def gesso_choose_noise_source(ctx: RunContext) -> NoiseSource | None:
    """Where a job's random numbers come from. None: not mine, take the CPU's generator."""


@_spec("worker", phases=("draw", "change"))
def gesso_filter_noise(noise: Noise, ctx: RunContext) -> Noise | None:
    """The noise of a run before it starts: drawn otherwise (phase "draw"), then changed (phase "change")."""


@_spec("worker")
def gesso_filter_guidance(guidance: Guidance, ctx: RunContext) -> Guidance | None:
    """What the guider is about to be asked, before every call of the model. Keep it cheap."""


@_spec("worker")
def gesso_choose_init_latents(ctx: RunContext) -> Latents | None:
    """The clean latents a run starts from (an encoded picture). None: start from noise alone."""


@_spec("worker")
def gesso_wrap_model(ctx: RunContext, model: Model) -> AbstractContextManager[None] | None:
    """A context manager around the use of the model in a job (adapters). Undone in reverse."""


@_spec("worker")
def gesso_wrap_denoise(ctx: RunContext, denoise: Any) -> AbstractContextManager[Any] | None:
    """A context manager around every `ctx.denoise`, a second pass's too. It may yield a DenoiseFn to use instead."""


@_spec("worker")
def gesso_on_step(ctx: RunContext, step: Step) -> None:
    """A sampling step is done."""


# --- stages and outputs -------------------------------------------------------------------------------------------


@_spec("both", registry="stages")
def gesso_register_stages(registry: Registrar[Stage]) -> None:
    """Start-up: add stages to a job's way."""


@_spec("both", registry="upscalers")
def gesso_register_upscalers(registry: Registrar[Upscaler]) -> None:
    """Start-up: add ways to make a picture larger."""


@_spec("worker", registry="previews")
def gesso_register_previews(registry: Registrar[Preview]) -> None:
    """Start-up: add cheap decoders for live previews."""


@_spec("worker")
def gesso_filter_image(output: Output, ctx: RunContext) -> Output | None:
    """A finished picture before it is saved."""


@_spec("worker")
def gesso_filter_metadata(pairs: dict[str, Any], output: Output, ctx: RunContext) -> dict[str, Any] | None:
    """The infotext pairs of an output. Return a new dict, or None to leave them."""


@_spec("both", registry="formats")
def gesso_register_formats(registry: Registrar[ImageFormat]) -> None:
    """Start-up: add file formats pictures are written in."""


@_spec("host", registry="filename_tokens")
def gesso_register_filename_tokens(registry: Registrar[FilenameToken]) -> None:
    """Start-up: add words in square brackets that patterns of file names may hold."""


@_spec("host", registry="metadata_readers")
def gesso_register_metadata_readers(registry: Registrar[MetadataReader]) -> None:
    """Start-up: add readers of what other programs write into pictures; they are asked in their plugins' order."""


# --- page ---------------------------------------------------------------------------------------------------------


@_spec("host", registry="tabs")
def gesso_register_tabs(registry: Registrar[Tab]) -> None:
    """Start-up: add tabs to the page."""


@_spec("host", registry="panels")
def gesso_register_panels(registry: Registrar[Panel]) -> None:
    """Start-up: add controls to the generation tabs, in named slots."""


@_spec("host", registry="assets")
def gesso_register_assets(registry: Registrar[Asset]) -> None:
    """Start-up: add style sheets and scripts to the page."""


@_spec("host", registry="locales")
def gesso_register_locales(registry: Registrar[Locale]) -> None:
    """Start-up: add texts of the page, in English and other languages."""


# --- jobs, outside ------------------------------------------------------------------------------------------------


@_spec("host")
def gesso_on_job_event(job: Job, event: JobEvent) -> None:
    """Something happened to a job."""


@_spec("both", registry="tasks")
def gesso_register_tasks(registry: Registrar[Task]) -> None:
    """Start-up: add work for the worker that is no generation; `gesso tasks` lists and runs it."""


@_spec("host", registry="routes")
def gesso_register_routes(registry: Registrar[Route]) -> None:
    """Start-up: add HTTP routes beside the page."""


@_spec("host", registry="commands")
def gesso_register_commands(registry: Registrar[Command]) -> None:
    """Start-up: add subcommands of `gesso`."""
