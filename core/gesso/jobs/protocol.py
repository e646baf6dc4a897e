"""What host and worker tell each other at the start, and the settings of the worker. Torch-free.

Host → worker: `start`, `job`, `control`, `reply` (with a raw part), `seen`, `reset`, `unload`, `close`.
Worker → host: `hello`, `beat`, `event`, `blob` and `preview` (with raw parts), `ask`, `done`, `failed`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gesso.errors
from gesso.errors import GessoError
from gesso.params import Params, param
from gesso.plugins.selection import Selection
from gesso.types import Frozen, PluginState

PROTOCOL = 1
BEAT_SECONDS = 2.0


class WorkerSettings(Params):
    """How the worker behaves. Limits are seconds without any sign of progress, after which it is ended."""

    threads: int = param(0, ge=0, le=1024, label="CPU threads", description="0: one per core, as torch has it.")
    niceness: int = param(
        5, ge=0, le=19, label="Niceness", changes_picture=False,
        description="How far the worker stands back for the page when the CPU is busy.",
    )  # fmt: skip
    preview_seconds: float = param(0.25, ge=0.25, le=60, label="Time between previews", unit="s", changes_picture=False)
    preview_side: int = param(384, ge=0, le=384, label="Preview size", unit="px", changes_picture=False)
    start_seconds: float = param(300, gt=0, label="Limit: start", unit="s", changes_picture=False)
    load_seconds: float = param(900, gt=0, label="Limit: loading", unit="s", changes_picture=False)
    first_step_seconds: float = param(900, gt=0, label="Limit: first step", unit="s", changes_picture=False)
    step_seconds: float = param(
        60, gt=0, label="Limit: further steps", unit="s", changes_picture=False,
        description="At least this long, and at least 20 times the slowest step so far.",
    )  # fmt: skip
    decode_seconds: float = param(1800, gt=0, label="Limit: decoding", unit="s", changes_picture=False)
    other_seconds: float = param(900, gt=0, label="Limit: other stages", unit="s", changes_picture=False)
    cancel_seconds: float = param(5, gt=0, label="Limit: obeying a cancel", unit="s", changes_picture=False)


class Start(Frozen):
    """The first frame: everything the worker needs to know; it reads no settings file."""

    protocol: int = PROTOCOL
    home: Path
    safe_mode: bool = False
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    plugins_dir: Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    operator: str = ""
    models_in_memory: int = 1
    settings: WorkerSettings = WorkerSettings()

    def selection(self) -> Selection:
        """The same plugins as the host's."""
        return Selection(self.safe_mode, self.only, self.without, self.plugins_dir)


class Device(Frozen):
    """Something models can run on: torch's name ("cuda:0"), what it is called, its memory in bytes."""

    name: str
    label: str
    memory: int


class Hello(Frozen):
    """What a worker says when it is ready for jobs."""

    protocol: int
    pid: int
    device: str
    """The one jobs run on."""
    devices: tuple[Device, ...]
    threads: int
    versions: dict[str, str]
    """Python, gesso, torch, diffusers and every plugin in use."""
    plugins: tuple[PluginState, ...]
    owners: dict[str, dict[str, str]]
    """Registry → name → plugin, for stages, samplers and tasks: whose code it was, after a crash."""
    folders: dict[str, str]
    """Plugin → folder of its code, for the same purpose."""
    seconds: dict[str, float]
    """How long the parts of the start took."""


def error_data(error: GessoError) -> dict[str, Any]:
    """An error as a frame's fields."""
    return {"type": type(error).__name__, "message": str(error), "hint": error.hint}


def error_from(data: dict[str, Any]) -> GessoError:
    """The error the other process raised: of gesso's own class where it was one, with the same text."""
    kind = getattr(gesso.errors, str(data.get("type", "")), GessoError)
    kind = kind if isinstance(kind, type) and issubclass(kind, GessoError) else GessoError
    error = kind.__new__(kind)  # their constructors differ; the finished text is all that matters here
    error.args, error.hint = (str(data.get("message", "")),), str(data.get("hint", ""))
    return error
