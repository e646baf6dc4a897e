"""The worker's end of the line: frames in and out, questions to the host, and what stands in for the host's things."""

from __future__ import annotations

import hashlib
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gesso.engine.control import Control
from gesso.errors import BadFileError
from gesso.jobs.frames import Channel, Frame, FrameError
from gesso.jobs.protocol import error_from
from gesso.models.library import Entry, Library
from gesso.plugins.host import Host
from gesso.types import FileRef, ModelRef

ARRIVES_S = 60.0
"""How long a file that was sent may take to be there."""
UNLOAD: dict[str, Any] = {}
"""Stands between jobs: the models are wanted out of memory."""
CORRUPT = 65
"""Exit status after something that was no frame (EX_DATAERR)."""


class Link:
    """One thread reads what the host sends and sets flags; any thread may send and ask."""

    def __init__(self, channel: Channel) -> None:
        self.jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        """Jobs to run; UNLOAD: forget the models; None: end in good order."""
        self.on_seen: Callable[[], None] = lambda: None
        """Called when the host has taken a preview."""
        self.on_reset: Callable[[str], None] = lambda plugin: None
        """Called when a person gives a plugin another chance."""
        self._channel = channel
        self._controls: dict[str, Control] = {}
        self._replies: dict[int, queue.SimpleQueue[Frame]] = {}
        self._questions = 0
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Begin to read. When the pipe ends, this process does, whatever it is doing."""
        threading.Thread(target=self._listen, name="frames", daemon=True).start()

    def send(self, kind: str, data: dict[str, Any], raw: bytes = b"") -> None:
        self._channel.send(kind, data, raw)

    def ask(self, what: str, **fields: Any) -> Frame:
        """The host's reply to a question; raises the error the host met with."""
        answer: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        with self._lock:
            self._questions += 1
            number = self._questions
            self._replies[number] = answer
        self.send("ask", {"id": number, "what": what, **fields})
        frame = answer.get()
        if "error" in frame.data:
            raise error_from(frame.data["error"])
        return frame

    def control(self, job: str) -> Control:
        """The flags of a job that was received."""
        return self._controls[job]

    def forget(self, job: str) -> None:
        self._controls.pop(job, None)

    def _listen(self) -> None:
        status = 0
        try:
            while (frame := self._channel.receive()) is not None:
                self._handle(frame)
        except FrameError as error:
            print(f"gesso worker: the host sent what is no message: {error}", file=sys.stderr, flush=True)
            status = CORRUPT
        except BaseException:
            traceback.print_exc()
            status = 1
        os._exit(status)

    def _handle(self, frame: Frame) -> None:
        data = frame.data
        if frame.kind == "job":
            self._controls[data["job"]["id"]] = Control()
            self.jobs.put(data["job"])
        elif frame.kind == "control":
            control = self._controls.get(data["job"])
            if control is not None and data["what"] in ("interrupt", "skip", "cancel"):
                getattr(control, data["what"])()
        elif frame.kind == "reply":
            with self._lock:
                waiting = self._replies.pop(data["id"], None)
            if waiting is not None:
                waiting.put(frame)
        elif frame.kind == "seen":
            self.on_seen()
        elif frame.kind == "reset":
            self.on_reset(str(data["plugin"]))
        elif frame.kind == "unload":
            self.jobs.put(UNLOAD)  # in its turn: a job that runs holds its model
        elif frame.kind == "close":
            self.jobs.put(None)


class HostBlobs:
    """The host's blobs: what is put goes there before any event that names it, what is missing here is fetched."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.job = ""
        self._put: set[str] = set()

    def put(self, data: bytes, mime: str) -> FileRef:
        ref = FileRef(sha256=hashlib.sha256(data).hexdigest(), type=mime)
        self._put.add(ref.sha256)
        self._link.send("blob", {"job": self.job, "ref": ref.model_dump()}, data)
        return ref

    def upload(self, data: bytes, mime: str) -> FileRef:
        return self.put(data, mime)

    def get(self, ref: FileRef) -> bytes:
        data = self._fetch(ref)
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise BadFileError(f"The file {ref.sha256[:12]} is damaged.", hint="Upload it again.")
        return data

    def _fetch(self, ref: FileRef) -> bytes:
        """What was put here may still be on its way: the host takes files and questions on two threads."""
        end = time.monotonic() + ARRIVES_S
        while True:
            try:
                return self._link.ask("blob", ref=ref.model_dump()).raw
            except BadFileError:
                if ref.sha256 not in self._put or time.monotonic() > end:
                    raise
            time.sleep(0.02)


class HostLibrary(Library):
    """The models as the host knows them, files given by path included; nothing is scanned a second time."""

    def __init__(self, link: Link, host: Host, cache: Path) -> None:
        super().__init__(host, cache)
        self._link = link

    def find(self, ref: ModelRef | str, role: str = "checkpoint") -> Entry:
        wanted = ref.model_dump() if isinstance(ref, ModelRef) else ref
        return Entry.model_validate(self._link.ask("model", ref=wanted, role=role).data["entry"])

    def learn(self, entry: Entry, value: str) -> None:
        """What was computed here is remembered there."""
        self._link.ask("hashed", path=str(entry.path), role=entry.role, hash=value)
