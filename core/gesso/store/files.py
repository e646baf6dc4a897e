"""Stored files: content-addressed, counted by the rows that refer to them, repaired after a crash.

A file is on the disk before a row refers to it, and a count changes in the transaction that writes the row. So a crash
leaves at worst a file without a row; the repair at start-up puts such files into the trash.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from gesso.engine.blobs import FolderBlobs
from gesso.errors import BadFileError
from gesso.files import write_whole
from gesso.store.database import Database
from gesso.store.errors import from_file
from gesso.store.schema import ArtifactRow, FileRow, InputRow
from gesso.types import FileRef

TRASH_DAYS = 7
UNUSED_S = 24 * 3600.0
"""How long a file that nothing refers to is kept: an upload waits for its job."""
PROBE_BYTES = 32 << 20
"""More than a picture."""


@dataclass(slots=True)
class Repair:
    """What the repair at start-up did."""

    temporary: int = 0
    """Half-written files removed."""
    unreferenced: int = 0
    """Files without a row, or with one nothing refers to, put into the trash."""
    missing: list[str] = field(default_factory=list)
    """Hashes that rows refer to and the disk has no more."""
    recounted: int = 0
    """Reference counts that were wrong; anything but 0 is a bug."""


class StoredFiles(FolderBlobs):
    """Blobs of a data folder: folder/ab/abcdef…, and a row for each."""

    def __init__(self, folder: Path, database: Database) -> None:
        super().__init__(folder)
        self._database = database

    def put(self, data: bytes, mime: str) -> FileRef:
        """Store bytes; on the disk when this returns. StorageError when the disk refuses."""
        ref = FileRef(sha256=hashlib.sha256(data).hexdigest(), type=mime)
        path = self.path(ref)
        try:
            try:
                now = time.time()
                os.utime(path, (now, now))  # tells a collection at this moment that the file is wanted
            except FileNotFoundError:
                write_whole(path, data)
        except OSError as error:
            raise from_file(error, path) from error
        return ref

    def has(self, ref: FileRef) -> bool:
        return self.path(ref).is_file()

    def upload(self, data: bytes, mime: str) -> FileRef:
        """Store a file that a request will refer to: kept at least a day without one."""
        ref = self.put(data, mime)
        self._database.write(lambda session: self._insert(session, [ref], count=0))
        return ref

    # --- references, within the caller's transaction ----------------------------------------------------------

    def refer(self, session: Session, refs: Iterable[FileRef]) -> None:
        """Count one more reference to each. BadFileError when one is not stored."""
        self._insert(session, refs, count=1)

    def release(self, session: Session, hashes: Iterable[str]) -> None:
        """Count one reference less for each."""
        for sha256 in hashes:
            session.execute(update(FileRow).where(FileRow.sha256 == sha256).values(refs=FileRow.refs - 1))

    def _insert(self, session: Session, refs: Iterable[FileRef], count: int) -> None:
        for ref in sorted(refs, key=lambda r: r.sha256):  # one order for all: no deadlock between two transactions
            try:
                size = self.path(ref).stat().st_size
            except OSError:
                text = f"No file with the hash {ref.sha256[:12]} is here."
                raise BadFileError(text, hint="Upload it again.") from None
            seen = {"touched": time.time(), "missing": False}
            insert = self._database.upsert(FileRow).values(
                sha256=ref.sha256, type=ref.type, size=size, refs=count, **seen
            )
            counted = {"refs": FileRow.refs + count, **seen}
            session.execute(insert.on_conflict_do_update(index_elements=["sha256"], set_=counted))

    # --- repair and collection --------------------------------------------------------------------------------

    def repair(self, *, unused_s: float = UNUSED_S) -> Repair:
        """Make files and rows agree. For the holder of the host lock, before jobs run and uploads come."""
        done = Repair()
        on_disk: set[str] = set()
        for path in self._entries():
            if path.name.endswith(".tmp"):
                path.unlink(missing_ok=True)
                done.temporary += 1
            else:
                on_disk.add(path.name)
        wanted = self._database.write(lambda session: self._reconcile(session, on_disk, unused_s, done))
        for sha256 in on_disk - wanted:
            done.unreferenced += self._to_trash(self.path(FileRef(sha256=sha256)))
        self._empty_trash()
        return done

    def _reconcile(self, session: Session, on_disk: set[str], unused_s: float, done: Repair) -> set[str]:
        """Recount references, mark what is missing, forget what nothing wants; the hashes that stay."""
        done.missing, done.recounted = [], 0
        used = union_all(select(ArtifactRow.sha256), select(InputRow.sha256)).subquery()
        counting = select(used.c.sha256, func.count(literal(1))).group_by(used.c.sha256)
        counts = {row[0]: row[1] for row in session.execute(counting)}
        wanted = set()
        for row in session.scalars(select(FileRow)):
            refs = counts.get(row.sha256, 0)
            if row.refs != refs:
                row.refs, done.recounted = refs, done.recounted + 1
            row.missing = row.sha256 not in on_disk
            if refs == 0 and (row.missing or row.touched < time.time() - unused_s):
                session.delete(row)
                continue
            wanted.add(row.sha256)
            if row.missing:
                done.missing.append(row.sha256)
        return wanted

    def collect(self) -> int:
        """Put files nothing refers to any more into the trash; at any time. How many."""

        def forget(session: Session) -> list[str]:
            unused = (FileRow.refs == 0) & (FileRow.touched < time.time() - UNUSED_S)
            return list(session.scalars(delete(FileRow).where(unused).returning(FileRow.sha256)))

        return sum(self._to_trash(self.path(FileRef(sha256=sha256))) for sha256 in self._database.write(forget))

    def _to_trash(self, path: Path) -> bool:
        """Move a file away; back again if `put` touched it meanwhile."""
        before = time.time()
        target = self.folder / "trash" / path.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            if target.stat().st_mtime >= before and not path.exists():
                target.replace(path)
                return False
            os.utime(target)
        except FileNotFoundError:
            return False
        return True

    def _empty_trash(self) -> None:
        trash = self.folder / "trash"
        for path in trash.iterdir() if trash.is_dir() else ():
            if path.stat().st_mtime < time.time() - TRASH_DAYS * 24 * 3600:
                path.unlink(missing_ok=True)

    def _entries(self) -> Iterator[Path]:
        """Every file below the two-letter folders."""
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            yield from folder.iterdir()

    def check_writable(self) -> None:
        """Write and drop some megabytes; StorageError tells why that fails."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as probe:
                probe.write(bytes(PROBE_BYTES))
                probe.flush()
        except OSError as error:
            raise from_file(error, self.folder) from error
