"""The watchdog: looks at a job's progress, not at whether its process is alive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gesso.jobs.protocol import BEAT_SECONDS, WorkerSettings

PATIENCE = 20
"""A step may take this many times as long as the slowest one before it."""


class Watch:
    """Follows one job's events and says when it has stood still for too long."""

    def __init__(self, settings: WorkerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._last = self._beat = clock()
        self._cancelled: float | None = None
        self._slowest = 0.0
        self._stepped: float | None = None
        self.begun = False
        """Whether the job told anything: before that, none of its code ran."""
        self.stage, self.anchor = "", ""
        """Where the job is, as far as it has told."""

    def saw(self, kind: str, data: dict[str, Any]) -> None:
        """The job told something: that is progress."""
        now = self._last = self._clock()
        self.begun = True
        if kind == "stage":
            self.stage, self.anchor = str(data.get("stage", "")), str(data.get("anchor", ""))
            self._slowest, self._stepped = 0.0, None
        elif kind == "progress" and data.get("stage") == "sample":
            if self._stepped is not None:
                self._slowest = max(self._slowest, now - self._stepped)
            self._stepped = now

    def beat(self) -> None:
        """The process said that it is alive. That is no progress."""
        self._beat = self._clock()

    def cancel(self) -> None:
        """The job was asked to stop, now."""
        if self._cancelled is None:
            self._cancelled = self._clock()

    @property
    def limit(self) -> float:
        """Seconds it may be silent where it is now."""
        s = self._settings
        if not self.begun:
            return s.start_seconds
        if self.anchor in ("sample", "refine"):
            known = max(s.step_seconds, PATIENCE * self._slowest)
            return s.first_step_seconds if self._stepped is None else known
        if self.anchor == "decode":
            return s.decode_seconds
        return s.load_seconds if self.anchor in ("prepare", "load") else s.other_seconds

    def stalled(self) -> str:
        """Why it must be ended, "" while it need not. To be asked when nothing the job told is left unread."""
        now = self._clock()
        if now - self._last <= self.limit:
            return ""
        silent = now - self._beat
        alive = "though it was alive" if silent < 3 * BEAT_SECONDS else f"and gave no sign of life for {silent:.0f} s"
        return f"it made no progress for {now - self._last:.0f} s, {alive}"

    def disobeyed(self) -> str:
        """Why it must be ended after a cancel, "" while there is time: a step's length is granted."""
        if self._cancelled is None:
            return ""
        waited = self._clock() - self._cancelled
        allowed = max(self._settings.cancel_seconds, 1.5 * self._slowest)
        return f"it did not stop within {waited:.0f} s of being cancelled" if waited > allowed else ""
