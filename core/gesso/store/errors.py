"""What can go wrong with the database and the disk, in words that say what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from gesso.errors import GessoError


class StorageError(GessoError):
    """Database or disk cannot take or give what is asked of it now. Nothing was changed; try again later."""


class RefusedError(GessoError):
    """The database will never take this: a bug, or data it has no room for. Trying again is useless."""


class NewerDatabaseError(GessoError):
    """The database was written by a newer gesso."""


DISK_FULL = "Free some space. Nothing is lost; work goes on by itself."
READ_ONLY = "Make it writable for this user. Nothing is lost; work goes on by itself."
_DATABASE_FAULTS = (
    # What the driver says (SQLite's text or PostgreSQL's SQLSTATE), what it means, what to do.
    (("database or disk is full", "53100"), "The disk that holds the database is full.", DISK_FULL),
    (("readonly database", "25006", "unable to open database", "42501"), "The database cannot be written to.",
     READ_ONLY),
    (("database is locked", "55P03", "40001", "40P01"), "Another program keeps the database locked.",
     "Close it, or wait; work goes on by itself."),
    (("disk image is malformed", "not a database"), "The database is damaged.",
     "Put a backup in its place, or move it away to begin anew; pictures in the outputs folder are not touched."),
    (("disk i/o error",), "The disk that holds the database reports an error.", "Look at its health and free space."),
    (("connection", "57P01", "57P03", "08006"), "The database server does not answer.",
     "Start it, or mend the setting database_url."),
)  # fmt: skip
_FILE_FAULTS = {
    errno.ENOSPC: ("No space left on the disk", DISK_FULL),
    errno.EDQUOT: ("The disk quota is used up", DISK_FULL),
    errno.EROFS: ("The disk is read-only", READ_ONLY),
    errno.EACCES: ("No permission to write", READ_ONLY),
    errno.EPERM: ("No permission to write", READ_ONLY),
    errno.EIO: ("The disk reports an error", "Look at the disk's health."),
}


def from_database(error: DBAPIError, where: str) -> StorageError | RefusedError:
    """The database driver's error in our words."""
    code = str(getattr(error.orig, "sqlstate", "") or "")
    text = str(error.orig).strip().partition("\n")[0]
    for needles, meaning, hint in _DATABASE_FAULTS:
        if any(needle == code or needle in text.casefold() for needle in needles):
            return StorageError(f"{meaning} ({where}: {text})", hint=hint)
    if isinstance(error, (IntegrityError, DataError, ProgrammingError)):
        return RefusedError(f"The database refused: {text} ({where}).")
    return StorageError(f"The database does not do its work: {text} ({where}).")


def from_file(error: OSError, path: Path) -> StorageError:
    """The operating system's error as a StorageError."""
    meaning, hint = _FILE_FAULTS.get(error.errno or 0, (f"The file cannot be written ({error.strerror or error})", ""))
    return StorageError(f"{meaning}: {path}.", hint=hint)


def is_file_fault(error: BaseException | None) -> bool:
    """Whether an error, or one it was raised from, is the disk's fault and not the job's."""
    disk = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    while error is not None:
        if isinstance(error, StorageError) or (isinstance(error, OSError) and error.errno in disk):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_passing(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when tried again at once (deadlock, serialisation, a lock)."""
    code = str(getattr(error.orig, "sqlstate", "") or "")
    return code in ("40001", "40P01", "55P03") or "database is locked" in str(error.orig)
