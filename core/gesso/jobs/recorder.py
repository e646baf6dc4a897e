"""Turns what a run tells into what the store keeps: few transactions, nothing told before it is true."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import Any

from gesso.engine.blobs import Blobs
from gesso.jobs.claims import Batch
from gesso.jobs.queue import JobQueue
from gesso.jobs.records import Claim, JobState, StaleClaimError
from gesso.store.errors import StorageError
from gesso.types import Artifact, JobEvent

FLUSH_S = 0.25
"""How long events may wait for a transaction of their own."""
log = logging.getLogger(__name__)


class Recorder:
    """The events of one claim, numbered anew: an executor counts from 0 in each attempt, the store over all of them.

    Artifacts wait for the event that closes their batch, so that a batch is in the store whole or not at all; events
    wait with them. `emit` never raises: an executor in the middle of a job could do nothing about it. Thread-safe.
    """

    def __init__(self, queue: JobQueue, claim: Claim, blobs: Blobs) -> None:
        """`blobs` are where the executor put what it made."""
        self._queue, self._claim, self._blobs, self._lock = queue, claim, blobs, threading.RLock()
        self._stored = claim.seq - 1
        self._open, self._closed = Batch(), Batch()
        self._parts: Counter[int] = Counter()
        self._stages: dict[str, tuple[int, int, float]] = {}
        self._flushed = time.monotonic()
        self.stale = False
        """The job was given to another worker: whatever else comes is dropped."""
        self.trouble: StorageError | None = None
        """Why the last transaction failed; its content is kept and tried again."""
        self.broken: Exception | None = None
        """What the run told cannot be stored, ever: a file that is not there, an event nobody understands."""
        self.made = set(claim.job.done)
        """Indices whose batch is closed."""
        self.error: dict[str, Any] = {}
        """Data of the last "error" event."""

    def emit(self, event: JobEvent) -> None:
        """Take an event of the run."""
        if event.kind == "state":
            return  # the queue itself tells of states, when they are stored
        event = event.model_copy(update={"job": self._claim.job.id})
        with self._lock:
            try:
                if event.kind == "progress":
                    self._progress(event.data)
                elif event.kind != "preview":
                    self._keep(event)
            except Exception as error:
                log.exception("an event of job %s cannot be stored", self._claim.job.id[:8])
                self.broken = self.broken or error
        if event.kind in ("progress", "preview"):
            self._queue.publish(event.model_copy(update={"seq": max(self._stored, 0)}))

    def _progress(self, data: dict[str, Any]) -> None:
        stage, done, total = str(data.get("stage", ""))[:200], int(data.get("done", 0)), int(data.get("total", 0))
        _, _, seconds = self._stages.get(stage, (0, 0, 0.0))
        self._stages[stage] = self._open.stages[stage] = (done, total, seconds)
        if "finished" in data:
            self._open.made += data["finished"]
            self.made.update(data["finished"])
            self._close()
            self.flush()
        else:
            self._flush_if_due()

    def _keep(self, event: JobEvent) -> None:
        data = event.data
        if event.kind == "artifact":
            index = int(data.get("index", 0))
            self._open.artifacts.append((index, self._parts[index], Artifact.model_validate(data["artifact"])))
            self._parts[index] += 1
        elif event.kind == "error":
            self.error = data
        elif event.kind == "stage":
            stage = str(data.get("stage", ""))[:200]
            self._stages[stage] = self._open.stages[stage] = self._stages.get(stage, (0, 0, 0.0))
        elif event.kind == "metric" and str(data.get("name", "")).startswith("stage."):
            stage = str(data["name"]).removeprefix("stage.")[:200]
            done, total, seconds = self._stages.get(stage, (0, 0, 0.0))
            self._stages[stage] = self._open.stages[stage] = (done, total, seconds + float(data.get("value", 0.0)))
        self._open.events.append(event)
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        if not self._open.artifacts:
            self._close()
        if time.monotonic() - self._flushed >= FLUSH_S:
            self.flush()

    def _close(self) -> None:
        """What was told so far may be stored."""
        self._closed.events += self._open.events
        self._closed.stages |= self._open.stages
        self._closed.artifacts += self._open.artifacts
        self._closed.made += self._open.made
        self._open = Batch()

    def flush(self, *, over: bool = False) -> None:
        """Store what may be stored (everything, when the run is over); on trouble it is kept for the next time."""
        with self._lock:
            if over:
                self._close()
            batch = self._closed
            if self.stale or self.broken or not (batch.events or batch.stages or batch.made):
                return
            self._flushed = time.monotonic()
            try:
                self._keep_files(batch)
                self._queue.record(self._claim, self._numbered(batch))
            except StaleClaimError:
                self.stale = True
            except StorageError as error:
                self.trouble = error
                log.warning("events of job %s wait for the store: %s", self._claim.job.id[:8], error)
            except Exception as error:
                self.broken = error
            else:
                self._closed, self.trouble = Batch(), None
                self._stored += len(batch.events)

    def _numbered(self, batch: Batch) -> Batch:
        events = [e.model_copy(update={"seq": self._stored + 1 + i}) for i, e in enumerate(batch.events)]
        return Batch(events, dict(batch.stages), list(batch.artifacts), list(batch.made))

    def _keep_files(self, batch: Batch) -> None:
        """Bring what the executor keeps elsewhere into the store's files."""
        files = self._queue.store.files
        for _, _, artifact in batch.artifacts:
            if not files.has(artifact.file):
                files.put(self._blobs.get(artifact.file), artifact.file.type)

    def finish(self, state: JobState, *, error: str = "", error_type: str = "") -> None:
        """Store what is left together with the final state. Raises StaleClaimError, StorageError: call it again."""
        with self._lock:
            if state not in ("done", "interrupted"):
                _without_artifacts(self._open)  # a batch that was not closed is undone, and so is its mention
            self._close()
            if self.broken:
                _without_artifacts(self._closed)
            self._keep_files(self._closed)
            self._queue.finish(self._claim, state, self._numbered(self._closed), error=error, error_type=error_type)


def _without_artifacts(batch: Batch) -> None:
    batch.events = [event for event in batch.events if event.kind != "artifact"]
    batch.artifacts, batch.made = [], []
