"""Files for people: under a free name, whole, and never in place of another.

Numbers are given out under a lock, so that they are unique among the processes of one data folder; whoever else writes
there is guarded against by creating each file only where there is none.
"""

from __future__ import annotations

import errno
import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.files import write_new
from gesso.outputs.naming import NamedOutput, folder_and_name, tokens_of
from gesso.outputs.settings import OutputSettings
from gesso.types import Artifact, Job

if TYPE_CHECKING:
    from gesso.plugins.host import Host

TRIES = 1000
LOCK_S = 60.0
"""How long to wait for another process that names a file."""
DIGITS = 5
_NUMBER = re.compile(r"([0-9]{5,6})[-.]")


@dataclass
class OutputWriter:
    """Names and writes outputs below `root`; `lock` is the file that processes of one data folder share."""

    host: Host
    root: Callable[[], Path]
    lock: Path

    def put(self, output: NamedOutput, data: bytes, folder: Path | None = None) -> Path:
        """Write an output under a free name (see `free_path`) and return that."""
        output = replace(output, read=lambda: data)
        with self.locked():
            for _ in range(TRIES):
                path = self.free_path(output, folder)
                try:
                    self.write(path, data, output)
                except FileExistsError:  # somebody of another data folder was faster
                    continue
                return path
        raise FileExistsError("No free name was found for a picture.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the numbers: nobody else of this data folder names a file meanwhile."""
        from filelock import FileLock

        self.lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.lock, timeout=LOCK_S, thread_local=False):
            yield

    def free_path(self, output: NamedOutput, folder: Path | None = None) -> Path:
        """A path that no file has, by the output's patterns; in `folder` without the folder pattern when given."""
        folders, name = folder_and_name(output, tokens_of(self.host))
        place = self.root().joinpath(*folders) if folder is None else folder
        suffix = self.suffix(output.artifact.file.type)
        for attempt in range(TRIES):
            path = place / f"{self._stem(place, name, output, attempt)}{suffix}"
            beside = [path.with_suffix(".txt")] if output.settings.sidecar else []
            if not any(os.path.lexists(p) for p in (path, *beside)):
                return path
        raise FileExistsError(f"No free name was found in {place}.")

    def _stem(self, place: Path, name: str, output: NamedOutput, attempt: int) -> str:
        if output.settings.number:
            number = f"{next_number(place) + attempt:0{DIGITS}d}"
            return f"{number}-{name}" if name else number
        if not name:
            return f"{attempt:0{DIGITS}d}"
        return f"{name}-{attempt}" if attempt else name

    def suffix(self, mime: str) -> str:
        """The suffix of a MIME type: a registered format's, else the usual one."""
        found = next((f.suffix for f in self.host.registry("formats") if f.mime == mime), None)
        return found or mimetypes.guess_extension(mime) or ".bin"

    def write(self, path: Path, data: bytes, output: NamedOutput) -> None:
        """Create the file, and the text beside it where that is wanted.

        A file of the same content is taken for an earlier attempt of ours. FileExistsError: it is another's.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, "A file is where the folder should be", str(path.parent)) from None
        _create(path, data)
        if output.settings.sidecar and (text := output.artifact.meta.get("infotext")):
            _create(path.with_suffix(".txt"), f"{text}\n".encode("utf-8", "replace"))


def named(
    job: Job, artifact: Artifact, index: int, created: float, read: Callable[[], bytes] = lambda: b""
) -> NamedOutput:
    """An output with the settings its job was frozen with."""
    settings = OutputSettings.parse(job.settings.get("outputs", {}), where="outputs")
    return NamedOutput(job, artifact, index=index, created=created, settings=settings, read=read)


def next_number(folder: Path) -> int:
    """One more than the highest number that a name in the folder begins with."""
    highest = -1
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if digits := _NUMBER.match(entry.name):
                    highest = max(highest, int(digits[1]))
    except OSError:
        pass  # no folder yet
    return highest + 1


def _create(path: Path, data: bytes) -> None:
    try:
        write_new(path, data)
    except FileExistsError:
        if not _same(path, data):
            raise


def _same(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
