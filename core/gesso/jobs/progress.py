"""How far running jobs are, from their events: for the page, REST and everybody else who looks instead of listening."""

from __future__ import annotations

import base64
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gesso.types import JobEvent

ENDS = ("done", "interrupted", "failed", "cancelled")
WINDOW = 12
"""Steps over which the rate is measured."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A running job as it is now."""

    job: str
    stage: str = ""
    done: int = 0
    total: int = 0
    """Of the stage; 0 where the stage does not count."""
    rate: float = 0.0
    """Sampling steps a second; 0 before it can be told."""
    seconds_left: float | None = None
    """Until the last picture's last step."""
    pictures: int = 0
    """Finished ones."""
    pictures_total: int = 1
    preview: bytes = b""
    """The newest preview, a JPEG."""
    preview_number: int = 0
    """Grows by one with each preview."""
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Course:
    now: JobProgress
    batch_size: int
    times: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=WINDOW))


class ProgressBoard:
    """Follows the events of all jobs. `batch_size` tells a job's. Thread-safe."""

    def __init__(self, batch_size: Callable[[str], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._batch_size, self._clock = batch_size, clock
        self._lock = threading.Lock()
        self._running: dict[str, _Course] = {}
        self.version = 0
        """Grows with every change."""

    def get(self, job: str) -> JobProgress | None:
        """A job's progress; None when it does not run."""
        with self._lock:
            course = self._running.get(job)
            return None if course is None else course.now

    def event(self, event: JobEvent) -> None:
        """Take an event; a listener for `JobQueue.subscribe`."""
        if event.kind == "state":
            self._state(event.job, str(event.data.get("state", "")))
        with self._lock:
            course = self._running.get(event.job)
            if course is not None:
                self._follow(course, event)
            self.version += 1

    def _state(self, job: str, state: str) -> None:
        if state == "running":
            course = _Course(JobProgress(job), max(1, self._batch_size(job)))
            with self._lock:
                self._running[job] = course
        elif state in (*ENDS, "queued"):
            with self._lock:
                self._running.pop(job, None)

    def _follow(self, course: _Course, event: JobEvent) -> None:
        data = event.data
        if event.kind == "stage":
            course.times.clear()
            course.now = replace(course.now, stage=str(data["stage"]), done=0, total=0, seconds_left=None)
        elif event.kind == "progress" and data["stage"] == "batch":
            course.now = replace(course.now, pictures=int(data["done"]), pictures_total=int(data["total"]))
        elif event.kind == "progress":
            self._progress(course, str(data["stage"]), int(data["done"]), int(data["total"]))
        elif event.kind == "preview":
            picture = base64.b64decode(data["image"])
            course.now = replace(course.now, preview=picture, preview_number=course.now.preview_number + 1)
        elif event.kind == "warning":
            course.now = replace(course.now, warnings=(*course.now.warnings, str(data["message"]))[-20:])

    def _progress(self, course: _Course, stage: str, done: int, total: int) -> None:
        now = replace(course.now, stage=stage, done=done, total=total)
        if stage != course.now.stage or (course.times and course.times[-1][1] >= done):
            course.times.clear()  # another stage, or another run of the sampler, has begun
        course.times.append((self._clock(), done))
        (first, from_step), (last, to_step) = course.times[0], course.times[-1]
        if to_step > from_step and last > first:
            rate = (to_step - from_step) / (last - first)
            if stage == "sample":
                pictures_left = max(0, now.pictures_total - now.pictures)
                batches_after = max(0, -(-pictures_left // course.batch_size) - 1)
                now = replace(now, rate=rate, seconds_left=(total - done + batches_after * total) / rate)
            else:  # of this stage alone: how long the others take is not known
                now = replace(now, seconds_left=(total - done) / rate)
        course.now = now
