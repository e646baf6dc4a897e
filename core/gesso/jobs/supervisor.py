"""Keeps a worker running: starts one, and another after any death, with growing pauses when starting fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from gesso.engine.control import Control
from gesso.jobs.death import CLOSED, Death, WorkerStartError
from gesso.jobs.process import WorkerProcess

log = logging.getLogger("gesso.jobs")
State = Literal["stopped", "starting", "ready", "failed", "closed"]
FAILED_STARTS = 4
"""After so many in a row no further one is tried until a job asks."""
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0
"""A worker that lived so long was started well, whatever ended it."""


class Supervisor:
    """Owns the worker process and the thread that starts and reads it."""

    def __init__(self, make: Callable[[], WorkerProcess], start_seconds: float) -> None:
        self._make, self._start_seconds = make, start_seconds
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.state: State = "stopped"
        self.process: WorkerProcess | None = None
        self.last_death: Death | None = None
        self.restarts = 0

    def start(self) -> None:
        """Begin; returns at once. Also ends the rest after failed starts."""
        with self._changed:
            if self.state == "closed":
                raise RuntimeError("The executor is closed.")
            if self._thread is None:
                self.state = "starting"
                self._thread = threading.Thread(target=self._run, name="worker supervisor", daemon=True)
                self._thread.start()
            elif self.state == "failed":
                self._become("starting")

    def ready(self, control: Control) -> WorkerProcess:
        """The worker, once it has said hello. WorkerStartError when none can be started; cancel ends the waiting."""
        self.start()
        while True:
            control.check()
            with self._changed:
                process, state, death = self.process, self.state, self.last_death
                if process is not None and process.hello is not None and state == "ready":
                    return process
                if state == "failed" and death is not None:
                    raise _start_error(death)
                if state == "closed":
                    raise RuntimeError("The executor is closed.")
                self._changed.wait(0.1)

    def close(self, timeout: float) -> None:
        """Let the worker end in good order, then end it anyway."""
        with self._changed:
            process, thread = self.process, self._thread
            self._become("closed")
        if process is not None:
            process.send("close")
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive() and process is not None:
                process.kill(CLOSED)
                thread.join()

    # --- on the supervisor's thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while self.state != "closed":
            begun = time.monotonic()
            try:
                process = self._make()
            except OSError as error:
                self._ended(Death(-1, f"it could not be started: {error}"))
                failures += 1
            else:
                death = self._life(process)
                well = process.hello is not None and (process.jobs > 0 or time.monotonic() - begun > STEADY_SECONDS)
                failures = 0 if well else failures + 1
                self._ended(death)
            self._rest(failures)

    def _life(self, process: WorkerProcess) -> Death:
        with self._changed:
            self.process = process
            if self.state == "closed":
                process.send("close")
        hello = threading.Thread(target=self._await_hello, args=(process,), name="worker hello", daemon=True)
        hello.start()
        death = process.serve()
        hello.join()
        return death

    def _await_hello(self, process: WorkerProcess) -> None:
        if not process.ready.wait(self._start_seconds):
            process.kill(f"it was not ready after {self._start_seconds:g} s")
        elif process.hello is not None:
            with self._changed:
                if process is self.process and self.state == "starting":
                    self._become("ready")

    def _ended(self, death: Death) -> None:
        with self._changed:
            self.process, self.last_death = None, death
            if self.state != "closed":
                self.restarts += 1
                self._become("starting")
                log.info("The worker %s. Its output is in %s.", death.how(), death.log)

    def _rest(self, failures: int) -> None:
        """A pause before the next start; after too many failures, until somebody asks."""
        if failures >= FAILED_STARTS:
            with self._changed:
                if self.state != "closed":
                    self._become("failed")
                while self.state == "failed":
                    self._changed.wait()
        elif failures > 1:
            until = time.monotonic() + min(LONGEST_PAUSE, 0.25 * 2**failures)
            with self._changed:
                while self.state != "closed" and (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)

    def _become(self, state: State) -> None:
        self.state = state
        self._changed.notify_all()


def _start_error(death: Death) -> WorkerStartError:
    end = death.lines[-1] if death.lines else "It wrote nothing."
    return WorkerStartError(
        f"The worker process cannot be started; it {death.how()}. Its last line: {end}",
        death,
        hint=f"See {death.log}, or try gesso --safe-mode.",
    )
