"""Files for people: what jobs made, in a dated folder under names that say something.

The store keeps every picture under its hash; these are copies. The name is promised in the database before the file is
written, so that a crash in between is mended at the next start.
"""

from __future__ import annotations

import logging
from pathlib import Path

from gesso.errors import BadFileError, GessoError
from gesso.jobs.queue import JobQueue
from gesso.jobs.records import StoredArtifact
from gesso.outputs.writing import TRIES, OutputWriter, named
from gesso.types import JobEvent

log = logging.getLogger(__name__)


class OutputFiles:
    """Writes each artifact once, where and as its job's settings say."""

    def __init__(self, queue: JobQueue, writer: OutputWriter) -> None:
        self._queue, self._writer = queue, writer

    def event(self, event: JobEvent) -> None:
        """A listener for `JobQueue.subscribe`: writes what the event tells of. A full disk is logged, not raised."""
        if event.kind == "artifact":
            self.mend()

    def mend(self) -> None:
        """Write what is not written yet, from this process or an earlier one; stops at the first that fails."""
        for stored in self._queue.unwritten():
            try:
                self._write(stored)
            except BadFileError as error:  # gone from the store: it will never be written
                log.error("A picture of the job %s cannot be written: %s", stored.job[:8], error)
            except (GessoError, OSError) as error:
                text = "A picture of the job %s could not be written; it is tried again with the next one: %s"
                log.error(text, stored.job[:8], error)
                self._queue.promise_path(stored.id, "")
                return  # a later one must not be given the same free name
            self._queue.mark_written(stored.id)

    def _write(self, stored: StoredArtifact) -> None:
        data = self._queue.store.files.get(stored.artifact.file)
        job = self._queue.get(stored.job).job
        output = named(job, stored.artifact, stored.index, stored.created, lambda: data)
        with self._writer.locked():
            path = Path(stored.path) if stored.path else self._writer.free_path(output)
            for _ in range(TRIES):
                self._queue.promise_path(stored.id, str(path))
                try:
                    self._writer.write(path, data, output)
                    return
                except FileExistsError:  # not ours: a file that came between
                    path = self._writer.free_path(output)
        raise FileExistsError(f"No free name was found beside {path}.")
