"""Changes of a job's state and the events that tell of them, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from gesso.jobs.records import FULFILLED, JobRecord, JobState, Limits
from gesso.store.schema import DependencyRow, EventRow, JobRow, QueueRow, RunRow
from gesso.types import EventKind, JobEvent

DEPENDENCY = "DependencyError"
"""error_type of a job that failed because one it depends on did."""


CHUNK = 500
"""Ids in one statement: databases have a limit."""


def tell(session: Session, job: str, kind: EventKind, data: dict[str, Any], now: float) -> JobEvent:
    """Store an event under the job's next number. It is published after the commit."""
    after = session.scalar(
        update(JobRow).where(JobRow.id == job).values(next_seq=JobRow.next_seq + 1).returning(JobRow.next_seq)
    )
    event = JobEvent(job=job, kind=kind, seq=(after or 1) - 1, time=now, data=data)
    store_event(session, event)
    return event


def store_event(session: Session, event: JobEvent) -> None:
    session.add(EventRow(job=event.job, seq=event.seq, kind=event.kind, time=event.time, data=event.data))
    session.info.setdefault("told", []).append(event)


def take_positions(session: Session, count: int) -> range:
    """The next positions at the end of the queue. Submitters wait for each other here, so order is submission order."""
    end = session.scalars(
        update(QueueRow).where(QueueRow.id == 1).values(next_position=QueueRow.next_position + count)
        .returning(QueueRow.next_position)
    ).one()  # fmt: skip
    return range(end - count, end)


def end_job(session: Session, job: str, state: str, now: float, *, error: str = "", error_type: str = "") -> None:
    """Set a job's final state; see `end_jobs`."""
    end_jobs(session, {job: error}, state, now, error_type=error_type)


def end_jobs(session: Session, jobs: Mapping[str, str], state: str, now: float, *, error_type: str = "") -> None:
    """Set the final state of jobs (id → error), tell of it, and fail what depended on those that brought nothing.

    The tokens move on, so that a run that is still under way is refused.
    """
    ids = list(jobs)
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        statement = update(JobRow).where(JobRow.id.in_(part)).values(
            state=state, finished=now, worker="", lease_until=None, wish="", token=JobRow.token + 1,
            error_type=clean(error_type), next_seq=JobRow.next_seq + 1,
        )  # fmt: skip
        seqs = {row.id: row.next_seq - 1 for row in session.execute(statement.returning(JobRow.id, JobRow.next_seq))}
        for job in part:
            error = clean(jobs[job])
            session.execute(update(JobRow).where(JobRow.id == job).values(error=error)) if error else None
            reason = {"message": error} if error else {}
            store_event(
                session, JobEvent(job=job, kind="state", seq=seqs[job], time=now, data={"state": state, **reason})
            )
    if state not in FULFILLED:
        fail_dependents(session, ids, now)


def fail_dependents(session: Session, failed: Sequence[str], now: float) -> None:
    """Fail every queued job that needs one of `failed`, and those that need it, and so on."""
    errors = {}
    for start in range(0, len(failed), CHUNK):
        needing = select(DependencyRow.job, DependencyRow.needs).join(JobRow, JobRow.id == DependencyRow.job)
        hit = needing.where(DependencyRow.needs.in_(failed[start : start + CHUNK]), JobRow.state == "queued")
        for job, needs in session.execute(hit):
            errors[job] = f"The job {needs[:8]}, which this one depends on, was not finished."
    if errors:
        end_jobs(session, errors, "failed", now, error_type=DEPENDENCY)


def end_run(session: Session, job: str, token: int, outcome: str, now: float) -> None:
    session.execute(update(RunRow).where(RunRow.job == job, RunRow.token == token).values(ended=now, outcome=outcome))


def put_back(session: Session, row: JobRow, outcome: str, message: str, limits: Limits, now: float) -> None:
    """A run ended without a result ("crashed", "lost", "released"): queue the job again, or end it at the limit."""
    end_run(session, row.id, row.token, outcome, now)
    crashes, losses = row.crashes + (outcome == "crashed"), row.losses + (outcome == "lost")
    session.execute(update(JobRow).where(JobRow.id == row.id).values(crashes=crashes, losses=losses))
    if row.wish:
        end_job(session, row.id, "cancelled" if row.wish == "cancel" else "interrupted", now)
    elif crashes >= limits.crashes:
        text = f"The job crashed the worker {crashes} times. {message}".strip()
        end_job(session, row.id, "failed", now, error=text, error_type="WorkerDiedError")
    elif losses >= limits.losses:
        text = f"The program ended {losses} times while it ran the job. {message}".strip()
        end_job(session, row.id, "failed", now, error=text, error_type="HostDiedError")
    else:
        session.execute(
            update(JobRow).where(JobRow.id == row.id).values(
                state="queued", worker="", lease_until=None, token=JobRow.token + 1
            )
        )  # fmt: skip
        tell(session, row.id, "state", {"state": "queued", "again": outcome, "message": message}, now)


def clean(text: str) -> str:
    """Text that PostgreSQL takes too: no NUL."""
    return text.replace("\0", "�")


def record_of(row: JobRow) -> JobRecord:
    return JobRecord(
        id=row.id, document=row.document, state=cast(JobState, row.state), priority=row.priority, position=row.position,
        wish=row.wish, owner=row.owner, parent=row.parent, worker=row.worker, attempts=row.attempts,
        crashes=row.crashes, created=row.created, started=row.started, finished=row.finished, error=row.error,
        error_type=row.error_type, made=tuple(row.made), total=row.total, last_seq=row.next_seq - 1,
    )  # fmt: skip


def file_hashes(value: Any) -> Iterable[dict[str, str]]:
    """Every file reference within plain data: objects of exactly `sha256` and `type`."""
    if isinstance(value, dict):
        if set(value) == {"sha256", "type"}:
            yield value
        else:
            for item in value.values():
                yield from file_hashes(item)
    elif isinstance(value, list):
        for item in value:
            yield from file_hashes(item)


def in_queue_order(statement: Select[Any]) -> Select[Any]:
    return statement.order_by(JobRow.priority.desc(), JobRow.position, JobRow.id)


def count_by_state(session: Session) -> dict[str, int]:
    counts = session.execute(select(JobRow.state, func.count()).group_by(JobRow.state))
    return {row[0]: row[1] for row in counts}
