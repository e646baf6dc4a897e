"""SHA-256 of model files: at once, or by a thread that takes its time."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.errors import BadFileError, GessoError

if TYPE_CHECKING:
    from gesso.models.library import Entry, Library

BLOCK = 4 << 20
IDLE_S = 30.0
"""How often an idle thread looks for new files."""
log = logging.getLogger(__name__)


def sha256_of(
    files: Iterable[Path], total: int = 0, progress: Callable[[int, int], None] | None = None, *, speed: float = 0.0
) -> str:
    """The SHA-256 (hex) of files one after the other.

    `progress` is told (bytes done, total) after each block, and may raise to stop. `speed` is the most bytes a second,
    0 for as fast as it goes. BadFileError: a file cannot be read.
    """
    digest, done, started = hashlib.sha256(), 0, time.monotonic()
    for path in files:
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
                    done += len(block)
                    if progress is not None:
                        progress(done, total)
                    if speed and (ahead := done / speed - (time.monotonic() - started)) > 0:
                        time.sleep(ahead)
        except OSError as error:
            raise BadFileError(f"Cannot read {path}: {error.strerror or error}.") from error
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class HashingStatus:
    """What the thread does. Empty `file`: nothing."""

    file: str = ""
    done: int = 0
    """Bytes of this file."""
    total: int = 0
    files_left: int = 0
    """This one included."""
    bytes_left: int = 0
    speed: float = 0.0
    """Bytes a second over the files of this round; 0 before it can be told."""

    @property
    def seconds_left(self) -> float | None:
        """For all files left; None before it can be told."""
        return self.bytes_left / self.speed if self.speed else None


class _StoppedError(Exception):
    """The thread is to end."""


class HashingThread:
    """Computes the hashes that are missing, smallest files first, at no more than `speed()` bytes a second."""

    def __init__(self, library: Library, speed: Callable[[], float]) -> None:
        self.status = HashingStatus()
        self._library, self._speed = library, speed
        self._stop, self._wake = threading.Event(), threading.Event()
        self._failed: set[Path] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="hashing", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End within a block."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """Look for new files now."""
        self._wake.set()

    def missing(self) -> list[Entry]:
        """Usable models without a hash, smallest first."""
        entries = [e for e in self._library.all_entries() if e.state == "ok" and not e.hash]
        return sorted((e for e in entries if e.path not in self._failed), key=lambda e: e.size)

    def round(self) -> int:
        """Hash what is missing now; how many files."""
        entries, started, read = self.missing(), time.monotonic(), 0
        total = sum(entry.size for entry in entries)
        for place, entry in enumerate(entries):
            left = total - read
            self.status = HashingStatus(str(entry.path), 0, entry.size, len(entries) - place, left, self.status.speed)

            def progress(done: int, total: int, left: int = left, before: int = read) -> None:
                if self._stop.is_set():
                    raise _StoppedError
                speed = (before + done) / max(time.monotonic() - started, 1e-6)
                self.status = replace(self.status, done=done, bytes_left=left - done, speed=speed)

            try:
                self._library.hash(entry, progress, speed=self._speed())
            except GessoError as error:
                self._failed.add(entry.path)
                log.warning("No hash: %s", error)
            read += entry.size
        self.status = HashingStatus()
        return len(entries)

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                self.round()
            except _StoppedError:
                break
            except Exception:
                log.exception("hashing stopped for a while")
            self._wake.wait(IDLE_S)
        self.status = HashingStatus()
