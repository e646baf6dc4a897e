"""Interrupt, skip and cancel: three things, each within one step."""

from __future__ import annotations

import threading

from gesso.errors import JobCancelledError


class StopBatchError(Exception):
    """Ends a batch early, on interrupt or skip. What is finished stays; this batch leaves nothing."""


class Control:
    """Flags another thread may set: interrupt keeps what is finished, skip goes to the next batch, cancel drops all."""

    def __init__(self) -> None:
        self._interrupt, self._skip, self._cancel = threading.Event(), threading.Event(), threading.Event()

    def interrupt(self) -> None:
        self._interrupt.set()

    def skip(self) -> None:
        self._skip.set()

    def cancel(self) -> None:
        self._cancel.set()

    @property
    def interrupted(self) -> bool:
        return self._interrupt.is_set()

    @property
    def skipped(self) -> bool:
        return self._skip.is_set()

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def next_batch(self) -> None:
        """A skip is over when the next batch begins."""
        self._skip.clear()

    def check(self) -> None:
        """Raise when the job is cancelled."""
        if self._cancel.is_set():
            raise JobCancelledError("The job was cancelled.")

    def check_batch(self) -> None:
        """Raise when this batch has to stop."""
        self.check()
        if self._interrupt.is_set() or self._skip.is_set():
            raise StopBatchError
