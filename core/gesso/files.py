"""Files are written whole: a reader sees the old content or the new, never something between."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, data: bytes | str) -> None:
    """Replace `path` by `data`: temporary file beside it, fsync, rename. Text is UTF-8; folders are made.

    A link is followed, so that the file it points to is replaced. OSError when the folder cannot be written to; the old
    content is then untouched.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with _written_beside(path, data) as temporary:
        temporary.replace(path)
    _sync_folder(path.parent)


def write_new(path: Path, data: bytes | str) -> None:
    """As `write_whole`, but FileExistsError when something of this name is there, a link that leads nowhere included.

    The folder must be there. The file appears whole and only if nobody was faster, from whichever process.
    """
    with _written_beside(path, data) as temporary:
        _name_once(temporary, path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def _written_beside(path: Path, data: bytes | str) -> Iterator[Path]:
    """A temporary file in the folder of `path` with all of `data` on the disk; gone afterwards, if still there."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode(path))
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _name_once(temporary: Path, path: Path) -> None:
    """Give the file its name; unlike a rename, this never replaces another."""
    try:
        os.link(temporary, path)
        return
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links: reserve the name, then fill it
        with contextlib.suppress(FileExistsError), path.open("xb"):
            temporary.replace(path)
            return
    raise FileExistsError(errno.EEXIST, "There is a file of this name already", str(path))


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, else what the umask leaves (mkstemp alone would make it private)."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return 0o666 & ~_umask()


def _umask() -> int:
    """The process's umask, without changing it where the system tells (setting it is not thread-safe)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1], 8) for line in status.splitlines() if line.startswith("Umask:"))
    except (OSError, StopIteration, ValueError):
        mask = os.umask(0o022)
        os.umask(mask)
        return mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; Windows has no folder handles and needs none."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
