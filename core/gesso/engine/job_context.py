"""What any job may use, a generation or a task: its models and files, and how it tells what it does. Torch-free."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gesso.engine.control import Control
from gesso.params import Params
from gesso.types import Job, ModelRef, Request

if TYPE_CHECKING:
    from pathlib import Path

    from gesso.engine.blobs import Blobs
    from gesso.models.library import Library
    from gesso.models.model import Model
    from gesso.models.readers import WeightReader
    from gesso.models.residency import Residency
    from gesso.plugins.host import Host

T = TypeVar("T")
P = TypeVar("P", bound=Params)


class StashKey(Generic[T]):
    """A typed key for a plugin's own data on a run (pytest's StashKey)."""


class JobContext:
    """The part of a running job's context that does not depend on what kind of job it is."""

    def __init__(
        self,
        job: Job,
        *,
        host: Host,
        blobs: Blobs,
        residency: Residency,
        emit: Callable[[str, dict[str, Any]], None],
        control: Control,
    ) -> None:
        self.job, self.host, self.blobs, self.control = job, host, blobs, control
        self._residency, self._emit = residency, emit
        self.stash: dict[StashKey[Any], Any] = {}
        self.resources = ExitStack()
        """Closed when the job ends, however it ends."""

    # --- what was asked ---------------------------------------------------------------------------------------

    @property
    def request(self) -> Request:
        return self.job.request

    def params(self, name: str, record: type[P]) -> P:
        """The validated record of a feature; its defaults when the request says nothing."""
        return record.parse(self.request.params.get(name, {}), where=name)

    @property
    def cancelled(self) -> bool:
        """The job is to be dropped."""
        return self.control.cancelled

    # --- models and files -------------------------------------------------------------------------------------

    def acquire(self, ref: ModelRef) -> Model:
        """The loaded model; held until the end of the job or until `release`."""
        given = self.job.components if ref == self.job.model else {}
        model = self._residency.acquire(ref, self.progress, given)
        self.resources.callback(self._residency.release, ref)
        return model

    def release(self, ref: ModelRef) -> None:
        """The model may be unloaded when memory is wanted, before the job ends."""
        self._residency.release(ref)

    @property
    def library(self) -> Library:
        """The models a person has: `find(name, role)`, `header(path)`, `hash(entry, progress)`."""
        return self._residency.library

    def open_weights(self, path: Path) -> WeightReader:
        """The tensors of a weight file, one at a time, with the reader a plugin has for it; closed when the job ends.

        BadFileError: it is no weight file, or one of a kind nobody here can read.
        """
        from gesso.models.readers import open_weights

        reader = open_weights(path, self.library.header(path), self.host)
        self.resources.callback(reader.close)
        return reader

    # --- telling ----------------------------------------------------------------------------------------------

    def emit(self, kind: str, **data: Any) -> None:
        """Send a job event ("progress", "metric", "warning", …)."""
        self._emit(kind, data)

    def progress(self, stage: str, done: int, total: int) -> None:
        """How far a stage is; raises when the job is cancelled."""
        self.control.check()
        self._emit("progress", {"stage": stage, "done": done, "total": total})

    def metric(self, name: str, value: float, unit: str) -> None:
        """A measured value of this job."""
        self._emit("metric", {"name": name, "value": value, "unit": unit})
