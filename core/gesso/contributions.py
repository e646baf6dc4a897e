"""The light records plugins register. Heavy code hangs on them by `gesso.lazy`, imported in the worker, on use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gesso.errors import InvalidInputError
from gesso.references import Lazy

if TYPE_CHECKING:
    from gesso.adapters import AdapterExampleFn, AdapterPatchesFn, RecogniseAdapterFn
    from gesso.engine.types import (
        FitPreviewFn,
        GuiderFn,
        PreviewFn,
        ResolveTaskFn,
        SamplerFn,
        ScheduleFn,
        StageFn,
        TaskFn,
        UpscaleFn,
        UpscaleLatentsFn,
    )
    from gesso.metadata.types import ReadMetadataFn
    from gesso.operators.types import DequantiseFn, OperatorFn
    from gesso.outputs.types import EncodeImageFn, FilenameTokenFn
    from gesso.page import PanelFn, RouteFn, TabFn
    from gesso.params import Params

ANCHORS = (
    "prepare", "load", "encode", "init", "sample", "refine", "decode", "postprocess", "composite", "save", "publish",
)  # fmt: skip
"""The fixed line every job goes through; stages name one of these."""
PREFIX = re.compile(r"(/[a-z0-9][a-z0-9_.-]*)+")
TAKEN_PREFIXES = (
    "gesso", "gradio_api", "assets", "call", "config", "custom_component", "favicon.ico", "file", "info", "login",
    "logout", "manifest.json", "monitoring", "queue", "robots.txt", "run", "static", "stream", "svelte", "theme.css",
    "token", "upload", "user",
)  # fmt: skip
"""First parts of a path that the page answers itself."""


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What every record has: `name` (id), `label` (for people), `aliases` (also understood)."""

    name: str
    label: str = ""
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.name)


@dataclass(frozen=True, kw_only=True)
class Sampler(Contribution):
    """A solver. `options` is its parameter record; labels and names are those A1111 and Forge users know."""

    run: Lazy[SamplerFn]
    options: type[Params] | None = None
    default_scheduler: str = "uniform"
    """The schedule "Automatic" stands for."""
    second_order: bool = False
    """Two model calls a step: prompt editing counts steps twice."""
    discard_penultimate: bool = False
    """Make one more σ and drop the last but one, as A1111 does for some solvers."""
    uses_ensd: bool = False
    """A1111's "eta noise seed delta" shifts this sampler's noise seed."""
    noise: Literal["independent", "brownian"] = "independent"
    needs_uncond: bool = False
    """Reads `Prediction.uncond_x0`: it is then made even where the guider would save that call, as at CFG 1."""
    timesteps: bool = False
    """A1111 runs it on training time steps, and so makes a step less of a picture's strength than other samplers."""
    one_by_one: bool = False
    """Adaptive step size: run image by image, so that a batch changes nothing."""
    deterministic: bool = True
    """No fresh noise with the default options."""
    source: str = ""
    """The paper, as an arXiv reference or URL."""


@dataclass(frozen=True, kw_only=True)
class Scheduler(Contribution):
    """A σ schedule."""

    run: Lazy[ScheduleFn]
    options: type[Params] | None = None
    default_rho: float = -1.0
    strides: bool = False
    """Its steps are a whole stride of the model's time steps, so there may be more than asked for (A1111's DDIM)."""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Guider(Contribution):
    """Turns conditional and unconditional predictions into one."""

    run: Lazy[GuiderFn]
    options: type[Params] | None = None
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage(Contribution):
    """One piece of a job's way. Within its anchor, `after`/`before` name other stages; absent names are ignored."""

    anchor: str
    run: Lazy[StageFn]
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Operator(Contribution):
    """How a layer holds and multiplies its weights. `formats` are those it reads ("F16", "Q4_0", "nf4" …)."""

    formats: tuple[str, ...]
    build: Lazy[OperatorFn]
    dequantise: Lazy[DequantiseFn] | None = None
    """The values of its stored forms: for transforms that cannot be done on them. None: its weights are plain."""


@dataclass(frozen=True, kw_only=True)
class ModelFolder(Contribution):
    """A folder (or single file) to scan for models of one role ("checkpoint", "vae", "lora" …)."""

    role: str
    path: Path
    built_in: bool = False


@dataclass(frozen=True, kw_only=True)
class Preview(Contribution):
    """A cheap decoder for live previews: `run`, or one that `fit` makes for the model, once it is loaded."""

    run: Lazy[PreviewFn] | None = None
    fit: Lazy[FitPreviewFn] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.run is None) == (self.fit is None):
            raise InvalidInputError(f"The preview {self.name!r} must have one of `run` and `fit`.")


@dataclass(frozen=True, kw_only=True)
class ImageFormat(Contribution):
    """A file format pictures are written in. People find it by name, label, alias and suffix."""

    mime: str
    suffix: str
    """With its dot: ".png"."""
    encode: Lazy[EncodeImageFn]
    options: type[Params] | None = None
    """Its settings: the section format.<name> of the settings file, frozen into each job."""


@dataclass(frozen=True, kw_only=True)
class FilenameToken(Contribution):
    """A word in square brackets that file-name patterns may hold."""

    run: Lazy[FilenameTokenFn]
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class MetadataReader(Contribution):
    """Understands what one other program writes into pictures. `name` is that program's."""

    read: Lazy[ReadMetadataFn]


@dataclass(frozen=True, kw_only=True)
class Command(Contribution):
    """A subcommand of `gesso`: `app` is a typer.Typer or a function, imported when the command runs.

    A parameter of type `typer.Context` has the `gesso.Service` as its `obj`. A GessoError ends in one line.
    """

    app: Lazy[Any]
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Tab(Contribution):
    """A tab of the page. `build` is imported and called when the page is built, inside the tab's own boundary."""

    build: Lazy[TabFn]
    order: int = 100
    """Tabs stand in this order, those of equal order by name; gesso's own use 10 to 90."""


@dataclass(frozen=True, kw_only=True)
class Panel(Contribution):
    """Controls in a named slot of the generation tabs, folded below its label. Built once for each of those tabs."""

    build: Lazy[PanelFn]
    slot: Literal["prompts", "settings", "result"] = "settings"
    """Below the prompts, below the settings, below the pictures."""
    tabs: tuple[str, ...] = ()
    """The generation tabs it stands in; empty: in all of them."""
    order: int = 100


@dataclass(frozen=True, kw_only=True)
class Asset(Contribution):
    """A style sheet or a script (a module) for the page. Colours are its tokens, `var(--g-…)`."""

    file: Path

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.file.suffix not in (".css", ".js"):
            raise InvalidInputError(f"The asset {self.name!r} is neither .css nor .js: {self.file.name}.")


@dataclass(frozen=True, kw_only=True)
class Locale(Contribution):
    """Texts of the page: a folder of `<language>.json` files, {"key": "text"}.

    `name` is the feature's, and by custom its keys begin with it; `en.json` has all of them. A file may also translate
    others' keys, or English: {"Steps": "Schritte"}.
    """

    folder: Path


@dataclass(frozen=True, kw_only=True)
class Check(Contribution):
    """A line of `gesso doctor`: returns (ok, what was found)."""

    run: Lazy[Callable[[], tuple[bool, str]]]


@dataclass(frozen=True, kw_only=True)
class Record(Contribution):
    """A parameter record under its plugin's feature name (`hires` → `--set hires.scale=2`)."""

    params: type[Params]
    tabs: tuple[str, ...] = ()
    """The generation tabs it stands in ("txt2img", "img2img"); empty: in all of them."""
    group: str = ""
    """Records of one group share an accordion of this title; empty: one of its own, titled with the label."""
    tells: tuple[str, ...] = ()
    """Infotext keys its plugin writes to say what was used, which need not be read to make a picture again."""


@dataclass(frozen=True, kw_only=True)
class SettingsSection(Contribution):
    """A section of the settings file, made from a parameter record."""

    params: type[Params]


@dataclass(frozen=True, kw_only=True)
class Task(Contribution):
    """Work in the worker that is no generation (check models, merge, train), on the same queue as pictures."""

    run: Lazy[TaskFn]
    params: type[Params]
    """What it is asked to do; command line and page are made from it. Its fields have no infotext keys."""
    description: str = ""
    resolve: Lazy[ResolveTaskFn] | None = None
    """Settles in the host what only the host knows, before the job is queued."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """Field values of a quick run, with which the smoke suite tries it."""


@dataclass(frozen=True, kw_only=True)
class Route(Contribution):
    """HTTP routes beside the page. `build` is called on the first request, inside the routes' own boundary."""

    build: Lazy[RouteFn]
    prefix: str = ""
    """Where they are mounted; "/plugins/NAME" when it is empty."""

    def __post_init__(self) -> None:
        super().__post_init__()
        prefix = self.prefix or f"/plugins/{self.name}"
        if not PREFIX.fullmatch(prefix) or prefix.split("/")[1] in TAKEN_PREFIXES:
            raise InvalidInputError(
                f"The routes {self.name!r} cannot have the prefix {prefix!r}: it is no plain path, or the page's own.",
                hint=f"Write it like /plugins/{self.name}.",
            )
        object.__setattr__(self, "prefix", prefix)
        # As an alias it has one owner, like any name.
        object.__setattr__(self, "aliases", (*self.aliases, prefix))


@dataclass(frozen=True, kw_only=True)
class Adapter(Contribution):
    """A kind of file that changes a model's weights for a job (LoRA and its kin), and how it does."""

    recognise: Lazy[RecogniseAdapterFn]
    patches: Lazy[AdapterPatchesFn]
    example: Lazy[AdapterExampleFn]
    """A small file of this kind, with which the smoke suite tries it."""
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Upscaler(Contribution):
    """A way to make a picture larger, for the second pass, the Extras and whoever else wants one."""

    run: Lazy[UpscaleFn] | None = None
    """Works on pixels."""
    latents: Lazy[UpscaleLatentsFn] | None = None
    """Works on latents, for those who have some; an upscaler has one of the two."""
    source: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.run is None) == (self.latents is None):
            raise InvalidInputError(
                f"The upscaler {self.name!r} must work on pixels or on latents: give one of the two."
            )
