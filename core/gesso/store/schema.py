"""The tables. Jobs (what was asked), runs (each attempt at it) and artifacts (what came of it) stand apart."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Double, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "0002"
"""The newest migration. Kept here so that a start on a current database need not import Alembic (a second of it)."""

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
ID = String(32)
HASH = String(64)
BIG = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; SQLite numbers rows by itself only where the type is INTEGER."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {float: Double, dict[str, Any]: JSON, list[int]: JSON}  # noqa: RUF012 - SQLAlchemy's way


class QueueRow(Base):
    """One row: the state of the whole queue. Its update serialises submitters, which keeps positions in order."""

    __tablename__ = "queue"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    paused: Mapped[bool] = mapped_column(Boolean, default=False)
    reason: Mapped[str] = mapped_column(Text, default="")
    next_position: Mapped[int] = mapped_column(BigInteger, default=1)


class JobRow(Base):
    """A job: the request as resolved JSON, its place in the queue, who works on it, how it ended."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(ID, primary_key=True)
    document: Mapped[dict[str, Any]]
    """`Job.model_dump(mode="json")`."""
    kind: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(Text, default="")
    parent: Mapped[str | None] = mapped_column(ID, index=True)
    model_hash: Mapped[str] = mapped_column(Text, default="")
    """What affinity goes by."""
    created: Mapped[float]

    state: Mapped[str] = mapped_column(String(16), default="queued")
    priority: Mapped[int] = mapped_column(Integer, default=0)
    position: Mapped[int] = mapped_column(BigInteger)
    wish: Mapped[str] = mapped_column(String(16), default="")
    """What a person wants of the running job: "", "interrupt", "cancel"."""
    skips: Mapped[int] = mapped_column(Integer, default=0)
    """How often "skip" was pressed."""

    token: Mapped[int] = mapped_column(BigInteger, default=0)
    """The fencing token: grows whenever the job changes hands; writes that carry an older one are refused."""
    worker: Mapped[str] = mapped_column(Text, default="")
    lease_until: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    crashes: Mapped[int] = mapped_column(Integer, default=0)
    """Worker deaths since the last finished batch."""
    losses: Mapped[int] = mapped_column(Integer, default=0)
    """Host deaths and lost leases since the last finished batch."""

    started: Mapped[float | None]
    finished: Mapped[float | None]
    error_type: Mapped[str] = mapped_column(Text, default="")
    error: Mapped[str] = mapped_column(Text, default="")
    made: Mapped[list[int]] = mapped_column(JSON, default=list)
    """Indices whose batch is finished (or was skipped): a later attempt leaves them out."""
    total: Mapped[int] = mapped_column(Integer, default=0)
    """How many indices there are."""
    next_seq: Mapped[int] = mapped_column(BigInteger, default=0)

    __table_args__ = (Index(None, "state", priority.desc(), "position"), Index(None, "created"))


class DependencyRow(Base):
    """`job` waits for `needs`."""

    __tablename__ = "dependencies"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    needs: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True)


class RunRow(Base):
    """One attempt at a job."""

    __tablename__ = "runs"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    token: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    worker: Mapped[str] = mapped_column(Text)
    started: Mapped[float]
    ended: Mapped[float | None]
    outcome: Mapped[str] = mapped_column(String(16), default="")
    """An end state, or crashed (the worker died), lost (the host died), released (not the job's fault)."""


class StageRow(Base):
    """How far each stage of a job is."""

    __tablename__ = "stages"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(String(200), primary_key=True)
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    seconds: Mapped[float] = mapped_column(Double, default=0.0)
    """The time its finished runs took, summed over batches."""
    updated: Mapped[float]


class EventRow(Base):
    """An event a reader may resume from. Progress and previews are told, not kept."""

    __tablename__ = "events"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    time: Mapped[float]
    data: Mapped[dict[str, Any]]


class FileRow(Base):
    """A stored file by content hash, and how many rows refer to it."""

    __tablename__ = "files"
    sha256: Mapped[str] = mapped_column(HASH, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    refs: Mapped[int] = mapped_column(Integer, default=0)
    touched: Mapped[float]
    """When it was last stored or referred to."""
    missing: Mapped[bool] = mapped_column(Boolean, default=False)
    """Set by the repair at start-up: rows refer to it, the disk has it no more."""


class ArtifactRow(Base):
    """Something a job made. (job, index, part) is unique: nothing is there twice."""

    __tablename__ = "artifacts"
    id: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=True)
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    index: Mapped[int] = mapped_column(Integer)
    part: Mapped[int] = mapped_column(Integer)
    """0 for an index's first artifact, 1 for its second …"""
    kind: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(ForeignKey("files.sha256"), index=True)
    type: Mapped[str] = mapped_column(Text)
    meta: Mapped[dict[str, Any]]
    token: Mapped[int] = mapped_column(BigInteger)
    """The run that made it."""
    created: Mapped[float] = mapped_column(Double, index=True)
    path: Mapped[str] = mapped_column(Text, default="")
    """Where it is written for people; "" before that is decided."""
    written: Mapped[bool] = mapped_column(Boolean, default=False, index=True)
    """Whether `path` was written: a crash before that is made good at the next start."""

    __table_args__ = (Index(None, "job", "index", "part", unique=True),)


class PictureRow(Base):
    """What the history is searched by: one row for each artifact that is a picture or a grid."""

    __tablename__ = "pictures"
    artifact: Mapped[int] = mapped_column(
        ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    prompt: Mapped[str] = mapped_column(Text)
    """Case-folded, since SQLite's own lower() knows ASCII only."""
    model: Mapped[str] = mapped_column(Text)
    sampler: Mapped[str] = mapped_column(Text)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    created: Mapped[float]
    trashed: Mapped[float | None]
    """When it was put into the trash."""

    __table_args__ = (
        Index(None, "trashed", "created", "artifact"),
        Index(None, "trashed", "model"),
        Index(None, "trashed", "sampler"),
        Index(None, "trashed", "width", "height"),
    )


class InputRow(Base):
    """A stored file that a job's request refers to."""

    __tablename__ = "inputs"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("files.sha256"), primary_key=True, index=True)
