"""The workers' side of the queue: claim, heartbeat, record, finish. Every write carries the claim's token."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, case, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from gesso.jobs.records import FULFILLED, Claim, JobState, Limits, StaleClaimError, Wishes
from gesso.jobs.transitions import clean, end_job, end_run, put_back, store_event, tell
from gesso.store.history import PICTURES, picture_row
from gesso.store.schema import ArtifactRow, DependencyRow, JobRow, QueueRow, RunRow, StageRow
from gesso.store.store import Store
from gesso.types import Artifact, FileRef, Job, JobEvent

T = TypeVar("T")
LEASE_S = 30.0


@dataclass(slots=True)
class Batch:
    """What a run wants written in one transaction."""

    events: list[JobEvent] = field(default_factory=list)
    """Numbered from the claim's `seq` without a gap."""
    stages: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    """Stage → done, total, seconds."""
    artifacts: list[tuple[int, int, Artifact]] = field(default_factory=list)
    """Index, part, artifact."""
    made: list[int] = field(default_factory=list)
    """Indices that are finished with this transaction."""


class Claims:
    """Base of JobQueue: what runners call. Safe from any thread and from several processes."""

    def __init__(
        self,
        store: Store,
        *,
        limits: Limits | None = None,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.limits, self.lease_s, self.clock = store, limits or Limits(), lease_s, clock

    def _change(self, work: Callable[[Session], T]) -> T:
        """Run a write transaction, then publish what it told."""

        def counted(session: Session) -> tuple[T, list[JobEvent]]:
            return work(session), session.info.setdefault("told", [])

        result, told = self.store.database.write(counted)
        for event in told:
            self.publish(event)
        return result

    def publish(self, event: JobEvent) -> None:
        """Tell the listeners; JobQueue has some."""

    # --- taking a job -----------------------------------------------------------------------------------------

    def claim(self, worker: str, loaded: Collection[str] = ()) -> Claim | None:
        """Take the next job for `worker`, or None when nothing is ready. Never given to two callers.

        `loaded` are the hashes of models in that worker's memory: within a priority their jobs go first, past at most
        `limits.overtakes` others. Leases that ran out are put back before.
        """
        while True:
            taken = self._change(lambda session: self._claim(session, worker, loaded))
            if taken is None:
                return None
            row, token = taken
            try:
                job = Job.model_validate({**row["document"], "done": tuple(row["made"])})
                if row["made"]:
                    job = job.model_copy(update={"made": self._made(job.id)})
            except ValidationError as error:
                text = f"This version of gesso cannot read the job: {error.errors()[0]['msg']}."
                self._change(lambda session: end_job(session, row["id"], "failed", self.clock(), error=text))  # noqa: B023
                continue
            return Claim(
                job, token=token, attempt=row["attempts"], worker=worker, seq=row["next_seq"], skips=row["skips"]
            )

    def _made(self, job: str) -> tuple[Artifact, ...]:
        """What earlier attempts at a job made, in order."""
        query = select(ArtifactRow).where(ArtifactRow.job == job).order_by(ArtifactRow.index, ArtifactRow.part)
        rows = self.store.database.read(lambda session: session.scalars(query).all())
        files = [FileRef(sha256=row.sha256, type=row.type) for row in rows]
        return tuple(
            Artifact(kind=cast(Any, row.kind), file=file, meta=row.meta) for row, file in zip(rows, files, strict=True)
        )

    def _claim(self, session: Session, worker: str, loaded: Collection[str]) -> tuple[dict[str, Any], int] | None:
        now = self.clock()
        self._put_back_expired(session, now)
        ready = self._next_ready(loaded)
        if not self.store.database.is_sqlite:
            ready = ready.with_for_update(skip_locked=True, of=JobRow)
        columns = (JobRow.id, JobRow.document, JobRow.made, JobRow.attempts, JobRow.token, JobRow.skips)
        row = session.execute(
            update(JobRow).where(JobRow.id == ready.scalar_subquery(), JobRow.state == "queued").values(
                state="running", worker=clean(worker), lease_until=now + self.lease_s, token=JobRow.token + 1,
                attempts=JobRow.attempts + 1, started=func.coalesce(JobRow.started, now), finished=None, wish="",
                error="", error_type="",
            ).returning(*columns)
        ).first()  # fmt: skip
        if row is None:
            return None
        session.add(RunRow(job=row.id, token=row.token, worker=clean(worker), started=now))
        event = tell(session, row.id, "state", {"state": "running", "attempt": row.attempts}, now)
        return {**row._asdict(), "next_seq": event.seq + 1}, row.token

    def _next_ready(self, loaded: Collection[str]) -> Any:
        """SELECT the id of the job to claim: by priority, then affinity within bounds, then position."""
        ready = self._ready(JobRow)
        order: list[ColumnElement[Any]] = [JobRow.priority.desc()]
        if loaded:
            head = aliased(JobRow)
            first = select(head.position).where(self._ready(head)).order_by(head.priority.desc(), head.position)
            near = JobRow.position <= first.limit(1).scalar_subquery() + self.limits.overtakes
            order.append(case((and_(JobRow.model_hash.in_(loaded), near), 0), else_=1))
        return select(JobRow.id).where(ready).order_by(*order, JobRow.position, JobRow.id).limit(1)

    @staticmethod
    def _ready(job: Any) -> ColumnElement[bool]:
        """Queued, everything it depends on is there, and the queue is not paused."""
        needed = aliased(JobRow)
        waiting = exists().where(
            DependencyRow.job == job.id, needed.id == DependencyRow.needs, needed.state.not_in(FULFILLED)
        )
        return and_(job.state == "queued", ~waiting, ~exists().where(QueueRow.id == 1, QueueRow.paused))

    def _put_back_expired(self, session: Session, now: float) -> None:
        expired = select(JobRow).where(JobRow.state == "running", JobRow.lease_until < now)
        if not self.store.database.is_sqlite:
            expired = expired.with_for_update(skip_locked=True)
        for row in session.scalars(expired).all():
            put_back(session, row, "lost", "Its lease ran out.", self.limits, now)

    def recover(self, host: str = "") -> int:
        """Put back what a dead host's workers were running (their names begin with `host`); how many.

        The caller knows that it is dead, since it holds its lock.
        """

        def work(session: Session) -> int:
            now = self.clock()
            found = select(JobRow).where(JobRow.state == "running", JobRow.worker.startswith(host, autoescape=True))
            rows = session.scalars(found).all()
            for row in rows:
                put_back(session, row, "lost", "", self.limits, now)
            return len(rows)

        return self._change(work)

    # --- while it runs ----------------------------------------------------------------------------------------

    def heartbeat(self, claim: Claim) -> Wishes:
        """Renew the lease; what is asked of the job. StaleClaimError when it was given to another."""

        def work(session: Session) -> Wishes:
            row = self._held(session, claim, lease_until=self.clock() + self.lease_s)
            return Wishes(row.wish, row.skips)

        return self._change(work)

    def wishes(self, claim: Claim) -> Wishes:
        """As `heartbeat`, without the write: for looking often."""

        def work(session: Session) -> Wishes:
            columns = select(JobRow.wish, JobRow.skips)
            row = session.execute(columns.where(*self._holds(claim))).first()
            if row is None:
                raise self._stale(claim)
            return Wishes(row.wish, row.skips)

        return self.store.database.read(work)

    def record(self, claim: Claim, batch: Batch) -> None:
        """Write events, progress and finished artifacts in one transaction. StaleClaimError: nothing was written."""
        self._change(lambda session: self._record(session, claim, batch))

    def _record(self, session: Session, claim: Claim, batch: Batch) -> None:
        now = self.clock()
        values: dict[str, Any] = {"next_seq": JobRow.next_seq + len(batch.events)}
        if batch.made:
            values |= {"crashes": 0, "losses": 0}
        row = self._held(session, claim, **values)
        if batch.made:
            made = sorted({*row.made, *batch.made})
            session.execute(update(JobRow).where(JobRow.id == claim.job.id).values(made=made))
        for event in batch.events:
            store_event(session, event)
        for stage, (done, total, seconds) in sorted(batch.stages.items()):
            values = {"done": done, "total": total, "seconds": seconds, "updated": now}
            insert = self.store.database.upsert(StageRow).values(job=claim.job.id, stage=stage, **values)
            session.execute(insert.on_conflict_do_update(index_elements=["job", "stage"], set_=values))
        self.store.files.refer(session, [artifact.file for _, _, artifact in batch.artifacts])
        for index, part, artifact in batch.artifacts:
            row = ArtifactRow(
                job=claim.job.id, index=index, part=part, kind=artifact.kind, sha256=artifact.file.sha256,
                type=artifact.file.type, meta=artifact.meta, token=claim.token, created=now, path="", written=False,
            )  # fmt: skip
            session.add(row)
            if artifact.kind in PICTURES:
                session.flush()  # gives the row its number
                session.add(picture_row(row, claim.job))
        session.flush()

    # --- how it ends ------------------------------------------------------------------------------------------

    def finish(
        self, claim: Claim, state: JobState, batch: Batch | None = None, *, error: str = "", error_type: str = ""
    ) -> None:
        """Set the final state and write the last batch with it. StaleClaimError: nothing was written."""

        def work(session: Session) -> None:
            now = self.clock()
            self._record(session, claim, batch or Batch())
            end_run(session, claim.job.id, claim.token, state, now)
            end_job(session, claim.job.id, state, now, error=error, error_type=error_type)

        self._change(work)

    def crashed(self, claim: Claim, message: str) -> None:
        """The worker died with the job: try again, or fail it when that happened too often."""
        self._end_without_result(claim, "crashed", message)

    def release(self, claim: Claim, message: str) -> None:
        """Give the job back for a reason that is not its own (a full disk, the host ends)."""
        self._end_without_result(claim, "released", message)

    def _end_without_result(self, claim: Claim, outcome: str, message: str) -> None:
        def work(session: Session) -> None:
            self._held(session, claim, lease_until=None)
            row = session.get_one(JobRow, claim.job.id, populate_existing=True)
            put_back(session, row, outcome, message, self.limits, self.clock())

        self._change(work)

    # --- fencing ----------------------------------------------------------------------------------------------

    @staticmethod
    def _holds(claim: Claim) -> Sequence[ColumnElement[bool]]:
        return JobRow.id == claim.job.id, JobRow.token == claim.token, JobRow.state == "running"

    def _held(self, session: Session, claim: Claim, **values: Any) -> Any:
        """Update the claimed job, which also locks its row; StaleClaimError when its token has moved on."""
        statement = update(JobRow).where(*self._holds(claim)).values(**values)
        row = session.execute(statement.returning(JobRow.wish, JobRow.skips, JobRow.made)).first()
        if row is None:
            raise self._stale(claim)
        return row

    @staticmethod
    def _stale(claim: Claim) -> StaleClaimError:
        return StaleClaimError(f"The job {claim.job.id[:8]} was given to another worker; this result comes too late.")
