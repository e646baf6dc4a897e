"""An executor for programs that are not the host: jobs go through the host's queue and run there."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.engine.blobs import Blobs
from gesso.engine.control import Control
from gesso.errors import GessoError, JobCancelledError
from gesso.jobs.lock import HostLock
from gesso.jobs.queue import JobQueue
from gesso.store.store import Store
from gesso.types import Artifact, Job

if TYPE_CHECKING:
    from gesso.jobs.executors import Emit

FILES_TRIES = 100
"""How often, every 50 ms, the host's files are asked for before this process writes its own."""
HOST_S = 2.0
"""How often it is asked whether the host still lives."""


class AttachedExecutor:
    """Submits to the queue of the data folder's host and follows the job. No model is loaded in this process."""

    def __init__(self, store: Store) -> None:
        self.queue = JobQueue(store)
        self.blobs: Blobs = store.files
        self._home, self._looked = store.home, -math.inf

    def run(self, job: Job, emit: Emit, control: Control | None = None) -> list[Artifact]:
        """As `run_job`. GessoError when the job fails, or the host ends; the job then waits for the next host."""
        control, told = control or Control(), Control()
        self.queue.submit(job)
        for event in self.queue.follow(job.id, look=lambda: self._look(job, control, told)):
            emit(event)
        record = self.queue.get(job.id)
        if record.state == "cancelled":
            raise JobCancelledError("The job was cancelled.")
        if record.state == "failed":
            raise GessoError(record.error)
        return [stored.artifact for stored in self.queue.artifacts(job.id)]

    def _look(self, job: Job, control: Control, told: Control) -> None:
        self._forward(job, control, told)
        if time.monotonic() - self._looked > HOST_S:
            self._looked = time.monotonic()
            if HostLock.holder(self._home) is None:
                hint = "The job is kept and goes on with the next `gesso ui`."
                raise GessoError("The gesso that was to run the job has ended.", hint=hint)

    def _forward(self, job: Job, control: Control, told: Control) -> None:
        if control.cancelled and not told.cancelled:
            told.cancel()
            self.queue.cancel(job.id)
        elif control.interrupted and not told.interrupted:
            told.interrupt()
            if not self.queue.interrupt(job.id):  # it has not begun: nothing is finished that could be kept
                self.queue.cancel(job.id)
        if control.skipped:
            control.next_batch()
            self.queue.skip(job.id)

    def files(self, job: Job) -> list[Path]:
        """The files the host wrote for people, once it has written all of them."""
        for _ in range(FILES_TRIES):
            stored = self.queue.artifacts(job.id)
            if all(item.written for item in stored):
                return [Path(item.path) for item in stored]
            time.sleep(0.05)
        return []

    def close(self) -> None:
        self.queue.store.close()
