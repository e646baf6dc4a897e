"""One worker process as the host sees it: its pipes, its log, its end."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO, cast

from gesso.jobs.death import Death, find_place, last_words
from gesso.jobs.frames import Channel, Frame, FrameError
from gesso.jobs.log_file import LogFile
from gesso.jobs.protocol import PROTOCOL, Hello, Start

Answer = Callable[[dict[str, Any]], tuple[dict[str, Any], bytes]]
"""What the worker asks for → fields and raw part of the reply."""
Inbox = queue.Queue[Frame | Death]
WAITING = 256
"""Frames of a job that may wait for whoever runs it; then the worker waits."""
LAST_SECONDS = 10.0
"""What a process gets to be gone after its pipe is closed (a core dump takes a while)."""


class WorkerProcess:
    """A worker from its start to its death. `serve` is called once, by the thread that made it.

    That thread must live as long as the worker: on Linux the kernel ends a process when the thread that started it ends
    (the worker asks for that, so that it never outlives its host).
    """

    def __init__(self, start: Start, log: LogFile, answer: Answer, on_beat: Callable[[dict[str, Any]], None]) -> None:
        self.hello: Hello | None = None
        self.ready = threading.Event()
        """Set once it has said hello, or died."""
        self.jobs = 0
        """Jobs it was given."""
        self._log, self._answer, self._on_beat = log, answer, on_beat
        self._reason = ""
        self._delivery: tuple[str, Inbox] | None = None
        self._end: Death | None = None
        self._lock = threading.Lock()
        self._letters: queue.SimpleQueue[tuple[str, dict[str, Any], bytes] | None] = queue.SimpleQueue()
        self._popen = _spawn(start)
        self._channel = Channel(cast(BinaryIO, self._popen.stdout), cast(BinaryIO, self._popen.stdin))
        log.write(f"--- worker {self.pid}, {datetime.now():%Y-%m-%d %H:%M:%S}\n".encode())
        log.forget()
        self._threads = [
            threading.Thread(target=self._pump_log, name="worker log", daemon=True),
            threading.Thread(target=self._write, name="worker letters", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.send("start", start.model_dump(mode="json"))

    @property
    def pid(self) -> int:
        return self._popen.pid

    # --- for whoever runs a job -----------------------------------------------------------------------------------

    def send(self, kind: str, data: dict[str, Any] | None = None, raw: bytes = b"") -> None:
        """Send a frame. Never waits, since a worker that hangs may not read; what a dead one is sent is lost."""
        self._letters.put((kind, data or {}, raw))

    def attach(self, job: str) -> Inbox:
        """From now on the job's frames arrive here, the last of all being its end or the worker's death."""
        inbox: Inbox = queue.Queue(WAITING)
        with self._lock:
            self.jobs += 1
            self._delivery = (job, inbox)
            if self._end is not None:
                inbox.put(self._end)
        return inbox

    def detach(self) -> None:
        """Nobody reads the inbox any more."""
        self._delivery = None

    def kill(self, reason: str) -> None:
        """End it, whatever it does; `reason` completes "The worker was ended: …". The log shows where it was."""
        self._reason = self._reason or reason
        if self._popen.poll() is None and sys.platform != "win32" and self.hello is not None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGUSR1)  # faulthandler writes every thread's stack, even from within C
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(0.3)
        _kill(self._popen)

    # --- its life, on the supervisor's thread ---------------------------------------------------------------------

    def serve(self) -> Death:
        """Read what it sends until its end; returns how that came."""
        try:
            while (frame := self._channel.receive()) is not None:
                self._handle(frame)
        except OSError:
            pass
        except Exception as error:  # not only FrameError: fields may be missing or of the wrong type
            self._reason = self._reason or f"it sent what is no message: {error}"
        if self._reason:
            _kill(self._popen)
        try:
            code = self._popen.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self._reason = self._reason or "it closed its pipe and stayed"
            _kill(self._popen)
            code = self._popen.wait()
        _kill_group(self.pid)
        self._letters.put(None)
        self._threads[0].join(1.0)  # not longer: a grandchild may hold the pipe open
        death = self._death(code)
        with self._lock:
            self._end = death
            attached = self._delivery is not None
        if attached:
            self._deliver(None, death)
        self.ready.set()
        return death

    def _handle(self, frame: Frame) -> None:
        data = frame.data
        if frame.kind == "hello":
            self.hello = Hello.model_validate(data)
            if self.hello.protocol != PROTOCOL:
                raise FrameError("it is of another version than this process; start gesso again")
            self.ready.set()
        elif frame.kind == "beat":
            self._on_beat(data)
            self._deliver(None, frame)
        elif frame.kind == "ask":
            fields, raw = self._answer(data)
            self.send("reply", {**fields, "id": data.get("id")}, raw)
        else:
            self._deliver(str(data.get("job")), frame)

    def _deliver(self, job: str | None, item: Frame | Death) -> None:
        """Into the inbox of the job it belongs to (None: of any); waits while that is full, but not for nobody."""
        while (delivery := self._delivery) is not None and job in (None, delivery[0]):
            with contextlib.suppress(queue.Full):
                delivery[1].put(item, timeout=0.5)
                return

    def _death(self, code: int) -> Death:
        text = self._log.tail()
        place = find_place(text, self.hello.folders if self.hello else {})
        return Death(code, self._reason, place, last_words(text), self._log.path)

    def _pump_log(self) -> None:
        stream = self._popen.stderr
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(stream.fileno(), 65536):
                self._log.write(data)
        stream.close()

    def _write(self) -> None:
        while (letter := self._letters.get()) is not None:
            with contextlib.suppress(OSError, ValueError):
                self._channel.send(*letter)
        for stream in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()


def _spawn(start: Start) -> subprocess.Popen[bytes]:
    """Start it with this process's module path, in a session of its own: Ctrl-C is the host's to understand."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)  # noqa: PTH100 - "" must not match
    environment = {
        **os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8:backslashreplace", "GESSO_HOME": str(start.home),
    }  # fmt: skip
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gesso.jobs.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **apart,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started."""
    if sys.platform == "win32":
        process.kill()
        return
    if process.poll() is None:  # its id is not another's yet
        _kill_group(process.pid)


def _kill_group(number: int) -> None:
    """End what a worker has started and left behind."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(number, signal.SIGKILL)
