"""The loop from queue to executor: results, people's wishes, deaths, storage trouble."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gesso.engine.blobs import MemoryBlobs
from gesso.engine.control import Control
from gesso.errors import GessoError, JobCancelledError
from gesso.jobs.death import Death, WorkerDiedError, WorkerStartError
from gesso.jobs.queue import JobQueue
from gesso.jobs.runner import QueueRunner
from gesso.store.errors import StorageError
from gesso.types import Artifact, Job, JobEvent

PATIENCE = 60.0


class ScriptedExecutor:
    """Makes one artifact per index, as `run_job` tells it; `script` may act before each index."""

    def __init__(self, script: Callable[[Job, int, Control], None] | None = None) -> None:
        self.blobs = MemoryBlobs()
        self.script = script or (lambda job, index, control: None)
        self.rendered: list[tuple[str, int]] = []

    def run(self, job: Job, emit: Callable[[JobEvent], None], control: Control | None = None) -> list[Artifact]:
        assert control is not None

        def tell(kind: Any, **data: Any) -> None:
            emit(JobEvent(job=job.id, kind=kind, data=data))

        total, done = job.request.count, set(job.done)
        tell("stage", stage="load", anchor="load")
        for index in range(total):
            if index in done:
                continue
            self.script(job, index, control)
            if control.cancelled:
                raise JobCancelledError("The job was cancelled.")
            if control.interrupted:
                break
            self.rendered.append((job.id, index))
            tell("progress", stage="sample", done=1, total=1)
            ref = self.blobs.put(f"{job.request.prompt} {index}".encode(), "image/png")
            tell("artifact", artifact=Artifact(kind="image", file=ref).model_dump(), index=index)
            tell("progress", stage="batch", done=index + 1, total=total, finished=[index])
        tell("metric", name="stage.sample", value=0.5, unit="s")
        return []

    def close(self) -> None:
        pass


@pytest.fixture
def start(queue: JobQueue) -> Iterator[Callable[..., QueueRunner]]:
    """Start a runner with an executor; stopped at the end."""
    runners: list[QueueRunner] = []

    def started(executor: Any, **options: Any) -> QueueRunner:
        runners.append(QueueRunner(queue, executor, **options))
        runners[-1].start()
        return runners[-1]

    yield started
    for runner in runners:
        runner.stop()


def died(signal: int = 9) -> WorkerDiedError:
    return WorkerDiedError("The worker process was killed.", Death(-signal))


def test_a_job_goes_through(queue, make_job, start):
    seen: list[JobEvent] = []
    start(ScriptedExecutor(), on_event=seen.append)
    job = queue.submit(make_job(count=3, prompt="p"))
    assert queue.wait(job, PATIENCE).state == "done"
    artifacts = queue.artifacts(job)
    assert [a.index for a in artifacts] == [0, 1, 2]
    assert [queue.store.files.get(a.artifact.file) for a in artifacts] == [b"p 0", b"p 1", b"p 2"]
    assert queue.get(job).made == (0, 1, 2)
    stages = {stage.stage: stage for stage in queue.stages(job)}
    assert (stages["batch"].done, stages["batch"].total) == (3, 3)
    assert stages["sample"].seconds == 0.5
    stored = [event for event in seen if event.kind not in ("progress", "preview")]
    assert stored == queue.events_since(job)
    assert [event.seq for event in stored] == list(range(len(stored)))
    assert sum(event.kind == "progress" for event in seen) == 6


def test_jobs_end_in_order(queue, make_job, start):
    executor = ScriptedExecutor()
    jobs = queue.submit_many([make_job() for _ in range(5)])
    start(executor)
    for job in jobs:
        queue.wait(job, PATIENCE)
    assert [job for job, _ in executor.rendered] == jobs


def test_the_job_is_told_what_is_finished(queue, make_job, start):
    """After a worker's death only the missing pictures are made."""
    deaths = iter([True])

    def die_once(job: Job, index: int, control: Control) -> None:
        if index == 2 and next(deaths, False):
            raise died()

    executor = ScriptedExecutor(die_once)
    start(executor)
    job = queue.submit(make_job(count=4))
    assert queue.wait(job, PATIENCE).state == "done"
    assert [index for _, index in executor.rendered] == [0, 1, 2, 3]
    assert [run.outcome for run in queue.runs(job)] == ["crashed", "done"]
    assert [a.index for a in queue.artifacts(job)] == [0, 1, 2, 3]


def test_a_batch_that_was_not_closed_leaves_nothing(queue, make_job, start):
    """Killed between the artifact and the end of its batch: the artifact is made again and stands there once."""

    class HalfBatch(ScriptedExecutor):
        deaths = 1

        def run(self, job: Job, emit: Any, control: Control | None = None) -> list[Artifact]:
            def cut(event: JobEvent) -> None:
                if self.deaths and "finished" in event.data:
                    self.deaths -= 1
                    raise died()
                emit(event)

            return super().run(job, cut, control)

    start(HalfBatch())
    job = queue.submit(make_job(count=2))
    assert queue.wait(job, PATIENCE).state == "done"
    told = [event.data["index"] for event in queue.events_since(job) if event.kind == "artifact"]
    assert told == [0, 1]
    assert [a.index for a in queue.artifacts(job)] == [0, 1]


def test_a_job_that_kills_every_worker_is_given_up_and_the_next_runs(queue, make_job, start):
    def deadly(job: Job, index: int, control: Control) -> None:
        if job.request.prompt == "deadly":
            raise died()

    start(ScriptedExecutor(deadly))
    bad, good = queue.submit_many([make_job(prompt="deadly"), make_job()])
    assert queue.wait(good, PATIENCE).state == "done"
    record = queue.get(bad)
    assert record.state == "failed"
    assert record.error == "The job crashed the worker 3 times. The worker process was killed."


def test_a_crash_of_the_jobs_own_making_is_not_repeated(queue, make_job, start):
    def segfault(job: Job, index: int, control: Control) -> None:
        raise died(11)

    executor = ScriptedExecutor(segfault)
    start(executor)
    job = queue.submit(make_job())
    record = queue.wait(job, PATIENCE)
    assert (record.state, record.attempts, record.error_type) == ("failed", 1, "WorkerDiedError")


def test_no_worker_pauses_the_queue_and_keeps_the_job(queue, make_job, start):
    def no_worker(job: Job, index: int, control: Control) -> None:
        raise WorkerStartError("The worker cannot be started.", Death(1))

    start(ScriptedExecutor(no_worker))
    job = queue.submit(make_job())
    deadline = time.monotonic() + PATIENCE
    while not queue.state().paused and time.monotonic() < deadline:
        time.sleep(0.02)
    assert queue.state().reason == "The worker cannot be started."
    assert queue.get(job).state == "queued"


@pytest.mark.parametrize("error", [GessoError("No such thing."), ZeroDivisionError("oops")])
def test_an_error_ends_the_job_with_its_words(queue, make_job, start, error):
    def fail(job: Job, index: int, control: Control) -> None:
        raise error

    start(ScriptedExecutor(fail))
    job = queue.submit(make_job())
    record = queue.wait(job, PATIENCE)
    assert (record.state, record.error) == ("failed", str(error))
    assert queue.events_since(job)[-1].data == {"state": "failed", "message": str(error)}


# --- wishes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ask", "state", "kept"), [("interrupt", "interrupted", 1), ("cancel", "cancelled", 1)])
def test_a_running_job_is_stopped(queue, make_job, start, ask, state, kept):
    reached, stopped = threading.Event(), threading.Event()

    def wait_in_the_second(job: Job, index: int, control: Control) -> None:
        if index == 1:
            reached.set()
            while not (control.cancelled or control.interrupted):
                assert not stopped.wait(0.01)

    start(ScriptedExecutor(wait_in_the_second))
    job = queue.submit(make_job(count=5))
    assert reached.wait(PATIENCE)
    getattr(queue, ask)(job)
    assert queue.wait(job, PATIENCE).state == state
    assert len(queue.artifacts(job)) == kept
    stopped.set()


def test_an_interrupt_after_the_last_picture_changes_nothing(queue, make_job, start):
    def interrupt_in_the_last(job: Job, index: int, control: Control) -> None:
        if index == 1:
            queue.interrupt(job.id)

    class Late(ScriptedExecutor):
        def run(self, job: Job, emit: Any, control: Control | None = None) -> list[Artifact]:
            super().run(job, emit, Control())
            assert control is not None
            while not control.interrupted:
                threading.Event().wait(0.01)
            return []

    start(Late(interrupt_in_the_last))
    job = queue.submit(make_job(count=2))
    assert queue.wait(job, PATIENCE).state == "done"


def test_a_wish_of_another_process_arrives(queue, store, make_job, start):
    """Another JobQueue on the same store, as in another process: nobody wakes the runner, it looks."""
    reached = threading.Event()

    def wait(job: Job, index: int, control: Control) -> None:
        reached.set()
        while not control.skipped:
            threading.Event().wait(0.01)

    start(ScriptedExecutor(wait))
    other = JobQueue(store)
    job = other.submit(make_job())
    assert reached.wait(PATIENCE)
    assert other.skip(job)
    assert other.wait(job, PATIENCE).state == "done"


def test_a_runner_that_stops_gives_its_job_back(queue, make_job):
    reached = threading.Event()

    def wait_in_the_second(job: Job, index: int, control: Control) -> None:
        if index == 1:
            reached.set()
            while not control.cancelled:
                threading.Event().wait(0.01)

    first = QueueRunner(queue, ScriptedExecutor(wait_in_the_second))
    first.start()
    job = queue.submit(make_job(count=3))
    assert reached.wait(PATIENCE)
    first.stop()
    assert (queue.get(job).state, first.status.state) == ("queued", "stopped")
    executor = ScriptedExecutor()
    second = QueueRunner(queue, executor)
    assert second.run_one()
    second.stop()
    assert [index for _, index in executor.rendered] == [1, 2]
    assert queue.get(job).state == "done"


def test_a_runner_that_lost_its_job_drops_the_result(queue, make_job, start):
    def lose_it(job: Job, index: int, control: Control) -> None:
        if index == 1:
            queue.recover()
            queue.cancel(job.id)
            while not control.cancelled:
                threading.Event().wait(0.01)

    start(ScriptedExecutor(lose_it))
    job, other = queue.submit_many([make_job(count=3), make_job()])
    assert queue.wait(other, PATIENCE).state == "done"
    assert queue.get(job).state == "cancelled"
    assert [run.outcome for run in queue.runs(job)] == ["lost"]


def test_a_job_that_was_finished_before_a_crash_is_not_run_again(queue, make_job):
    from gesso.jobs.claims import Batch

    job = queue.submit(make_job(count=1))
    claim = queue.claim("dead")
    ref = queue.store.files.put(b"x", "image/png")
    queue.record(claim, Batch(artifacts=[(0, 0, Artifact(kind="image", file=ref))], made=[0]))
    queue.recover("dead")
    executor = ScriptedExecutor()
    QueueRunner(queue, executor).run_one()
    assert queue.get(job).state == "done"
    assert executor.rendered == []


# --- storage trouble ------------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_queue_and_loses_nothing(queue, make_job, start, monkeypatch):
    """The executor cannot store a picture: the job waits, the next one too, until the disk takes files again."""
    full = threading.Event()
    full.set()
    trouble = StorageError("No space left on the disk: here.")

    def on_disk(job: Job, index: int, control: Control) -> None:
        if full.is_set():
            raise trouble

    def check() -> None:
        if full.is_set():
            raise trouble

    monkeypatch.setattr(queue.store.files, "check_writable", check)
    executor = ScriptedExecutor(on_disk)
    runner = start(executor)
    first, second = queue.submit_many([make_job(), make_job()])
    wait_for(lambda: runner.status.state == "stalled")
    assert "No space left" in runner.status.message
    assert [queue.get(job).state for job in (first, second)] == ["queued", "queued"]
    full.clear()
    assert queue.wait(second, PATIENCE).state == "done"
    assert queue.get(first).state == "done"
    assert [run.outcome for run in queue.runs(first)] == ["released", "done"]


def test_a_result_waits_for_a_database_that_refuses(queue, make_job, start, monkeypatch):
    """The job is over, the database is not there: the picture is not made again, it is stored when that works."""
    refuse = threading.Event()
    write = queue.store.database.write

    def refusing(work: Any) -> Any:
        if refuse.is_set():
            raise StorageError("The disk that holds the database is full.")
        return write(work)

    monkeypatch.setattr(queue.store.database, "write", refusing)

    def then_refuse(job: Job, index: int, control: Control) -> None:
        if index == 1:
            refuse.set()

    executor = ScriptedExecutor(then_refuse)
    runner = start(executor)
    job = queue.submit(make_job(count=3))
    wait_for(lambda: runner.status.state == "stalled")
    assert len(executor.rendered) == 3
    refuse.clear()
    assert queue.wait(job, PATIENCE).state == "done"
    assert len(executor.rendered) == 3
    assert [a.index for a in queue.artifacts(job)] == [0, 1, 2]
    events = queue.events_since(job)
    assert [event.seq for event in events] == list(range(len(events)))


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE / 0.05)):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it does not come about")
