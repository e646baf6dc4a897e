"""Where a worker's output goes: a file that is rotated, and its end in memory."""

from __future__ import annotations

import contextlib
import itertools
import threading
from pathlib import Path
from typing import BinaryIO

KEPT = 32 << 10


class LogFile:
    """Bytes in, a rotated file out. A full disk or a read-only folder costs the file, nothing else."""

    def __init__(self, path: Path, *, limit: int = 2 << 20, backups: int = 3) -> None:
        self.path = path
        self._limit, self._backups = limit, backups
        self._file: BinaryIO | None = None
        self._size = 0
        self._tail = bytearray()
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Append; what exceeds `limit` goes into a new file and the oldest backup is dropped."""
        with self._lock:
            self._tail = (self._tail + data)[-KEPT:]
            with contextlib.suppress(OSError):
                if self._file is None:
                    self._open()
                elif self._size + len(data) > self._limit:
                    self._rotate()
                if self._file is not None:
                    self._file.write(data)
                    self._size += len(data)

    def forget(self) -> None:
        """A new process begins: its end shall not show the last one's words."""
        with self._lock:
            self._tail.clear()

    def tail(self) -> str:
        """The last 32 KiB."""
        with self._lock:
            return self._tail.decode(errors="replace")

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
                self._file = None

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        self._size = self._file.tell()

    def _rotate(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        names = [self.path, *(self.path.with_name(f"{self.path.name}.{n}") for n in range(1, self._backups + 1))]
        for newer, older in reversed(list(itertools.pairwise(names))):
            if newer.exists():
                newer.replace(older)
        self._open()
