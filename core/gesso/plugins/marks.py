"""A mark on disk while plugins are loaded. A mark that is left over tells in which plugin a process ended."""

from __future__ import annotations

import logging
import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import IO, Self

try:
    import fcntl
except ImportError:  # Windows: a file that is open elsewhere cannot be removed, which tells the same
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("gesso.plugins")


class LoadMark:
    """Names the plugin that is being loaded, in a file that is locked while this process lives.

    Without a writable folder nothing is marked: loading goes on, only the memory of a crash is lost.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.mark"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb", buffering=0)
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            log.debug("No crash marks: %s", error)
        return self

    def at(self, plugin_id: str) -> None:
        """The plugin that is loaded next. Not synced: a mark has to outlive the process, not the machine."""
        if self._file is not None:
            self._file.seek(0)
            self._file.write(plugin_id.encode())
            self._file.truncate()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)


def crashed_plugins(folder: Path) -> set[str]:
    """The plugins named by marks of processes that are gone; the marks are removed."""
    try:
        marks = [path for path in folder.iterdir() if path.suffix == ".mark"]
    except OSError:
        return set()
    return {name for path in marks if (name := _abandoned(path))}


def _abandoned(path: Path) -> str:
    """What an abandoned mark says; "" for one whose process is still at work."""
    try:
        with path.open("rb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name = file.read(1000).decode(errors="replace")
        path.unlink()
    except OSError:
        return ""
    return name
