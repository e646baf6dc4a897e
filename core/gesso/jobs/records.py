"""What the queue tells about jobs: plain, read-only records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from gesso.errors import GessoError
from gesso.types import Artifact, Job

JobState = Literal["queued", "running", "done", "interrupted", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("done", "interrupted", "failed", "cancelled")
FULFILLED: tuple[JobState, ...] = ("done", "interrupted")
"""States of a dependency that let a dependent begin: what was finished before an interrupt is there to be used."""
STATES: tuple[JobState, ...] = get_args(JobState)


class StaleClaimError(GessoError):
    """The job has changed hands since this claim: what the claim's holder brings comes too late and is refused."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a job may fail to end before it is given up. Both counts begin anew with each finished batch."""

    crashes: int = 3
    """Deaths of the worker while it ran the job."""
    losses: int = 10
    """Deaths of the host, or leases that ran out. More, since a host also dies for reasons that are not the job's."""
    overtakes: int = 8
    """How many jobs whose model is loaded may go before a job whose model is not."""


@dataclass(frozen=True)
class JobRecord:
    """A job with its state."""

    id: str
    document: dict[str, Any]
    """The job as JSON; `job` is the same, validated."""
    state: JobState
    priority: int
    position: int
    """Orders the jobs of one priority; grows with each submission."""
    wish: str
    """What was asked of the running job and is not done yet: "", "interrupt", "cancel"."""
    owner: str
    parent: str | None
    worker: str
    attempts: int
    crashes: int
    created: float
    started: float | None
    finished: float | None
    error: str
    error_type: str
    made: tuple[int, ...]
    """Indices (pictures of the job, from 0) that are finished."""
    total: int
    last_seq: int
    """The `seq` of the newest stored event."""

    @cached_property
    def job(self) -> Job:
        return Job.model_validate(self.document)

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run a job until the lease ends; `token` proves it."""

    job: Job
    """Its `done` names the indices that an earlier attempt finished."""
    token: int
    attempt: int
    worker: str
    seq: int
    """The number of the next event."""
    skips: int


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a running job: wish is "", "interrupt" or "cancel"; skips counts presses of Skip."""

    wish: str
    skips: int


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a job. `outcome` is "" while it runs, else an end state, or "crashed", "lost", "released"."""

    token: int
    worker: str
    started: float
    ended: float | None
    outcome: str


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far a stage is. `seconds`: what its finished runs took."""

    stage: str
    done: int
    total: int
    seconds: float
    updated: float


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """An artifact of a job with its place in the store."""

    id: int
    job: str
    index: int
    artifact: Artifact
    created: float
    path: str
    """The file for people; "" before it has a name."""
    written: bool = False
    """Whether that file is there, whole."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """The queue as a whole. `counts` has every job state as a key."""

    paused: bool
    reason: str
    counts: dict[JobState, int]
