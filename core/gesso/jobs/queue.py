"""The durable queue: jobs are here from the moment they are accepted until a person deletes them."""

from __future__ import annotations

import graphlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, cast

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from gesso.errors import InvalidInputError, UnknownNameError
from gesso.jobs.claims import Claims
from gesso.jobs.records import (
    ENDED,
    FULFILLED,
    STATES,
    Claim,
    JobRecord,
    JobState,
    Limits,
    QueueState,
    Run,
    StageProgress,
    StaleClaimError,
    StoredArtifact,
    Wishes,
)  # fmt: skip
from gesso.jobs.transitions import (
    CHUNK,
    DEPENDENCY,
    clean,
    count_by_state,
    end_job,
    end_jobs,
    fail_dependents,
    file_hashes,
    in_queue_order,
    record_of,
    store_event,
    take_positions,
    tell,
)  # fmt: skip
from gesso.store.schema import (
    ArtifactRow,
    DependencyRow,
    EventRow,
    InputRow,
    JobRow,
    QueueRow,
    RunRow,
    StageRow,
)  # fmt: skip
from gesso.types import Artifact, FileRef, Job, JobEvent

__all__ = [
    "Claim", "JobQueue", "JobRecord", "JobState", "Limits", "QueueState", "Run", "StageProgress", "StaleClaimError",
    "StoredArtifact", "Wishes",
]  # fmt: skip
POLL_S = 0.5
"""How often a waiter looks for changes that another process made."""
FOLLOW_S = 0.25
log = logging.getLogger(__name__)
Listener = Callable[[JobEvent], None]


class JobQueue(Claims):
    """Jobs, their order and their results, in the store. Safe from any thread and from several processes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._listeners: list[Listener] = []
        self._wakers: list[threading.Event] = []

    # --- listening --------------------------------------------------------------------------------------------

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event this process causes, in order, after it is stored; returns what ends that.

        Progress and previews are not stored: they carry the number of the newest stored event. To resume, ask
        `events_since` with the highest number seen.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, event: JobEvent) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                log.exception("a listener of the queue failed")
        if event.kind == "state":
            self.wake()

    def add_waker(self, waker: threading.Event) -> Callable[[], None]:
        """Set `waker` whenever something may have to be done; returns what ends that."""
        self._wakers.append(waker)
        return lambda: self._wakers.remove(waker)

    def wake(self) -> None:
        for waker in tuple(self._wakers):
            waker.set()

    # --- submitting -------------------------------------------------------------------------------------------

    def submit(self, job: Job, *, priority: int = 0) -> str:
        """Accept a job; it is on the disk when this returns its id. Submitting an id again changes nothing."""
        return self.submit_many([job], priority=priority)[0]

    def submit_many(self, jobs: Sequence[Job], *, priority: int = 0) -> list[str]:
        """Accept all or none, in this order. InvalidInputError: bad dependencies. BadFileError: missing inputs."""
        try:
            graphlib.TopologicalSorter({job.id: job.depends_on for job in jobs}).prepare()
        except graphlib.CycleError as error:
            raise InvalidInputError(f"These jobs wait for each other: {', '.join(error.args[1])}.") from None
        self._change(lambda session: self._submit(session, jobs, priority))
        return [job.id for job in jobs]

    def _submit(self, session: Session, jobs: Sequence[Job], priority: int) -> None:
        now = self.clock()
        positions = take_positions(session, len(jobs))
        there = self._states(session, [job.id for job in jobs])
        new = [(job, position) for job, position in zip(jobs, positions, strict=True) if job.id not in there]
        session.add_all(_row_of(job, priority, position) for job, position in new)
        session.flush()
        needs = self._states(session, [need for job, _ in new for need in job.depends_on])
        for job, _ in new:
            self._link(session, job, needs)
            store_event(session, JobEvent(job=job.id, kind="state", seq=0, time=now, data={"state": "queued"}))
        hopeless = set(ENDED) - set(FULFILLED)
        fail_dependents(session, [need for need, state in needs.items() if state in hopeless], now)

    @staticmethod
    def _states(session: Session, jobs: Sequence[str]) -> dict[str, str]:
        """The states of those jobs that there are."""
        found: dict[str, str] = {}
        for start in range(0, len(jobs), CHUNK):
            part = select(JobRow.id, JobRow.state).where(JobRow.id.in_(jobs[start : start + CHUNK]))
            found |= {row[0]: row[1] for row in session.execute(part)}
        return found

    def _link(self, session: Session, job: Job, known: Collection[str]) -> None:
        """Dependencies and input files of a new job."""
        if unknown := set(job.depends_on) - set(known):
            raise InvalidInputError(f"The job depends on {min(unknown)}, which is no job here.")
        session.add_all(DependencyRow(job=job.id, needs=need) for need in set(job.depends_on))
        found = file_hashes(job.request.model_dump(mode="json"))
        refs = {ref["sha256"]: FileRef.model_validate(ref) for ref in found}
        self.store.files.refer(session, refs.values())
        session.add_all(InputRow(job=job.id, sha256=sha256) for sha256 in refs)

    # --- reading ----------------------------------------------------------------------------------------------

    def get(self, job: str) -> JobRecord:
        """The job and its state. UnknownNameError when there is none of that id."""
        return record_of(self.store.database.read(lambda session: self._row(session, job)))

    def jobs(
        self, *states: JobState, owner: str | None = None, parent: str | None = None, kind: str = "", limit: int = 1000,
        newest_first: bool = False,
    ) -> list[JobRecord]:  # fmt: skip
        """Jobs in these states (none given: all) in the order they will run, or newest first.

        `kind` is "generate" or "task"; "" is both.
        """
        query = select(JobRow)
        if states:
            query = query.where(JobRow.state.in_(states))
        if owner is not None:
            query = query.where(JobRow.owner == owner)
        if parent is not None:
            query = query.where(JobRow.parent == parent)
        if kind:
            query = query.where(JobRow.kind == kind)
        query = query.order_by(JobRow.created.desc(), JobRow.id) if newest_first else in_queue_order(query)
        rows = self.store.database.read(lambda session: session.scalars(query.limit(limit)).all())
        return [record_of(row) for row in rows]

    def state(self) -> QueueState:
        """Paused or not, and how many jobs are in which state."""

        def work(session: Session) -> QueueState:
            row, counts = session.get_one(QueueRow, 1), count_by_state(session)
            return QueueState(row.paused, row.reason, {state: counts.get(state, 0) for state in STATES})

        return self.store.database.read(work)

    def events_since(self, job: str, seq: int = -1, limit: int = 10_000) -> Sequence[JobEvent]:
        """Stored events with a number above `seq`, oldest first."""
        query = select(EventRow).where(EventRow.job == job, EventRow.seq > seq).order_by(EventRow.seq).limit(limit)
        rows = self.store.database.read(lambda session: session.scalars(query).all())
        return [
            JobEvent(job=row.job, kind=cast(Any, row.kind), seq=row.seq, time=row.time, data=row.data) for row in rows
        ]

    def artifacts(self, job: str) -> Sequence[StoredArtifact]:
        """What the job made so far, in order. Complete batches only."""
        query = select(ArtifactRow).where(ArtifactRow.job == job).order_by(ArtifactRow.index, ArtifactRow.part)
        return [_artifact_of(row) for row in self.store.database.read(lambda s: s.scalars(query).all())]

    def stages(self, job: str) -> Sequence[StageProgress]:
        """How far each stage is, latest change last."""
        query = select(StageRow).where(StageRow.job == job).order_by(StageRow.updated, StageRow.stage)
        rows = self.store.database.read(lambda session: session.scalars(query).all())
        return [StageProgress(r.stage, r.done, r.total, r.seconds, r.updated) for r in rows]

    def follow(self, job: str, seq: int = -1, *, look: Callable[[], object] | None = None) -> Iterator[JobEvent]:
        """Events above `seq` as they come, progress among them, until the job has ended. From any process.

        Progress comes from the store here, a few times a second, and carries the number of the event before it. `look`
        is called as often; what it raises ends this.
        """
        seen: dict[str, StageProgress] = {}
        changed = threading.Event()
        remove = self.add_waker(changed)
        try:
            while True:
                changed.clear()
                ended = self.get(job).ended  # asked before the events, so that the last ones are not missed
                for event in self.events_since(job, seq):
                    seq = event.seq
                    yield event
                for stage in self.stages(job):
                    if seen.get(stage.stage) != stage and stage.total:
                        data = {"stage": stage.stage, "done": stage.done, "total": stage.total}
                        yield JobEvent(job=job, kind="progress", seq=max(seq, 0), time=stage.updated, data=data)
                    seen[stage.stage] = stage
                if ended:
                    return
                if look is not None:
                    look()
                changed.wait(FOLLOW_S)
        finally:
            remove()

    def wait(self, job: str, timeout: float | None = None) -> JobRecord:
        """Block until the job has ended, or for `timeout` seconds; the record then."""
        end = None if timeout is None else time.monotonic() + timeout
        changed = threading.Event()
        remove = self.add_waker(changed)
        try:
            while True:
                changed.clear()
                record = self.get(job)
                left = POLL_S if end is None else min(POLL_S, end - time.monotonic())
                if record.ended or left <= 0:
                    return record
                changed.wait(left)
        finally:
            remove()

    @staticmethod
    def _row(session: Session, job: str) -> JobRow:
        row = session.get(JobRow, job)
        if row is None:
            raise UnknownNameError("job", job, [])
        return row

    # --- order ------------------------------------------------------------------------------------------------

    def set_priority(self, job: str, priority: int) -> None:
        """Higher goes first; the default is 0. Only for queued jobs."""
        self._change(lambda session: self._place(session, job, priority=priority))

    def move(self, job: str, *, before: str = "", after: str = "", to: str = "") -> None:
        """Move a queued job beside another (and to its priority), or `to` the "top" or "bottom" of its own."""
        if sum(map(bool, (before, after, to))) != 1 or to not in ("", "top", "bottom"):
            raise InvalidInputError('Say one of before=<job>, after=<job>, to="top", to="bottom".')

        def work(session: Session) -> None:
            last = take_positions(session, 1)[0]  # also the lock that makes movers wait for each other
            if to == "bottom":
                self._place(session, job, position=last)
            elif to == "top":
                mine = self._row(session, job).priority
                waiting = (JobRow.state == "queued", JobRow.priority == mine)
                first = session.scalar(select(func.min(JobRow.position)).where(*waiting))
                # So far ahead that affinity lets nobody overtake it.
                self._place(session, job, position=(first or last) - self.limits.overtakes - 1)
            elif job not in (before, after):
                self._place_beside(session, job, before or after, 1 if after else 0)

        self._change(work)
        self.wake()

    def _place_beside(self, session: Session, job: str, other: str, offset: int) -> None:
        there = self._queued(session, other)
        position, priority = there.position + offset, there.priority
        later = update(JobRow).where(JobRow.state == "queued", JobRow.position >= position)
        session.execute(later.values(position=JobRow.position + 1))
        self._place(session, job, position=position, priority=priority)

    def _place(self, session: Session, job: str, **values: int) -> None:
        """Change order fields of a queued job in one statement: a claim at this moment wins or loses cleanly."""
        statement = update(JobRow).where(JobRow.id == job, JobRow.state == "queued").values(**values)
        if session.execute(statement.returning(JobRow.id)).first() is None:
            self._queued(session, job)

    def _queued(self, session: Session, job: str) -> JobRow:
        row = self._row(session, job)
        if row.state != "queued":
            raise InvalidInputError(f"The job {job[:8]} is {row.state}; only queued jobs have a place in the queue.")
        return row

    def pause(self, reason: str = "") -> None:
        """No job is begun any more; running ones go on."""
        self._set_paused(True, reason)

    def resume(self) -> None:
        self._set_paused(False, "")

    def _set_paused(self, paused: bool, reason: str) -> None:
        statement = update(QueueRow).where(QueueRow.id == 1).values(paused=paused, reason=clean(reason))
        self._change(lambda session: session.execute(statement))
        self.wake()

    # --- stopping, trying again, deleting ---------------------------------------------------------------------

    def cancel(self, job: str) -> JobState:
        """Drop a job and its children: at once when queued, within a step when running. The state it is in then."""

        def work(session: Session) -> JobState:
            for child in session.scalars(select(JobRow.id).where(JobRow.parent == job)).all():
                if child != job:
                    self._cancel(session, child)
            return self._cancel(session, job)

        state = self._change(work)
        self.wake()
        return state

    def _cancel(self, session: Session, job: str) -> JobState:
        running = update(JobRow).where(JobRow.id == job, JobRow.state == "running").values(wish="cancel")
        queued = update(JobRow).where(JobRow.id == job, JobRow.state == "queued").values(wish="cancel")
        if session.execute(running.returning(JobRow.id)).first() is not None:
            return "running"
        if session.execute(queued.returning(JobRow.id)).first() is not None:
            end_job(session, job, "cancelled", self.clock())
            return "cancelled"
        return cast(JobState, self._row(session, job).state)

    def cancel_all(self, owner: str | None = None) -> int:
        """Cancel everything queued (of one owner); running jobs go on. How many."""

        def work(session: Session) -> int:
            statement = update(JobRow).where(JobRow.state == "queued").values(wish="cancel").returning(JobRow.id)
            jobs = session.scalars(statement if owner is None else statement.where(JobRow.owner == owner)).all()
            end_jobs(session, dict.fromkeys(jobs, ""), "cancelled", self.clock())
            return len(jobs)

        return self._change(work)

    def interrupt(self, job: str) -> bool:
        """Let a running job end early and keep what is finished; False when it is not running."""
        return self._ask(job, wish="interrupt")

    def skip(self, job: str) -> bool:
        """Let a running job go on with its next picture; False when it is not running."""
        return self._ask(job, skips=JobRow.skips + 1)

    def _ask(self, job: str, **values: Any) -> bool:
        statement = update(JobRow).where(JobRow.id == job, JobRow.state == "running", JobRow.wish != "cancel")
        asked = self._change(lambda s: s.execute(statement.values(**values).returning(JobRow.id)).first() is not None)
        self.wake()
        return asked

    def retry(self, job: str, *, from_start: bool = False) -> None:
        """Queue an ended job and dependents that failed with it. Finished batches are kept unless `from_start`."""

        def work(session: Session) -> None:
            row = self._row(session, job)
            if row.state not in ENDED or (row.state == "done" and not from_start):
                raise InvalidInputError(f"The job {job[:8]} is {row.state}; there is nothing to try again.")
            if from_start:
                self._drop_artifacts(session, job)
                row.made = []
            session.flush()
            self._queue_again(session, [job])

        self._change(work)

    def _queue_again(self, session: Session, jobs: Sequence[str]) -> None:
        now = self.clock()
        while jobs:
            session.execute(
                update(JobRow).where(JobRow.id.in_(jobs)).values(
                    state="queued", finished=None, error="", error_type="", crashes=0, losses=0, wish="",
                    token=JobRow.token + 1,
                )
            )  # fmt: skip
            for job in jobs:
                tell(session, job, "state", {"state": "queued", "again": "retry"}, now)
            needing = select(DependencyRow.job).join(JobRow, JobRow.id == DependencyRow.job)
            failed_too = (DependencyRow.needs.in_(jobs), JobRow.state == "failed", JobRow.error_type == DEPENDENCY)
            jobs = list(session.scalars(needing.where(*failed_too).distinct()))

    def delete(self, job: str) -> None:
        """Forget an ended job and its artifacts; files that nothing else refers to go to the trash a day later."""

        def work(session: Session) -> None:
            if (row := self._row(session, job)).state not in ENDED:
                raise InvalidInputError(f"The job {job[:8]} is {row.state}; cancel it first.")
            self._drop_artifacts(session, job)
            inputs = session.scalars(delete(InputRow).where(InputRow.job == job).returning(InputRow.sha256)).all()
            self.store.files.release(session, inputs)
            session.execute(delete(JobRow).where(JobRow.id == job))

        self._change(work)

    def _drop_artifacts(self, session: Session, job: str) -> None:
        gone = session.scalars(delete(ArtifactRow).where(ArtifactRow.job == job).returning(ArtifactRow.sha256)).all()
        self.store.files.release(session, gone)

    # --- files for people -------------------------------------------------------------------------------------

    def unwritten(self) -> Sequence[StoredArtifact]:
        """Artifacts whose file for people is not written yet, oldest first."""
        query = select(ArtifactRow).where(ArtifactRow.written.is_(False)).order_by(ArtifactRow.id)
        return [_artifact_of(row) for row in self.store.database.read(lambda s: s.scalars(query).all())]

    def promise_path(self, artifact: int, path: str) -> None:
        """Store where the artifact will be written, before it is."""
        self._set_artifact(artifact, path=path, written=False)

    def mark_written(self, artifact: int) -> None:
        self._set_artifact(artifact, written=True)

    def _set_artifact(self, artifact: int, **values: Any) -> None:
        statement = update(ArtifactRow).where(ArtifactRow.id == artifact).values(**values)
        self._change(lambda session: session.execute(statement))

    def runs(self, job: str) -> Sequence[Run]:
        """The attempts at a job, oldest first."""
        query = select(RunRow).where(RunRow.job == job).order_by(RunRow.token)
        rows = self.store.database.read(lambda session: session.scalars(query).all())
        return [Run(row.token, row.worker, row.started, row.ended, row.outcome) for row in rows]


def _row_of(job: Job, priority: int, position: int) -> JobRow:
    return JobRow(
        id=job.id, document=job.model_dump(mode="json", exclude={"done", "made"}), kind=job.kind,
        owner=clean(job.request.owner), parent=job.parent, model_hash=job.model.hash if job.model else "",
        created=job.created, priority=priority, position=position, next_seq=1,
        total=job.request.batch_size * job.request.count,
    )  # fmt: skip


def _artifact_of(row: ArtifactRow) -> StoredArtifact:
    artifact = Artifact(kind=cast(Any, row.kind), file=FileRef(sha256=row.sha256, type=row.type), meta=row.meta)
    return StoredArtifact(row.id, row.job, row.index, artifact, row.created, row.path, row.written)
