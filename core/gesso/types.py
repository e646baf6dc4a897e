"""What host-side plugins meet: requests, jobs, events, artifacts, files. Plain data, no torch."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gesso.params import MASK, Params, param

ArtifactKind = Literal["image", "video", "audio", "mask", "grid", "text"]


class Frozen(BaseModel):
    """Base of the payloads that cross process, disk and HTTP borders."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class FileRef(Frozen):
    """A file by the SHA-256 of its content; `type` is its MIME type."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    type: str = "application/octet-stream"


Image = FileRef
"""A parameter field that takes a picture."""
Mask = Annotated[FileRef, MASK]
"""A parameter field that takes a mask: white is where something happens."""


class Artifact(Frozen):
    """Something a job made. `meta` holds seed, infotext, size and what plugins add."""

    kind: ArtifactKind
    file: FileRef
    meta: dict[str, Any] = {}


class ModelRef(Frozen):
    """A model file by role ("checkpoint", "vae", "text_encoder", "lora"), name and content hash ("": not hashed)."""

    role: str
    name: str
    hash: str = ""


class Match(Frozen):
    """What a family makes of a header. `questions` are what a header cannot tell; file name or person answer them."""

    family: str
    variant: str
    confidence: float = 1.0
    prediction: Literal["eps", "v", "flow"] = "eps"
    questions: tuple[str, ...] = ()
    details: dict[str, Any] = {}


class TensorInfo(Frozen):
    """One tensor of a weight file: format name as the file says it ("F16", "Q4_0"), shape, byte range in the file."""

    format: str
    shape: tuple[int, ...]
    start: int
    end: int


class Header(Frozen):
    """A weight file's table of contents. Reading it touches no weight."""

    container: Literal["safetensors", "gguf", "folder"]
    tensors: dict[str, TensorInfo]
    metadata: dict[str, str] = {}

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, None when the file has none of that name."""
        info = self.tensors.get(name)
        return None if info is None else info.shape

    def has_prefix(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.tensors)


class CoreParams(Params):
    """What every generation has, whatever the family."""

    prompt: str = param("", label="Prompt", api="prompt", max_length=100_000)
    negative_prompt: str = param("", label="Negative prompt", api="negative_prompt", max_length=100_000)
    model: str = param("", label="Model", choices="models:checkpoint")
    steps: int = param(20, ge=1, le=1000, step=1, soft_max=150, label="Steps", infotext="Steps", api="steps")
    sampler: str = param("", label="Sampler", infotext="Sampler", api="sampler_name", choices="registry:samplers")
    scheduler: str = param(
        "automatic", label="Schedule type", infotext="Schedule type", api="scheduler", choices="registry:schedulers"
    )
    cfg_scale: float = param(
        7.0, ge=0, le=100, step=0.5, soft_max=30, label="CFG scale", infotext="CFG scale", api="cfg_scale"
    )
    seed: int = param(-1, ge=-1, le=2**64 - 1, label="Seed", infotext="Seed", api="seed")
    width: int = param(512, ge=8, le=16384, step=8, soft_max=2048, label="Width", api="width", unit="px")
    height: int = param(512, ge=8, le=16384, step=8, soft_max=2048, label="Height", api="height", unit="px")
    batch_size: int = param(1, ge=1, le=256, step=1, soft_max=8, label="Batch size", api="batch_size")
    count: int = param(1, ge=1, le=10_000, step=1, soft_max=100, label="Batch count", api="n_iter")
    guider: str = param("cfg", label="Guidance", choices="registry:guiders", advanced=True)


class Request(CoreParams):
    """What a person asked for. `params` holds plugins' records by feature name, `inputs` the files they refer to."""

    components: dict[str, str] = Field(default={})
    """Exchanged parts by role: {"vae": "name"}; a name is whatever the models library finds one by."""
    inputs: dict[str, FileRef | list[FileRef]] = Field(default={})
    params: dict[str, dict[str, Any]] = Field(default={})
    owner: str = ""
    """The session or user the job belongs to."""


class Job(Frozen):
    """A request with everything resolved that may change the picture; plain JSON, the worker looks at nothing else."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    kind: Literal["generate", "task"] = "generate"
    task: str = ""
    request: Request
    asked: dict[str, Any] = {}
    """What a person typed where plugins made something else of it: "prompt", "negative_prompt", "params"."""
    parent: str | None = None
    depends_on: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    """Distribution → version of gesso and of each plugin that takes part."""
    model: ModelRef | None = None
    components: dict[str, ModelRef] = {}
    """The files of the request's `components`, by role."""
    settings: dict[str, Any] = {}
    """Frozen settings that change the picture."""
    done: tuple[int, ...] = ()
    """Indices (pictures of the job, from 0) that an earlier attempt finished: batches of these alone are left out."""
    made: tuple[Artifact, ...] = ()
    """What that attempt made, in order."""
    created: float = Field(default_factory=time.time)


EventKind = Literal["state", "stage", "progress", "preview", "artifact", "metric", "result", "warning", "error"]


class JobEvent(Frozen):
    """Something that happened to a job. `seq` grows by one within a job, so that a reader can resume."""

    job: str
    kind: EventKind
    seq: int = 0
    time: float = Field(default_factory=time.time)
    data: dict[str, Any] = {}


class Metric(Frozen):
    """A measured value with its unit ("s", "bytes", "1/s"). `labels` say of what."""

    name: str
    value: float
    unit: str
    time: float = Field(default_factory=time.time)
    labels: dict[str, str] = {}


class HookState(Frozen):
    """One plugin's implementation of one hook, in one process ("both": where jobs run inline)."""

    hook: str
    process: str = ""
    calls: int = 0
    errors: int = 0
    total_ms: float = 0.0
    quarantined: bool = False


class PluginState(Frozen):
    """What the Extensions tab, `gesso plugins list --json` and the API show of a plugin."""

    name: str
    dist: str
    version: str
    api: str = ""
    state: Literal["enabled", "disabled", "quarantined", "failed", "incompatible", "missing-deps"] = "enabled"
    phase: str = ""
    """Where it failed last: discovery, probe, import, register, hook, enter, exit, build, handler, patch, stage, crash
    (of the worker)."""
    hook: str = ""
    """In which hook, or in what it contributed ("the tab clock"); "" while it was loaded."""
    error: str = ""
    traceback: str = ""
    import_ms: float = 0.0
    hooks: tuple[str, ...] = ()
    quarantined_hooks: tuple[str, ...] = ()
    calls: int = 0
    errors: int = 0
    total_ms: float = 0.0
    built_in: bool = False
    hint: str = ""
    capabilities: tuple[str, ...] = ()
    """What it declares to use: network, subprocess, filesystem."""
    warnings: tuple[str, ...] = ()
    """What was seen of it that should not be, though it is in use: capabilities it does not declare."""
    hook_states: tuple[HookState, ...] = ()
    """Calls, errors and time by hook; none for a plugin that is not in use."""
    next_start: str = ""
    """What the next start makes of it, where that is something else: enabled, disabled, uninstalled."""

    @property
    def id(self) -> str:
        """`dist:name`."""
        return f"{self.dist}:{self.name}"
