"""The service of the process that holds a data folder: durable queue, worker process, progress, files for people."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Self

from gesso.errors import GessoError
from gesso.jobs.lock import HostLock
from gesso.jobs.outputs import OutputFiles
from gesso.jobs.progress import ProgressBoard
from gesso.jobs.protocol import WorkerSettings
from gesso.jobs.queue import JobQueue
from gesso.jobs.records import JobRecord
from gesso.jobs.runner import QueueRunner
from gesso.jobs.tasks import task_job
from gesso.jobs.worker_executor import WorkerExecutor
from gesso.models.hashing import HashingThread
from gesso.paths import Paths
from gesso.plugins.desk import PluginDesk
from gesso.plugins.host import Host
from gesso.plugins.selection import Selection
from gesso.service import Service
from gesso.store import Store
from gesso.store.history import History
from gesso.telemetry import Publisher
from gesso.types import Job, JobEvent

DAY_S = 24 * 3600
if TYPE_CHECKING:
    from gesso.plugins.installs.desk import InstallDesk

log = logging.getLogger(__name__)


class HostService(Service):
    """What page and REST call. Use as a context manager, or call `start` and `close`. Imports no torch."""

    def __init__(self, host: Host, paths: Paths | None = None, *, selection: Selection | None = None) -> None:
        super().__init__(host, paths)
        self.lock = HostLock(self.paths.home)
        self.publisher = Publisher()
        self.queue: JobQueue
        self.progress: ProgressBoard
        self.worker: WorkerExecutor
        self.plugins = PluginDesk(host)
        """What is known of each plugin, here and in the worker, and what can be done about it."""
        self._selection = selection
        self._closers: list[Callable[[], object]] = []
        self._job_of = lru_cache(maxsize=64)(lambda job: self.queue.get(job).job)

    @cached_property
    def hashing(self) -> HashingThread:
        """Computes the hashes of models that have none yet; `hashing.status` tells how far it is."""
        return HashingThread(self.library, lambda: self.mounts.settings().hash_speed * 1e6)

    @cached_property
    def history(self) -> History:
        """The pictures that were made, in the queue's store."""
        return History(self.queue.store)

    @cached_property
    def installs(self) -> InstallDesk:
        """Installs, updates and removals that the page asks for."""
        from gesso.plugins.installs.desk import InstallDesk  # much to import, and seldom wanted

        return InstallDesk(self.paths)

    def start(self) -> Self:
        """Take the data folder, mend what a crash left, start worker and queue.

        AnotherHostError: another process holds the folder. StorageError: it cannot be written.
        """
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        self.lock.acquire()
        self._closers.append(self.lock.release)
        store = Store.open(self.paths.home, self.core_settings.database_url)
        self._closers.append(store.close)
        self.worker = WorkerExecutor(
            self.paths, self.library, self.core_settings, selection=self._selection, blobs=store.files,
            publisher=self.publisher, options=self.settings.section("worker", WorkerSettings),
        )  # fmt: skip
        self._executor = self.worker
        self.plugins = PluginDesk(self.host, self.worker.plugins, self.worker.reset_plugin)
        self._closers.append(self.worker.close)
        self.host.fill()  # before there are threads: what another prints meanwhile would be lost
        self.worker.start()
        self.queue = JobQueue(store)
        recovered = self.queue.recover(self.lock.worker_prefix)
        for problem in self.mounts.problems():
            log.warning("%s", problem)
        if self.mounts.settings().hash_in_background:
            self.hashing.start()
            self._closers.append(self.hashing.stop)
        if days := self.core_settings.trash_days:
            self.history.purge(before=time.time() - days * DAY_S)
        repair = store.files.repair()
        if recovered or repair.missing:
            log.warning("%d jobs of a dead host go on; files that are gone: %s", recovered, repair.missing or "none")
        outputs = OutputFiles(self.queue, self.writer)
        outputs.mend()
        self.progress = ProgressBoard(lambda job: self._job_of(job).request.batch_size)
        for listener in (outputs.event, self.publisher.job_event, self.progress.event, self._tell_plugins):
            self._closers.append(self.queue.subscribe(listener))
        runner = QueueRunner(
            self.queue, self.worker, worker=f"{self.lock.worker_prefix}/local", loaded=self.worker.loaded
        )
        self._closers.append(runner.stop)
        self.runner = runner
        runner.start()

    def _tell_plugins(self, event: JobEvent) -> None:
        if event.kind == "error" and event.data.get("plugin"):
            # The worker died in a plugin's code, and with it what it knew of that.
            error, stage = GessoError(str(event.data["message"])), event.data.get("stage") or "a job"
            self.host.note(str(event.data["plugin"]), error, phase="crash", hook=f"the stage {stage}")
        self.host.emit("gesso_on_job_event", job=self._job_of(event.job), event=event)

    # --- jobs -------------------------------------------------------------------------------------------------

    def submit(self, given: Mapping[str, Any], *, owner: str = "") -> JobRecord:
        """Validate what a person asked for, resolve it and queue it. InvalidInputError says what is wrong with it."""
        self.host.follow()
        job: Job = self.job(self.request({**given, "owner": owner}))
        return self.queue.get(self.queue.submit(job))

    def submit_task(self, name: str, given: Mapping[str, Any], *, owner: str = "") -> JobRecord:
        """As `submit`, for a task: `given` are fields of its record."""
        return self.queue.get(self.queue.submit(task_job(self, name, given, owner=owner)))

    def close(self) -> None:
        """Stop in good order: the running job goes back to the queue and goes on with the next start."""
        while self._closers:
            try:
                self._closers.pop()()
            except Exception:
                log.exception("Something could not be closed in good order.")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
