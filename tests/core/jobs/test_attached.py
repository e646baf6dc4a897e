"""A program that is not the host: its jobs go through the host's queue."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gesso.engine.control import Control
from gesso.errors import GessoError, JobCancelledError
from gesso.jobs.attached import AttachedExecutor
from gesso.jobs.lock import HostLock
from gesso.jobs.queue import JobQueue
from gesso.jobs.runner import QueueRunner
from gesso.store import Store
from gesso.types import Artifact, JobEvent


class Painter:
    """One artifact per index; waits before the second until it is told to stop."""

    def __init__(self, store: Store) -> None:
        self.blobs, self.waits, self.waiting = store.files, False, threading.Event()

    def run(self, job, emit, control=None):
        if job.request.prompt == "bad":
            raise GessoError("No such thing.")
        for index in range(job.request.count):
            while self.waits and index and not (control.cancelled or control.interrupted or control.skipped):
                self.waiting.set()
                threading.Event().wait(0.01)
            control.check()
            if control.interrupted:
                break
            emit(JobEvent(job=job.id, kind="progress", data={"stage": "sample", "done": 1, "total": 1}))
            artifact = Artifact(kind="image", file=self.blobs.put(bytes([index]), "image/png"))
            emit(JobEvent(job=job.id, kind="artifact", data={"artifact": artifact.model_dump(), "index": index}))
            emit(JobEvent(job=job.id, kind="progress", data={"stage": "batch", "finished": [index]}))
        return []

    def close(self) -> None:
        pass


@pytest.fixture
def painter(store) -> Iterator[Painter]:
    """The host: the lock is held and a runner works on a queue of its own, as in another process."""
    made = Painter(store)
    with HostLock(store.home).acquire():
        runner = QueueRunner(JobQueue(store), made)
        runner.start()
        yield made
        runner.stop()


@pytest.fixture
def attached(store, painter) -> AttachedExecutor:
    return AttachedExecutor(store)


def test_a_job_runs_at_the_host(attached, make_job):
    events: list[JobEvent] = []
    artifacts = attached.run(make_job(count=2), events.append)
    assert [attached.blobs.get(artifact.file) for artifact in artifacts] == [b"\0", b"\1"]
    stored = [event for event in events if event.kind != "progress"]
    assert [event.seq for event in stored] == list(range(len(stored)))
    assert [e.data["state"] for e in stored if e.kind == "state"] == ["queued", "running", "done"]
    assert any(event.kind == "progress" and event.data["stage"] == "sample" for event in events)


def test_errors_come_back(attached, make_job):
    with pytest.raises(GessoError, match="No such thing"):
        attached.run(make_job(prompt="bad"), lambda event: None)


@pytest.mark.parametrize("ask", ["interrupt", "cancel", "skip"])
def test_what_a_person_asks_goes_to_the_host(attached, painter, make_job, ask):
    painter.waits, control = True, Control()

    def when_it_waits() -> None:
        painter.waiting.wait(60)
        getattr(control, ask)()

    threading.Thread(target=when_it_waits).start()
    if ask == "cancel":
        with pytest.raises(JobCancelledError):
            attached.run(make_job(count=2), lambda event: None, control)
    else:
        artifacts = attached.run(make_job(count=2), lambda event: None, control)
        assert len(artifacts) == (1 if ask == "interrupt" else 2)


def test_a_host_that_ends_is_noticed_and_the_job_kept(store, make_job):
    attached, job = AttachedExecutor(store), make_job()
    with pytest.raises(GessoError, match="goes on with the next"):
        attached.run(job, lambda event: None)
    assert attached.queue.get(job.id).state == "queued"
