"""Executors: they move a job's arguments to `run_job` and its events back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gesso.engine.blobs import Blobs, MemoryBlobs
from gesso.engine.control import Control
from gesso.settings import CoreSettings
from gesso.types import Artifact, Job, JobEvent

if TYPE_CHECKING:
    from gesso.models.library import Library
    from gesso.models.residency import Residency
    from gesso.plugins.host import Host

Emit = Callable[[JobEvent], None]


class Executor(Protocol):
    """Runs jobs somewhere. `blobs` hold what they made; `files` are those already written for people."""

    blobs: Blobs

    def run(self, job: Job, emit: Emit, control: Control | None = None) -> list[Artifact]: ...
    def files(self, job: Job) -> list[Path]: ...
    def close(self) -> None: ...


class InlineExecutor:
    """Runs jobs in this process, on this thread."""

    def __init__(self, host: Host, library: Library, settings: CoreSettings) -> None:
        self.blobs: Blobs = MemoryBlobs()
        self._host, self._library, self._settings = host, library, settings
        self._residency: Residency | None = None

    @property
    def residency(self) -> Residency:
        """Made on the first job: this imports torch."""
        if self._residency is None:
            from gesso.models.residency import Residency

            s = self._settings
            self._residency = Residency(
                self._host,
                self._library,
                device=s.device,
                dtype=s.dtype,
                operator=s.operator,
                limit=s.models_in_memory,
            )
        return self._residency

    def run(self, job: Job, emit: Emit, control: Control | None = None) -> list[Artifact]:
        from gesso.engine.run import run_job

        return run_job(job, self.blobs, emit, host=self._host, residency=self.residency, control=control)

    def files(self, job: Job) -> list[Path]:
        """None: whoever asked for the job writes its files."""
        return []

    def close(self) -> None:
        if self._residency is not None:
            self._residency.unload()
