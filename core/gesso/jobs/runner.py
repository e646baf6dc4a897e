"""The loop that takes jobs from the queue and hands them to an executor."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeVar

from gesso.engine.control import Control
from gesso.errors import GessoError, JobCancelledError
from gesso.jobs.death import WorkerDiedError, WorkerStartError
from gesso.jobs.executors import Executor
from gesso.jobs.queue import JobQueue
from gesso.jobs.recorder import FLUSH_S, Recorder
from gesso.jobs.records import Claim, JobState, StaleClaimError, Wishes
from gesso.store.errors import StorageError, is_file_fault
from gesso.types import JobEvent

T = TypeVar("T")
IDLE_S = 1.0
"""How often an idle runner looks for jobs that another process submitted."""
STALL_S = (1.0, 15.0)
"""First and longest pause before a store that refused is tried again."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """What a runner does; `message` says why it is stalled."""

    state: Literal["stopped", "idle", "running", "stalled"] = "stopped"
    job: str = ""
    message: str = ""


class QueueRunner:
    """One thread that runs jobs, one after another, and one that keeps their leases."""

    def __init__(
        self,
        queue: JobQueue,
        executor: Executor,
        on_event: Callable[[JobEvent], None] | None = None,
        *,
        worker: str = "local",
        loaded: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """`worker` names this runner in the store. `loaded` tells which models (hashes) the executor has in memory;
        without it the last job's model is taken for loaded."""
        self.queue, self.executor, self.worker = queue, executor, worker
        self.status = RunnerStatus()
        self._loaded, self._last_model = loaded, ""
        self._stop, self._wake = threading.Event(), threading.Event()
        self._remove_waker = queue.add_waker(self._wake)
        self._unsubscribe = queue.subscribe(on_event) if on_event else lambda: None
        self._thread: threading.Thread | None = None
        self._current: tuple[Claim, Control] | None = None

    # --- start and stop ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name=f"queue-{self.worker}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float | None = 30.0) -> None:
        """Take no further job; the running one is stopped and goes back to the queue, its finished batches are kept."""
        self._stop.set()
        self._wake.set()
        if current := self._current:
            current[1].cancel()
        if self._thread is not None:
            self._thread.join(timeout)
        self._remove_waker()
        self._unsubscribe()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                busy = self.run_one()
            except StorageError:
                busy = False  # stopped while the store refused; the lease brings the job back
            except Exception:
                log.exception("the queue's runner failed; it goes on")
                busy = False
            if not busy:
                self._wake.wait(IDLE_S)
        self.status = RunnerStatus("stopped")

    # --- one job ----------------------------------------------------------------------------------------------

    def run_one(self) -> bool:
        """Claim and run the next job; False when none is ready."""
        loaded = self._loaded() if self._loaded else [self._last_model] if self._last_model else []
        claim = self._insist(lambda: self.queue.claim(self.worker, loaded))
        if claim is None:
            self.status = RunnerStatus("idle")
            return False
        self.status = RunnerStatus("running", claim.job.id)
        self._last_model = claim.job.model.hash if claim.job.model else ""
        try:
            self._run(claim)
        except StaleClaimError as error:
            log.warning("%s", error)
        return True

    def _run(self, claim: Claim) -> None:
        request = claim.job.request
        recorder, control = Recorder(self.queue, claim, self.executor.blobs), Control()
        everything = range(request.batch_size * request.count)
        if recorder.made.issuperset(everything):
            self._insist(lambda: recorder.finish("done"))  # an earlier attempt died just before it could say so
            return
        self._current = claim, control
        keeper = _Keeper(self.queue, claim, control, recorder)
        keeper.start()
        try:
            self.executor.run(claim.job, recorder.emit, control)
            problem: BaseException | None = None
        except Exception as error:
            problem = error
        finally:
            keeper.stop()
            self._current = None
        self._end(claim, recorder, control, problem)

    def _end(self, claim: Claim, recorder: Recorder, control: Control, problem: BaseException | None) -> None:
        """Store how it ended. The store may refuse for a while: the result is kept and tried again."""
        if recorder.stale:
            return
        recorder.flush(over=problem is None)
        problem = problem or recorder.broken
        if problem is None:
            # An interrupt that came after the last picture has changed nothing.
            everything = range(claim.job.request.batch_size * claim.job.request.count)
            cut = control.interrupted and not recorder.made.issuperset(everything)
            state: JobState = "interrupted" if cut else "done"
            self._insist(lambda: recorder.finish(state))
            return
        wish = self._insist(lambda: self.queue.wishes(claim)).wish
        if wish == "cancel":
            self._insist(lambda: recorder.finish("cancelled"))
        elif self._stop.is_set() and isinstance(problem, JobCancelledError):
            self._insist(lambda: self.queue.release(claim, "The program ended while it ran the job."))
        elif is_file_fault(problem) and (why := self._disk_trouble()):
            log.error("the result of job %s cannot be kept: %s", claim.job.id[:8], why)
            self._insist(lambda: self.queue.release(claim, str(why)))
            self._insist(self.queue.store.files.check_writable)  # nothing is begun before the disk takes files again
        elif isinstance(problem, WorkerStartError):
            # No worker, no job: every other one would fail in the same way.
            log.error("the queue is paused: %s", problem)
            self._insist(lambda: self.queue.release(claim, str(problem)))
            self._insist(lambda: self.queue.pause(str(problem)))
        elif isinstance(problem, WorkerDiedError) and problem.retry:
            self._insist(lambda: self.queue.crashed(claim, str(problem)))
        else:
            if not isinstance(problem, GessoError):
                log.error("the executor failed", exc_info=problem)
            kind = str(recorder.error.get("type") or type(problem).__name__)
            text = str(problem) or type(problem).__name__
            self._insist(lambda: recorder.finish("failed", error=text, error_type=kind))

    # --- when the store refuses -------------------------------------------------------------------------------

    def _insist(self, work: Callable[[], T]) -> T:
        """Do it; as long as disk or database refuse, say so in `status`, wait and try again. Raises when stopped."""
        pause, before = STALL_S[0], self.status
        while True:
            try:
                result = work()
            except StorageError as error:
                if self.status.message != str(error):
                    log.error("the queue stands still: %s", error)
                self.status = RunnerStatus("stalled", before.job, str(error))
                if self._stop.wait(pause):
                    raise
                pause = min(pause * 2, STALL_S[1])
            else:
                self.status = before
                return result

    def _disk_trouble(self) -> StorageError | None:
        """Why the disk takes no files now; None when it does, so that a job cannot go round for ever."""
        try:
            self.queue.store.files.check_writable()
        except StorageError as error:
            return error
        return None


class _Keeper(threading.Thread):
    """Renews the lease, passes on what people ask of the job, and stores events that wait."""

    def __init__(self, queue: JobQueue, claim: Claim, control: Control, recorder: Recorder) -> None:
        super().__init__(name="queue-keeper", daemon=True)
        self._queue, self._claim, self._control, self._recorder = queue, claim, control, recorder
        self._skips = claim.skips
        self._halt, self._wake = threading.Event(), threading.Event()

    def run(self) -> None:
        remove = self._queue.add_waker(self._wake)
        beat = time.monotonic()
        try:
            while not self._halt.is_set():
                self._wake.wait(FLUSH_S)
                self._wake.clear()
                self._recorder.flush()
                due = time.monotonic() - beat >= self._queue.lease_s / 3
                beat = time.monotonic() if due else beat
                self._look(renew=due)
        finally:
            remove()

    def _look(self, *, renew: bool) -> None:
        try:
            wishes = self._queue.heartbeat(self._claim) if renew else self._queue.wishes(self._claim)
        except StaleClaimError:
            self._recorder.stale = True
            self._control.cancel()
        except StorageError as error:
            log.warning("the lease of job %s cannot be renewed: %s", self._claim.job.id[:8], error)
        else:
            self._pass_on(wishes)

    def _pass_on(self, wishes: Wishes) -> None:
        if wishes.wish == "cancel":
            self._control.cancel()
        elif wishes.wish == "interrupt":
            self._control.interrupt()
        if wishes.skips > self._skips:
            self._skips = wishes.skips
            self._control.skip()

    def stop(self) -> None:
        self._halt.set()
        self._wake.set()
        self.join()
